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


def run(lab, check):
    """Boots, loads, pulls the plug, boots again."""
    for turn in range(TRIES):
        kept, images, root = until_the_cut(lab)
        try:
            left, writes = root.after_power_cut(lab.folder / "after.raw", seed=257)
            break
        except disk.BrokenLog as error:
            if turn + 1 == TRIES:
                raise
            print(f"--- the power is cut once more: {error}", flush=True)
    check.ok(len(kept) >= ENOUGH, f"{len(kept)} messages were acknowledged when the power went")
    check.ok(len(images) >= ENOUGH_IMAGES, f"and {len(images)} images")
    check.figure("power loss: writes to the disk", f"{writes['flushed']} flushed, {writes['after']} after the last "
                                                   f"flush, {writes['lost']} of them lost")
    leaf = lab.boot("leaf", root=left)
    node.ready(leaf)
    found = node.stored(leaf, "ORDERS", "orders.power", AUDITOR)
    check.equal(node.missing(kept, found), [], "after the next boot every acknowledged message is there")
    check.equal(node.twice(found), [], "and none is there twice")
    check.equal(node.images(leaf, images), {}, "every image comes back byte by byte, manifest and layers")
    check.figure("power loss: stored beyond the acknowledged", len(found) - len(kept))
    result = node.load(leaf, "orders.after", count=5)
    check.equal(len(result["acknowledged"]), 5, "and the leaf serves")
    code, text = leaf.run(f"leafimages --login {node.LOGIN} vm/after push --count 1 2>&1")
    check.ok(code == 0, "and takes an image, with the token from before", text)


def acknowledged(leaf, port="told"):
    """The numbers that arrived outside. The last line may break off."""
    return [int(number) for number in re.findall(r"^(\d+)\n", leaf.told(port), re.MULTILINE)]


def until_the_cut(lab):
    """Boots a leaf on a disk whose writes are logged, loads it, and cuts the power: what was
    acknowledged, and the disk."""
    lab.end("leaf")
    root = disk.Recorded("root", lab.folder / "power.raw", lab.image.root)
    leaf = lab.boot("leaf", lab.offline_seed(), root=root)
    node.ready(leaf)
    node.may_push(leaf)
    # What was just installed is no subject of this test: a quick machine boots within the kernel's write-back.
    leaf.sh("sync", 120)
    node.start_images(leaf, IMAGES)
    node.start_load(leaf, "orders.power", window=8, told=TOLD)
    deadline = time.monotonic() + 240 * host.PATIENCE
    while len(acknowledged(leaf)) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.1)
    # Right after a 201.
    enough = max(ENOUGH_IMAGES, len(acknowledged(leaf, "images")) + 1)
    while len(acknowledged(leaf, "images")) < enough and time.monotonic() < deadline:
        time.sleep(0.005)
    leaf.power_off()
    kept, images = acknowledged(leaf), acknowledged(leaf, "images")
    lab.end("leaf")
    return kept, images, root
