"""Killed and hung daemons come back, and what was acknowledged stays."""

from harness import node

AUDITOR = "/var/lib/leafbox-keys/apply/apply-SHOP.creds"


def run(lab, check):
    """One leaf, hit again and again."""
    leaf = lab.offline_leaf()
    node.ready(leaf)
    killed_server(leaf, check)
    hung_server(leaf, check)
    for unit in ("leafbox-health", "leafbox-uplink", "leafbox-registry", "leafbox-sse-bridge"):
        killed_daemon(leaf, check, unit)


def killed_server(leaf, check):
    """kill -9 of nats-server while it is written to."""
    node.start_load(leaf, "orders.kill", window=8)
    for _ in range(3):
        node.progress(leaf, "orders.kill")
        before = main_pid(leaf, "leafbox-nats")
        leaf.sh(f"kill -9 {before}")
        another(leaf, "leafbox-nats", before)
    node.progress(leaf, "orders.kill")
    result = node.end_load(leaf, "orders.kill")
    found = node.stored(leaf, "ORDERS", "orders.kill", AUDITOR)
    acknowledged = result["acknowledged"]
    check.equal(node.missing(acknowledged, found), [],
                f"kill -9 of nats-server, 3 times under load: {len(acknowledged)} acknowledged, none lost")
    check.equal(node.twice(found), [], "and none is there twice")
    check.ok(result["lost"] >= 3, "the client saw its connection break each time", result["lost"])
    check.figure("kill -9 of nats-server: longest gap between acknowledgements", f"{result['longest_gap_s']} s")
    node.ready(leaf)
    check.ok(True, "the units that need nats-server are active again")


def hung_server(leaf, check):
    """A nats-server that is stopped but not gone: only the watchdog sees that. Its two minutes are
    made shorter for the test by a drop-in; nothing else is."""
    drop_in = "/run/systemd/system/leafbox-nats.service.d/watchdog.conf"
    leaf.put(drop_in, "[Service]\nWatchdogSec=15s\n")
    leaf.sh("systemctl daemon-reload; systemctl restart leafbox-nats", 120)
    node.ready(leaf)
    before = main_pid(leaf, "leafbox-nats")
    leaf.sh(f"kill -STOP {before}")
    another(leaf, "leafbox-nats", before)
    journal = leaf.sh("journalctl --no-pager -u leafbox-nats -o cat | grep -i watchdog | tail -3 || true")
    check.ok("atchdog" in journal, "a nats-server that hangs is restarted by the watchdog", journal)
    result = node.load(leaf, "orders.hung", count=5)
    check.equal(len(result["acknowledged"]), 5, "and serves again")
    leaf.sh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart leafbox-nats", 120)
    node.ready(leaf)


def killed_daemon(leaf, check, unit):
    """kill -9 of one of leafbox's own."""
    server, before = main_pid(leaf, "leafbox-nats"), main_pid(leaf, unit)
    leaf.sh(f"kill -9 {before}")
    another(leaf, unit, before)
    check.ok(main_pid(leaf, unit) != before, f"kill -9 of {unit}: it is back")
    check.equal(main_pid(leaf, "leafbox-nats"), server, "and nats-server did not notice")


def main_pid(leaf, unit):
    """The main process of a unit."""
    return node.properties(leaf, f"{unit}.service", "MainPID")["MainPID"]


def another(leaf, unit, before):
    """Waits until the unit is active with another main process."""
    leaf.until(f'systemctl is-active --quiet {unit} && [ "$(systemctl show -P MainPID {unit})" != {before} ]',
               node.READY_SECONDS, f"{unit} active with another process than {before}")
