"""The initial RAM disk: busybox, the driver of the disk and one script.

Debian's own takes a quarter of a minute in emulation, because it starts udev to look for a root that
is known here. The programs and drivers are those of the Debian root that is booted.
"""

import lzma
import tarfile

DRIVERS = ["virtio_blk"]

# Lays the seed disk, a tar archive without a file system, over the root before systemd starts. A
# machine that boots again has no seed disk: it finds what it left.
INIT = """#!/bin/busybox sh
fail() { echo "leafbox-vm: $*"; poweroff -f; }
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev && mount -t proc proc /proc && mount -t sysfs sys /sys || fail "no /dev"
for driver in %(drivers)s; do insmod /$driver.ko || fail "no driver $driver"; done
for disk in /sys/block/vd*; do
  [ "$(cat $disk/serial)" = root ] && root=/dev/${disk##*/}
  [ "$(cat $disk/serial)" = seed ] && seed=/dev/${disk##*/}
done
mount -t ext4 -o rw "$root" /root || fail "the root $root cannot be mounted"
[ -z "$seed" ] || tar -x -f "$seed" -C /root || fail "the seed disk cannot be unpacked"
umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""


def build(root_tar, target):
    """Writes the RAM disk, from a Debian root that has busybox-static and a kernel."""
    files = {"init": (0o755, (INIT % {"drivers": " ".join(DRIVERS)}).encode())}
    with tarfile.open(root_tar) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if member.name in ("./bin/busybox", "./usr/bin/busybox"):
                files["bin/busybox"] = (0o755, archive.extractfile(member).read())
            elif name.removesuffix(".ko.xz") in DRIVERS and name.endswith(".ko.xz"):
                files[name.removesuffix(".xz")] = (0o644, lzma.decompress(archive.extractfile(member).read()))
    missing = {"bin/busybox", *(f"{driver}.ko" for driver in DRIVERS)} - files.keys()
    if missing:
        raise FileNotFoundError(f"{root_tar} has no {', '.join(sorted(missing))}")
    target.write_bytes(cpio(files))


def cpio(files):
    """A cpio archive ("newc", see the kernel's buffer-format document) of folders and files."""
    directory, regular, character = 0o040755, 0o100000, 0o020600
    entries = [(name, directory, b"", (0, 0)) for name in ("bin", "dev", "proc", "root", "sys")]
    # What init's output goes to before /dev is mounted.
    entries.append(("dev/console", character, b"", (5, 1)))
    entries += [(name, regular | mode, data, (0, 0)) for name, (mode, data) in files.items()]
    entries.append(("TRAILER!!!", 0, b"", (0, 0)))
    archive = bytearray()
    for inode, (name, mode, data, device) in enumerate(entries, 1):
        fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        archive += b"\0" * (-len(archive) % 4) + data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
