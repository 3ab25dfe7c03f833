"""The seed disk: what turns the base image into a node. A tar archive, unpacked at the first boot.

The units, both files of the node, users and folders are those of `tests/rendered/<role>`, byte by byte:
what the NixOS modules produce, with /usr in place of the Nix store. The programs are put where they say.
What a scenario needs besides is a drop-in or a file of its own, so that the rendering stays what it is.
"""

import io
import re
import tarfile

from . import host

RENDERED = host.ROOT / "tests" / "rendered"
CLIENTS = host.ROOT / "tests" / "vm" / "guest"
KEYS = "var/lib/leafbox-keys"
# What is the test's own in a machine, and no part of a node. It survives a reboot.
OWN = "/var/lib/leafbox-test"


class Seed:
    """Files to lay over the root, all root's."""

    def __init__(self):
        self.files = {}
        self.links = {}
        self.folders = {}

    def put(self, path, data, mode=0o644):
        """A file; the path is absolute."""
        self.files[path.lstrip("/")] = (data.encode() if isinstance(data, str) else data, mode)
        return self

    def folder(self, path, mode):
        """A folder that needs a mode of its own."""
        self.folders[path.lstrip("/")] = mode
        return self

    def write(self, target):
        """Writes the archive, padded to whole sectors as a disk is."""
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
            for path, mode in sorted(self.folders.items()):
                entry = tarfile.TarInfo(path)
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                archive.addfile(entry)
            for path, (data, mode) in sorted(self.files.items()):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), mode
                archive.addfile(entry, io.BytesIO(data))
            for path, to in sorted(self.links.items()):
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, to
                archive.addfile(entry)


def node(role, binaries):
    """The seed of a node as it leaves the workshop: no key, no credential, no JWT."""
    seed = Seed().folder(OWN, 0o700)
    for name, path in binaries.items():
        seed.put(f"/usr/bin/{name}", path.read_bytes(), 0o755)
    for client in ("leafnats", "leafimages", "leafbrowser"):
        seed.put(f"/usr/local/bin/{client}", (CLIENTS / f"{client}.py").read_bytes(), 0o755)
    rendered = RENDERED / role
    for path in sorted(rendered.rglob("*")):
        if not path.is_file():
            continue
        name, data = str(path.relative_to(rendered)), path.read_bytes()
        if path.suffix in (".service", ".target", ".path", ".timer", ".socket"):
            seed.put(f"/etc/systemd/system/{name}", data)
            for target in re.findall(r"^WantedBy=(\S+)$", data.decode(), re.MULTILINE):
                seed.links[f"etc/systemd/system/{target}.wants/{name}"] = f"../{name}"
        else:
            # tmpfiles.d and sysusers.d have the same names in /etc.
            seed.put(f"/etc/{name.removeprefix('etc/')}", data)
    name = re.search(r'^name = "(\S+)"$', (rendered / "etc/leafbox/node.toml").read_text(), re.MULTILINE).group(1)
    seed.put("/etc/hostname", name + "\n")
    # NixOS sets it for every login.
    seed.put("/etc/profile.d/leafbox.sh", "export LEAFBOX_CONFIG=/etc/leafbox/node.toml\n")
    return seed


def enrolled_beforehand(seed, role, operator):
    """Puts in what enrolment would have made, as plain files: sealed ones open only on the machine
    that sealed them. The drop-ins say of the same folders what `enroll.encrypt = false` renders."""
    folders = {"nats": [], "apply": [], "health": [], "registry": [], "console": []}
    # What is left is nats-server's.
    own = {"health.": "health", "registry.": "registry", "apply-": "apply", "sys.": "apply", "console-": "console"}
    for path in operator.credentials(role):
        unit = next((unit for start, unit in own.items() if path.name.startswith(start)), "nats")
        folders[unit].append(path)
    seed.folder(KEYS, 0o700)
    for folder, paths in folders.items():
        seed.folder(f"{KEYS}/{folder}", 0o700)
        for path in paths:
            seed.put(f"{KEYS}/{folder}/{path.name}", path.read_bytes(), 0o600)
    for unit, folder in (("nats", "nats"), ("apply", "apply"), ("uplink", "apply"), ("health", "health"),
                         ("registry", "registry"), ("sse-bridge", "console")):
        seed.put(f"/etc/systemd/system/leafbox-{unit}.service.d/plain.conf",
                 # Takes the place of the sealed one, which has the same name. An empty assignment would
                 # forget every credential of the unit, the hub's certificate too.
                 f"[Service]\nLoadCredential=leafbox:/{KEYS}/{folder}\n")
    for path in operator.jwts():
        seed.put(f"/var/lib/leafbox/jwts/{path.name}", path.read_bytes())
    seed.put(f"/{KEYS}/enrolled", "{}\n", 0o600)
    return seed


def card(seed, address, number=0):
    """A static address on a network card."""
    return seed.put(f"/etc/systemd/network/eth{number}.network",
                    f"[Match]\nName=eth{number}\n\n[Network]\nAddress={address}\nLinkLocalAddressing=no\n")
