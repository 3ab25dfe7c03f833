"""The base image: a minimal Debian with systemd, its kernel and an initial RAM disk.

It holds nothing of leafbox: that comes at the first boot from a seed disk (`seed.py`), so that the
image is made once for many builds. It is cached under `target/vm`, keyed by all that it is made of.
"""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from . import host, initrd

PACKAGES = [
    "systemd-sysv", "dbus", "udev", "login", "util-linux", "iproute2", "procps", "e2fsprogs",
    "busybox-static", "python3", "linux-image-cloud-amd64", "tiny-initramfs",  # as small as a kernel allows
]
# Docs and translations double the size.
EXCLUDED = ["doc", "man", "locale", "info", "i18n"]
# Debian's own timers would disturb the measuring; the rest costs seconds in emulation, and nothing
# of leafbox uses it.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "getty@tty1.service", "systemd-binfmt.service",
          "systemd-logind.service", "kmod-static-nodes.service", "ldconfig.service",
          "systemd-journal-catalog-update.service", "systemd-update-done.service", "dev-hugepages.mount",
          "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
          "sys-fs-fuse-connections.mount", "modprobe@.service"]
GUEST = Path(__file__).resolve().parents[1] / "guest" / "root"
# Sparse: what is free counts, for JetStream takes its limit from it.
SIZE = "4G"


class Image:
    """The files that a machine boots from."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root.ext4"
        self.kernel = folder / "vmlinuz"
        self.initrd = folder / "initrd.img"


def key():
    """Changes whenever anything does that the image is made of."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + Path(initrd.__file__).read_bytes())
    for path in sorted(GUEST.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(GUEST)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def base():
    """The image, built if it is not in the cache. Older ones are removed."""
    folder = host.WORK / f"image-{key()}"
    if folder.is_dir():
        return Image(folder)
    for old in host.WORK.glob("image-*"):
        shutil.rmtree(old)
    building = host.WORK / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    image = Image(building)
    bootstrap(building / "root.tar")
    take_kernel(building / "root.tar", image)
    initrd.build(building / "root.tar", image.initrd)
    format_root(building / "root.tar", image.root)
    (building / "root.tar").unlink()
    # Renamed last, so that a broken build is never taken for an image.
    building.rename(folder)
    return Image(folder)


def bootstrap(tar):
    """Writes a Debian root as a tar archive."""
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
               '--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
    command += [f"--customize-hook=tar -C '{GUEST}' --owner=0 --group=0 -c . | tar -x -C \"$1\"",
                "--customize-hook=chroot \"$1\" systemctl mask " + " ".join(MASKED),
                "--customize-hook=chroot \"$1\" systemctl enable vm-shell.service systemd-networkd.service",
                "--customize-hook=rm -f \"$1/etc/hostname\" \"$1/etc/resolv.conf\"",
                host.SUITE, str(tar), host.mirror()]
    log = tar.with_suffix(".log")
    with log.open("wb") as out:
        run = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if run.returncode != 0:
        tail = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise host.Missing("mmdebstrap failed: " + " / ".join(tail))


def take_kernel(tar, image):
    """Copies the kernel out of the archive, for qemu to load."""
    with tarfile.open(tar) as archive:
        name = next(name for name in archive.getnames() if name.startswith("./boot/vmlinuz-"))
        image.kernel.write_bytes(archive.extractfile(name).read())


def format_root(tar, target):
    """Makes the file system. Devices are left out: the kernel brings its own /dev, and making them
    needs more than a user namespace has."""
    script = ('set -e; mkdir "$3"; tar -x -p --numeric-owner --exclude="./dev/*" -C "$3" -f "$1"; '
              'mkfs.ext4 -q -F -L root -d "$3" "$2" "$4"; rm -rf "$3"')
    tree = target.with_suffix(".tree")
    subprocess.run([*host.as_root(), "sh", "-c", script, "sh", tar, target, tree, SIZE], check=True,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
