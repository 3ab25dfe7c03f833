"""Disks of machines: throw-away copies of the image, and one that remembers what a power cut keeps."""

import os
import random
import shutil
import struct
import subprocess

SECTOR = 512


class BrokenLog(Exception):
    """A log of writes that qemu wrote wrong: until version 9 it gives two entries one place when two
    requests that write zeroes come at once. Nothing can be said about the disk then."""


class Overlay:
    """A copy of the image that stores only what differs. It keeps the guest's flushes (a guest's
    fsync becomes the host's), so that it is no faster than it would be honest."""

    def __init__(self, name, path, backing):
        self.name = name
        self.path = path
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, path], check=True)

    def blockdev(self):
        """How qemu is to open it."""
        return {"driver": "qcow2", "node-name": self.name, "file": {"driver": "file", "filename": str(self.path)}}


class Raw:
    """A disk that is just a file."""

    def __init__(self, name, path, read_only=False):
        self.name = name
        self.path = path
        self.read_only = read_only

    def blockdev(self):
        """How qemu is to open it."""
        return {"driver": "raw", "node-name": self.name, "read-only": self.read_only,
                "file": {"driver": "file", "filename": str(self.path), "read-only": self.read_only}}


class Recorded(Raw):
    """A copy of the image whose writes and flushes are logged in their order, so that the disk can be
    had as a power cut would leave it.

    Killing qemu alone proves little: what the guest wrote is in the host's page cache and survives,
    flushed or not. With the log, a disk is rebuilt that has what was flushed and, of the writes after
    the last flush, only some: a disk with a volatile cache may keep any of them, in any order.

    Not modelled: a sector that is half written, and a disk that lies about flushes.
    """

    def __init__(self, name, path, image):
        super().__init__(name, path)
        self.image = image
        self.log = path.with_suffix(".log")
        copy(image, path)
        self.log.write_bytes(b"")

    def blockdev(self):
        """How qemu is to open it."""
        return {"driver": "blklogwrites", "node-name": self.name, "file": super().blockdev() | {"node-name": "data"},
                "log": {"driver": "file", "filename": str(self.log)}}

    def written(self):
        """How far the log is, in bytes: what the guest flushed until now is before it."""
        return self.log.stat().st_size

    def after_power_cut(self, path, seed, at=None):
        """Writes the disk that the cut left, or an earlier one would have, when the log was so far;
        returns it and what was flushed and lost, in writes."""
        copy(self.image, path)
        writes, flushed = read_log(self.log, at)
        chance = random.Random(seed)
        lost = 0
        with open(self.log, "rb") as log, open(path, "r+b") as disk:
            for number, (sector, count, offset) in enumerate(writes):
                if number >= flushed and chance.random() < 0.5:
                    lost += 1
                    continue
                disk.seek(sector * SECTOR)
                disk.write(os.pread(log.fileno(), count * SECTOR, offset))
        return Raw(self.name, path), {"flushed": flushed, "after": len(writes) - flushed, "lost": lost}


def read_log(path, end=None):
    """The writes in a log (the format of Linux's dm-log-writes: a header a sector long, then the
    data), each as sector, count and offset in the log; and how many came before the last flush.
    Of what begins before `end`, if it is given."""
    flush, fua, discard = 1, 2, 4
    writes, flushed = [], 0
    size = path.stat().st_size
    with open(path, "rb") as log:
        magic, _version, entries, sector_size = struct.unpack("<QQQI", log.read(28))
        if magic != 0x6A736677736872 or sector_size != SECTOR:
            raise ValueError(f"{path} is no log of writes")
        # The count in the superblock is written now and then only: the entries say where they end.
        offset, found = SECTOR, 0
        while offset + SECTOR <= size:
            sector, count, flags, _length = struct.unpack("<QQQQ", os.pread(log.fileno(), 32, offset))
            if count == 0 and flags == 0:
                break
            offset += SECTOR
            found += 1
            if end is not None and offset > end:
                return writes, flushed
            if flags & flush:
                flushed = len(writes)
            if flags & discard or count == 0:
                continue
            if offset + count * SECTOR > size:
                break
            writes.append((sector, count, offset))
            offset += count * SECTOR
            if flags & fua:
                flushed = len(writes)
    if found < entries:
        raise BrokenLog(f"{path} has {entries} entries, of which only the first {found} can be read")
    return writes, flushed


def copy(source, target):
    """Copies a sparse file."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


def free_space(path):
    """Bytes that are free on the file system of a path."""
    return shutil.disk_usage(path).free
