"""A full disk: what cannot be stored is not acknowledged, what was acknowledged stays, and the leaf
serves again once there is space."""

from harness import console, node

AUDITOR = "/var/lib/leafbox-keys/apply/apply-SHOP.creds"


def run(lab, check):
    """Fills the file system under a load and frees it again."""
    leaf = lab.offline_leaf()
    node.ready(leaf)
    node.start_load(leaf, "orders.full", window=8, size=4096)
    node.progress(leaf, "orders.full")
    # All blocks, also those that are reserved for root, and then what metadata left over.
    leaf.sh("free=$(df --output=avail -B1 / | tail -1); fallocate -l $free /ballast || true; "
            "dd if=/dev/zero of=/ballast2 bs=64k 2>/dev/null || true; dd if=/dev/zero of=/ballast3 bs=512 2>/dev/null || true; "
            "sync", 300)
    check.figure("full disk: left free", leaf.sh("df -h --output=avail / | tail -1").strip())
    stalled(leaf)
    state = leaf.sh("systemctl show -P ActiveState leafbox-nats leafbox-health | xargs")
    check.figure("full disk: leafbox-nats, leafbox-health", state)
    acked_full = int(leaf.sh("wc -l </run/orders.full.acked"))
    code, health = leaf.run(node.LEAFBOX + "leafbox health 2>&1")
    check.figure("full disk: `leafbox health`", f"exit {code}: {' / '.join(health.split(chr(10)))[:300]}")
    leaf.sh("rm /ballast /ballast2 /ballast3; sync")
    # Nobody is at the box to restart anything.
    if not check.ok(recovers(leaf), "it serves again when there is space, without help",
                    "nats-server keeps refusing to write to the stream until it is restarted"):
        leaf.sh("systemctl restart leafbox-nats", 180)
        node.progress(leaf, "orders.full")
    result = node.end_load(leaf, "orders.full")
    found = node.stored(leaf, "ORDERS", "orders.full", AUDITOR)
    check.equal(node.missing(result["acknowledged"], found), [],
                f"{len(result['acknowledged'])} acknowledged ({acked_full} before it was full), none lost")
    check.equal(node.twice(found), [], "and none is there twice")
    check.figure("full disk: refusals", result["refused"] or "none: no answer at all")
    check.figure("full disk: longest gap between acknowledgements", f"{result['longest_gap_s']} s")
    node.ready(leaf)


def stalled(leaf):
    """Waits until ten seconds bring no further acknowledgement."""
    leaf.until('a=$(wc -l </run/orders.full.acked); timeout 10 tail -f /dev/null; '
               '[ "$(wc -l </run/orders.full.acked)" = "$a" ]', 300, "publishing stalls on a full disk")


def recovers(leaf):
    """Whether publishing goes on, within a time that an order can wait."""
    try:
        node.progress(leaf, "orders.full", seconds=90)
    except console.Failed:
        return False
    return True
