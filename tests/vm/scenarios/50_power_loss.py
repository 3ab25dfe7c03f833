"""Power loss: qemu is killed under a load, what was not flushed is thrown away, and the leaf boots from
what is left.

Proven: every message whose acknowledgement left the machine was flushed by then, and every image whose
201 did, through nats-server, ext4 and the virtio disk (`Recorded` says how the disk is rebuilt). Not proven: that a real disk keeps
what it says it flushed.
"""

import re
import time

from harness import disk, host, node

AUDITOR = "/var/lib/leafbox-keys/apply/apply-SHOP.creds"
TOLD = "/dev/virtio-ports/leafbox.told"
IMAGES = "/dev/virtio-ports/leafbox.images"
ENOUGH = 150
ENOUGH_IMAGES = 3


TRIES = 4


class Cut:
    """A moment, as a place in the log of writes, and what had been acknowledged outside until then."""

    def __init__(self, at, kept, images):
        self.at = at
        self.kept = kept
        self.images = images


def run(lab, check):
    """Boots, loads, pulls the plug, boots again. Then the same for moments before, of which the log of
    writes tells as well what a cut would have left."""
    for turn in range(TRIES):
        moments, last, root = until_the_cut(lab)
        try:
            left = root.after_power_cut(lab.folder / "after.raw", seed=257)
            break
        except disk.BrokenLog as error:
            if turn + 1 == TRIES:
                raise
            print(f"--- the power is cut once more: {error}", flush=True)
    check.ok(len(last.kept) >= ENOUGH, f"{len(last.kept)} messages were acknowledged when the power went")
    check.ok(len(last.images) >= ENOUGH_IMAGES, f"and {len(last.images)} images")
    survived(lab, check, left, last, "cut 1")
    # Spread over the load, from its first image on.
    moments = [moment for moment in moments if moment.kept and moment.images]
    earlier = lab.cuts - 1
    for number in range(earlier if moments else 0):
        moment = moments[(number + 1) * len(moments) // (earlier + 1)]
        lab.end("leaf")
        left = root.after_power_cut(lab.folder / "after.raw", seed=258 + number, at=moment.at)
        survived(lab, check, left, moment, f"cut {number + 2}")


def survived(lab, check, left, cut, name):
    """Boots what a cut left, and looks for all that was acknowledged."""
    root, writes = left
    check.figure(f"power loss, {name}: acknowledged", f"{len(cut.kept)} messages, {len(cut.images)} images")
    check.figure(f"power loss, {name}: writes to the disk",
                 f"{writes['flushed']} flushed, {writes['after']} after the last flush, {writes['lost']} of them lost")
    leaf = lab.boot("leaf", root=root)
    node.ready(leaf)
    found = node.stored(leaf, "ORDERS", "orders.power", AUDITOR)
    check.equal(node.missing(cut.kept, found), [], f"{name}: after the next boot every acknowledged message is there")
    check.equal(node.twice(found), [], "and none is there twice")
    check.equal(node.images(leaf, cut.images), {}, "every image comes back byte by byte, manifest and layers")
    check.figure(f"power loss, {name}: stored beyond the acknowledged", len(found) - len(cut.kept))
    result = node.load(leaf, "orders.after", count=5)
    check.equal(len(result["acknowledged"]), 5, "and the leaf serves")
    code, text = leaf.run(f"leafimages --login {node.LOGIN} vm/after push --count 1 2>&1")
    check.ok(code == 0, "and takes an image, with the token from before", text)


def acknowledged(leaf, port="told"):
    """The numbers that arrived outside. The last line may break off."""
    return [int(number) for number in re.findall(r"^(\d+)\n", leaf.told(port), re.MULTILINE)]


def until_the_cut(lab):
    """Boots a leaf on a disk whose writes are logged, loads it, and cuts the power: the moments at
    which something more had been acknowledged, that of the cut, and the disk."""
    lab.end("leaf")
    root = disk.Recorded("root", lab.folder / "power.raw", lab.image.root)
    leaf = lab.boot("leaf", lab.offline_seed(), root=root)
    node.ready(leaf)
    node.may_push(leaf)
    # What was just installed is no subject of this test: a quick machine boots within the kernel's write-back.
    leaf.sh("sync", 120)
    node.start_images(leaf, IMAGES)
    node.start_load(leaf, "orders.power", window=8, told=TOLD)
    moments = []

    def moment():
        # In this order: what was flushed for these is in the log by then.
        now = Cut(None, acknowledged(leaf), acknowledged(leaf, "images"))
        now.at = root.written()
        before = moments[-1] if moments else None
        if before is None or (before.kept, before.images) != (now.kept, now.images):
            moments.append(now)
        return now

    deadline = time.monotonic() + 240 * host.PATIENCE
    while len(moment().kept) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.1)
    # Right after a 201.
    enough = max(ENOUGH_IMAGES, len(moment().images) + 1)
    while len(moment().images) < enough and time.monotonic() < deadline:
        time.sleep(0.005)
    leaf.power_off()
    last = moment()
    lab.end("leaf")
    return moments, last, root
