"""One virtual machine: its qemu process, its way in and out, its end."""

import base64
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import console, host
from .console import Failed

BOOT_SECONDS = 180


class Machine:
    """A machine that runs. Nothing of it is reachable from outside: its network cards end in
    unix sockets, its console and shell too."""

    def __init__(self, name, image, accelerator, disks, memory=256, cards=()):
        self.name = name
        # Socket paths are limited to about 100 bytes, wherever the repository is.
        self.folder = Path(tempfile.mkdtemp(prefix="leafbox-vm-"))
        self.started = time.monotonic()
        self.errors = open(self.folder / "qemu.err", "w+b")
        self.process = subprocess.Popen(self._command(image, accelerator, disks, memory, cards),
                                        stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                                        preexec_fn=die_with_parent)
        self.console = console.Console(self.folder / "console", self)
        self.shell = console.Shell(self.folder / "shell", self)
        self.monitor = None

    def _command(self, image, accelerator, disks, memory, cards):
        kvm = accelerator == "kvm"
        command = ["qemu-system-x86_64", "-name", self.name, "-machine", "pc", "-nodefaults", "-no-user-config", "-no-reboot",
                   "-display", "none", "-m", str(memory), "-smp", "2",
                   "-accel", "kvm" if kvm else "tcg,thread=multi",
                   # AES instructions, which nats-server encrypts its store with.
                   "-cpu", "host" if kvm else "Westmere,-cx16,+rdrand",
                   "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
                   "-kernel", str(image.kernel), "-initrd", str(image.initrd),
                   "-append", "console=ttyS0 panic=-1 quiet net.ifnames=0 mitigations=off cryptomgr.notests random.trust_cpu=1 modprobe.blacklist=ata_piix,ata_generic,libata,serio_raw,button,aesni_intel,ghash_clmulni_intel,sha512_ssse3,sha256_ssse3,sha1_ssse3,crct10dif_pclmul,crc32_pclmul,evdev",
                   "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
                   "-chardev", f"socket,id=console,path={self.folder}/console,server=on,wait=off",
                   "-serial", "chardev:console", "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=shell,path={self.folder}/shell,server=on,wait=off",
                   "-device", "virtserialport,chardev=shell,name=leafbox.shell"]
        for port in ("told", "images"):
            # One program at a time can write to a port.
            command += ["-chardev", f"file,id={port},path={self.folder}/{port}",
                        "-device", f"virtserialport,chardev={port},name=leafbox.{port}"]
        for disk in disks:
            # Requests that write zeroes can spoil qemu's log of writes: see `disk.BrokenLog`.
            command += ["-blockdev", json.dumps(disk.blockdev()),
                        "-device", f"virtio-blk-pci,drive={disk.name},serial={disk.name},discard=off,write-zeroes=off"]
        for number, card in enumerate(cards):
            command += ["-netdev", f"stream,id=net{number},{card}",
                        "-device", f"virtio-net-pci,netdev=net{number},id=card{number},"
                                   f"mac={mac(self.name, number)}"]
        return command

    def alive(self):
        """Whether qemu runs."""
        return self.process.poll() is None

    def complaint(self):
        """What qemu said on its way out."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()[-300:]

    def booted(self):
        """Waits until the shell answers, early in the boot."""
        self.shell.ready(BOOT_SECONDS)
        return self

    def run(self, script, seconds=60):
        """Runs a script as root; returns exit status and output."""
        return self.shell.run(script, seconds)

    def sh(self, script, seconds=60):
        """Runs a script that must succeed; returns its output."""
        status, output = self.run(script, seconds)
        if status != 0:
            raise Failed(f"{self.name}: `{console.brief(script)}` exited {status}: {output.strip()[-600:]}")
        return output.rstrip("\n")

    def until(self, script, seconds, what=None):
        """Runs a script again and again until it succeeds; returns its output."""
        seconds *= host.PATIENCE
        deadline = time.monotonic() + seconds
        while True:
            status, output = self.run(script)
            if status == 0:
                return output.rstrip("\n")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: {what or console.brief(script)}: not within {seconds:.0f} s: "
                             f"{output.strip()[-600:]}")
            time.sleep(0.2)

    def put(self, path, data, mode=0o644):
        """Writes a file in the machine."""
        text = base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()
        self.sh(f"install -D -m {mode:o} /dev/stdin '{path}' < <(base64 -d <<<'{text}')")

    def told(self, port="told"):
        """What programs in the machine wrote to the port `leafbox.<port>`: it survives the machine."""
        return (self.folder / port).read_text(errors="replace")

    def link(self, card, up):
        """Plugs a network card's cable in or out."""
        self._monitor("set_link", name=f"card{card}", up=up)

    def _monitor(self, command, **arguments):
        if self.monitor is None:
            self.monitor = socket.socket(socket.AF_UNIX)
            self.monitor.connect(str(self.folder / "qmp"))
            self.answers = self.monitor.makefile("r")
            self.answers.readline()
            self._monitor("qmp_capabilities")
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.answers.readline())
            if "error" in answer:
                raise Failed(f"{self.name}: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return

    def power_off(self):
        """Pulls the plug: nothing in the machine gets to end anything."""
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        """Ends the machine and removes its sockets."""
        self.power_off()
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def mac(name, number):
    """A locally administered address that is this card's own."""
    return "52:54:00:%02x:%02x:%02x" % (sum(name.encode()) & 0xFF, len(name), number)


def die_with_parent():
    """Asks Linux to end qemu when the runner ends, however it does."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    os.setpgrp()
