"""The virtual-machine harness: a Debian with systemd, leafbox's binaries and its rendered units."""
