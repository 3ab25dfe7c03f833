"""The machines of a run. Booting is what costs in emulation, so scenarios share them: who needs a
machine asks for it, and gets the one that runs or a new one."""

import pathlib
import shutil
import tempfile

from . import console, disk, host, image, node, operator, qemu, seed

ADDRESSES = {"hub": "10.77.0.1/24", "leaf": "10.77.0.2/24"}


class Lab:
    """Everything that scenarios work with."""

    def __init__(self):
        host.need_tools()
        host.WORK.mkdir(parents=True, exist_ok=True)
        # Two runs at once do not meet.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=host.WORK))
        self.binaries = host.binaries()
        self.image = image.base()
        self.accelerator = host.accelerator(self.image.kernel, self.image.initrd)
        self.operator = operator.Operator(self.folder / "operator", self.binaries)
        self.machines = {}
        self.cables = []
        self.made = 0
        self.update = False
        self.cuts = 2

    def boot(self, *arguments, **options):
        """Starts a machine and waits until its shell answers."""
        return self.start(*arguments, **options).booted()

    def start(self, name, contents=None, root=None, memory=256, cards=()):
        """Starts a machine from a new copy of the image, or from the disk given."""
        self.made += 1
        where = self.folder / f"{self.made}-{name}"
        disks = [root or disk.Overlay("root", where.with_suffix(".qcow2"), self.image.root)]
        if contents:
            contents.write(where.with_suffix(".tar"))
            disks.append(disk.Raw("seed", where.with_suffix(".tar"), read_only=True))
        machine = qemu.Machine(name, self.image, self.accelerator, disks, memory, cards)
        self.machines[name] = machine
        return machine

    def offline_leaf(self):
        """A leaf that has its credentials and no network card at all, as after a normal boot."""
        if "leaf" not in self.machines:
            self.boot("leaf", self.offline_seed())
        return self.machines["leaf"]

    def offline_seed(self):
        """What that leaf is made of."""
        contents = seed.enrolled_beforehand(seed.node("leaf", self.binaries), "leaf", self.operator)
        return contents.put(node.TILL, self.operator.service("SHOP", "till-1").read_bytes(), 0o600)

    def hub_and_fresh_leaf(self):
        """A hub that runs, and a leaf at its first boot, with a cable between them."""
        certificates = self.operator.certificates()
        # The path of a unix socket is short.
        cable = pathlib.Path(tempfile.mkdtemp(prefix="leafbox-cable-")) / "socket"
        self.cables.append(cable.parent)
        hub = seed.enrolled_beforehand(seed.node("hub", self.binaries), "hub", self.operator)
        seed.card(hub, ADDRESSES["hub"])
        # /run is new at every boot.
        rules = "d /run/secrets 0700 root root -\n"
        for name in ("hub.crt", "hub.key"):
            hub.put(f"/etc/leafbox-vm/{name}", certificates[name], 0o600)
            rules += f"C /run/secrets/{name} 0600 root root - /etc/leafbox-vm/{name}\n"
        hub.put("/etc/tmpfiles.d/leafbox-vm.conf", rules)
        for path in self.operator.folder.rglob("*"):
            name = str(path.relative_to(self.operator.folder))
            if path.is_file() and (name.startswith("data/keys/") or name.startswith("data/jwts/")
                                   or name in ("fleet.toml", "node.toml")):
                hub.put(f"{seed.OWN}/operator/{name}", path.read_bytes(), 0o600)
                for folder in list(pathlib.Path(name).parents)[:-1]:
                    hub.folder(f"{seed.OWN}/operator/{folder}", 0o700)
        leaf = seed.card(seed.node("leaf", self.binaries), ADDRESSES["leaf"])
        leaf.put("/etc/hosts", f"127.0.0.1 localhost\n{ADDRESSES['hub'].split('/')[0]} {operator.HUB}\n")
        leaf.put("/etc/ssl/certs/ca-certificates.crt", certificates["ca.crt"])
        hub = self.start("hub", hub, memory=320, cards=[f"server=on,addr.type=unix,addr.path={cable}"])
        leaf = self.start("leaf", leaf, cards=[f"server=off,addr.type=unix,addr.path={cable}"])
        return hub.booted(), leaf.booted()

    def hub_and_enrolled_leaf(self):
        """The two machines that the enrolment left."""
        if "hub" not in self.machines:
            raise host.Missing("the enrolment did not succeed before")
        return self.machines["hub"], self.machines["leaf"]

    def end(self, name):
        """Ends a machine, if it runs."""
        if name in self.machines:
            self.machines.pop(name).remove()

    def explain(self):
        """Prints what the machines' journals say last: the reason of a failure is mostly there."""
        for machine in self.machines.values():
            if not machine.alive():
                print(f"        {machine.name}: {machine.complaint()}", *machine.console.text()[-3000:].splitlines(), sep="\n        ")
                continue
            try:
                _, text = machine.run("systemctl --no-pager --failed; journalctl --no-pager -o short-monotonic -n 25", 30)
            except console.Failed as error:
                text = f"{error}\n{machine.console.text()[-3000:]}"
            print(f"        {machine.name}:", *text.splitlines(), sep="\n        ", flush=True)

    def end_all(self):
        """Ends all machines, so that what one scenario broke does not fail the next."""
        for name in list(self.machines):
            self.end(name)

    def close(self, keep=False):
        """Ends all machines and removes their disks."""
        self.end_all()
        for folder in self.cables:
            shutil.rmtree(folder, ignore_errors=True)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
