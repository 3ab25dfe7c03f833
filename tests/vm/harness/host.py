"""What the machine that runs the tests has: tools, a Debian mirror, acceleration, leafbox's binaries.

Nothing here changes the machine. What is missing becomes a `Missing`, whose text is the reason that
the run prints when it skips.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "vm"
SUITE = "trixie"
# Deadlines only tell hanging from slow; on a machine that is busy with other things they can be longer.
PATIENCE = float(os.environ.get("LEAFBOX_VM_PATIENCE", "1"))


class Missing(Exception):
    """Something that the tests need is not on this machine."""


def need_tools():
    """Raises `Missing` with every tool that is not there."""
    tools = ["qemu-system-x86_64", "qemu-img", "mmdebstrap", "mkfs.ext4", "tar", "cargo"]
    missing = [tool for tool in tools if not find(tool)]
    if missing:
        raise Missing(f"{', '.join(missing)}: not found; on Debian: apt-get install mmdebstrap "
                      "qemu-system-x86 qemu-utils e2fsprogs")
    if os.uname().machine != "x86_64":
        raise Missing(f"the image is for x86_64, this machine is {os.uname().machine}")


def find(tool):
    """The path of a program. Administrators' folders are looked in too: users lack them in PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return shutil.which(tool, path=path)


def mirror():
    """The Debian mirror that this machine's own apt is configured for."""
    fields = "$(ORIGIN) $(COMPONENT) $(CODENAME) $(SITE)"
    listed = subprocess.run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
                            capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        origin, component, codename, site = (line.split() + [""] * 4)[:4]
        # Security updates are of the same origin, but hold no whole system.
        if origin == "Debian" and component == "main" and "security" not in codename + site:
            return site
    raise Missing("apt knows no Debian mirror: run `apt-get update` on a Debian machine")


def as_root():
    """The command prefix under which files can belong to root in an image: none for root itself,
    else a user namespace with a range of ids, else fakeroot."""
    if os.geteuid() == 0:
        return []
    namespace = ["unshare", "--map-root-user", "--map-auto"]
    for prefix in (namespace, ["fakeroot"]):
        if find(prefix[0]) and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    raise Missing("an image needs root, user namespaces with a range in /etc/subuid, or fakeroot")


def accelerator(kernel, initrd):
    """`kvm` if a kernel boots with it to its first lines, else `tcg`. /dev/kvm alone proves nothing:
    in a nested machine it may be there and run no guest."""
    wanted = os.environ.get("LEAFBOX_VM_ACCEL")
    if wanted:
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    probe = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none",
         "-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initrd),
         "-append", "console=ttyS0 panic=-1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.set_blocking(probe.stdout.fileno(), False)
    seen, deadline = b"", time.monotonic() + 20
    try:
        while probe.poll() is None and time.monotonic() < deadline:
            seen += probe.stdout.read() or b""
            if b"Run /init as init process" in seen or b"Loading, please wait" in seen:
                return "kvm"
            time.sleep(0.1)
    finally:
        probe.kill()
        probe.wait()
    return "tcg"


def binaries():
    """Builds and returns the programs that go onto the appliance: name to path."""
    folder = os.environ.get("LEAFBOX_VM_BINARIES")
    if not folder:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "leafbox", "-p", "health",
                        "-p", "registry", "-p", "sse-bridge"],
                       cwd=ROOT, check=True)
        folder = TARGET / "release"
    names = ("leafbox", "leafbox-health", "leafbox-registry", "leafbox-sse-bridge")
    found = {name: Path(folder).resolve() / name for name in names}
    found["nats-server"] = nats_server(found["leafbox"])
    return found


def nats_server(leafbox):
    """The nats-server that leafbox uses here: the named one, or the one that it fetches and checks."""
    given = os.environ.get("LEAFBOX_NATS_SERVER")
    if given:
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leafbox"
    if not list(cache.glob("nats-server-*/nats-server")):
        data = WORK / "fetch"
        environment = dict(os.environ, PATH="/usr/bin:/bin")
        run = subprocess.run([leafbox, "dev", "--once", "--any-port", "--data", data], cwd=WORK, env=environment,
                             capture_output=True, text=True, check=False)
        shutil.rmtree(data, ignore_errors=True)
        if run.returncode != 0:
            raise Missing(f"leafbox could not fetch nats-server: {run.stderr.strip()[-300:]}")
    found = sorted(cache.glob("nats-server-*/nats-server")) or [find("nats-server")]
    if not found[-1]:
        raise Missing("nats-server is neither in leafbox's cache nor on PATH")
    return Path(found[-1])
