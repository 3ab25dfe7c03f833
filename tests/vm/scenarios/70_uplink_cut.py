"""The uplink is cut at the network card and healed: the leaf goes on, and all arrives at the hub once."""

from harness import node

KEYS = "/var/lib/leafbox-keys"


def run(lab, check):
    """The hub and the leaf that enrolled."""
    hub, leaf = lab.hub_and_enrolled_leaf()
    node.ready(leaf)
    node.start_load(leaf, "orders.cut", window=4)
    node.progress(leaf, "orders.cut")
    node.arrived(hub, "orders.cut", 1)
    check.ok(True, "orders arrive at the hub while the link is up")

    leaf.link(0, False)
    hub.link(0, False)
    # Nobody is told of a cut: nats-server has to find out by its pings.
    leaf.until("leafnats_links=$(ss -Htn state established '( dport = :7422 )' | wc -l); [ $leafnats_links = 0 ]",
               180, "the leaf notices the cut")
    node.progress(leaf, "orders.cut", 40)
    code, text = leaf.run(node.LEAFBOX + "leafbox health")
    check.equal(code, 0, "cut off, the leaf acknowledges orders and is ready")
    at_hub = len(node.stored(hub, "ORDERS", "orders.cut", f"{KEYS}/apply/apply-SHOP.creds"))
    result = node.end_load(leaf, "orders.cut")
    acknowledged = result["acknowledged"]
    check.ok(at_hub < len(acknowledged), f"the hub has {at_hub} of {len(acknowledged)} orders meanwhile")
    check.equal(result["lost"], 0, "the leaf's client noticed nothing")

    leaf.link(0, True)
    hub.link(0, True)
    node.arrived(hub, "orders.cut", len(acknowledged))
    found = node.stored(hub, "ORDERS", "orders.cut", f"{KEYS}/apply/apply-SHOP.creds")
    check.equal(node.missing(acknowledged, found), [], "after it heals, every order is at the hub")
    check.equal(node.twice(found), [], "once")
    leaf.until(node.LEAFBOX + "leafbox status | grep -q uplink", 60)
