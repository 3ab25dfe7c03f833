"""The two ways into a machine: the serial console, as a person has it, and the shell of the tests."""

import base64
import re
import socket
import threading
import time

from . import host


class Failed(Exception):
    """A command in the machine failed, or what was waited for did not come."""


class Line:
    """A socket of qemu's, read by a thread for as long as it lives."""

    def __init__(self, path, machine):
        self.machine = machine
        self.socket = connect(path, machine)
        self.received = bytearray()
        self.arrived = threading.Condition()
        self.closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                piece = self.socket.recv(65536)
            except OSError:
                piece = b""
            with self.arrived:
                self.received += piece
                self.closed = not piece
                self.arrived.notify_all()
            if not piece:
                return

    def wait(self, found, what, seconds):
        """Waits until `found(received)` is true and returns that."""
        seconds *= host.PATIENCE
        deadline = time.monotonic() + seconds
        with self.arrived:
            while not (result := found(self.received)):
                left = deadline - time.monotonic()
                if self.closed or left <= 0 or not self.arrived.wait(min(left, 5)) and not self.machine.alive():
                    reason = "qemu ended" if self.closed or not self.machine.alive() else f"not within {seconds:.0f} s"
                    raise Failed(f"{self.machine.name}: {what}: {reason}")
        return result

    def send(self, data):
        """Writes all of it."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Failed(f"{self.machine.name}: qemu ended") from error


class Console(Line):
    """The serial console."""

    def text(self):
        """All that was printed so far, without terminal control sequences."""
        return clean(bytes(self.received))

    def expect(self, pattern, seconds, after=0):
        """Waits until the console has printed what matches, and returns the match."""
        return self.wait(lambda seen: re.search(pattern, clean(bytes(seen))[after:], re.MULTILINE | re.DOTALL),
                         f"the console never printed {pattern!r}", seconds)

    def type(self, text):
        """Types, as a person who pastes would: at once, with carriage returns."""
        self.send(text.replace("\n", "\r").encode())


class Shell(Line):
    """Commands as root, one after the other."""

    def __init__(self, path, machine):
        super().__init__(path, machine)
        self.count = 0

    def ready(self, seconds):
        """Waits until the machine answers."""
        self.wait(lambda seen: b"ready 0 -\n" in seen, "the shell never answered", seconds)

    def run(self, script, seconds=60):
        """Runs a bash script; returns its exit status and what it printed on both outputs."""
        self.count += 1
        call = f"c{self.count}"
        self.send(f"{call} {seconds * host.PATIENCE} {base64.b64encode(script.encode()).decode()}\n".encode())
        answer = re.compile(rf"^{call} (\d+) (\S*)\n".encode(), re.MULTILINE)
        match = self.wait(answer.search, f"no answer to `{brief(script)}`", seconds + 30)
        with self.arrived:
            status, output = int(match.group(1)), base64.b64decode(match.group(2))
            self.received.clear()
        return status, output.decode(errors="replace")


def connect(path, machine):
    """Connects to a socket that qemu is about to make."""
    deadline = time.monotonic() + 20
    while True:
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(str(path))
            return stream
        except OSError as error:
            stream.close()
            if time.monotonic() > deadline or not machine.alive():
                raise host.Missing(f"qemu did not start: {machine.complaint() or error}") from error
            time.sleep(0.05)


def clean(data):
    """Bytes of a terminal as plain text."""
    text = data.decode(errors="replace").replace("\r", "")
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78]|\][^\x07]*\x07)", "", text)


def brief(script):
    """A script on one short line, for messages."""
    return re.sub(r"\s+", " ", script).strip()[:80]
