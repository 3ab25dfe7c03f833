"""A leaf boots with no network at all and serves; its units are as closed as is claimed; its memory."""

import json
import re

from harness import hardening, node

MEMORY_MIB = 120
CONSOLE_MIB = 20


def run(lab, check):
    """Boots, then looks at the machine from all sides."""
    leaf = lab.offline_leaf()
    node.ready(leaf)
    check.ok(True, "all units are active on a machine without a network card")
    boot_figures(leaf, check)
    serves(leaf, check)
    journal(leaf, check)
    no_secret(lab, leaf, check)
    memory(leaf, check)
    hardening.check(lab, leaf, check)


def boot_figures(leaf, check):
    """How long it took, for the closing note."""
    leaf.until("systemctl is-system-running | grep -Ev 'starting|initializing'", node.READY_SECONDS)
    check.equal(leaf.sh("systemctl --failed --no-legend --plain"), "", "no unit has failed")
    analyzed = leaf.sh("systemd-analyze time | head -1")
    check.figure("boot", analyzed.removeprefix("Startup finished in "))
    for unit in ("leafbox-nats.service", "leafbox-health.service", "leafbox-registry.service",
                 "leafbox-sse-bridge.service"):
        times = node.properties(leaf, unit, "ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic")
        ready = int(times["ActiveEnterTimestampMonotonic"]) / 1e6
        took = ready - int(times["InactiveExitTimestampMonotonic"]) / 1e6
        check.figure(f"{unit} READY", f"{ready:.1f} s after the kernel's start, {took:.1f} s after its own")


def serves(leaf, check):
    """Publishes, reads, and asks leafbox itself."""
    result = node.load(leaf, "orders.boot", count=20)
    check.equal(len(result["acknowledged"]), 20, "20 messages are acknowledged")
    found = node.stored(leaf, "ORDERS", "orders.boot", "/var/lib/leafbox-keys/apply/apply-SHOP.creds")
    check.equal(sorted(found), list(range(20)), "and all are in the stream, once")
    status = leaf.sh(node.LEAFBOX + "leafbox status 2>&1 || true")
    check.ok("ready     yes" in status and "uplink    down" in status,
             "`leafbox status` as root: the node is ready, its uplink is down", status)
    check.ok("ORDERS" in status, "and it shows the stores", status)
    code, text = leaf.run(node.LEAFBOX + "leafbox health --json")
    check.ok(code == 0, "`leafbox health`: the leaf is ready without its uplink", text)


def journal(leaf, check):
    """What leafbox logs arrives with fields, not as text alone."""
    text = leaf.sh("journalctl --no-pager -o json -u 'leafbox-*' | head -400")
    entries = [json.loads(line) for line in text.splitlines()]
    ours = [entry for entry in entries if str(entry.get("_COMM", "")).startswith("leafbox")]
    check.ok(ours, "leafbox's daemons log to the journal")
    with_level = [entry for entry in ours if entry.get("_TRANSPORT") == "journal" and "TARGET" in entry]
    fields = sorted({key for entry in with_level for key in entry if not key.startswith("_")})
    check.ok(with_level, "by the journal's own protocol, with tracing's fields", f"fields of ours: {ours[:2]}")
    check.ok(any("NAME" in key for key in fields), "identifiers are fields (account.name, stream.name, client.name)",
             f"fields: {fields}")


def no_secret(lab, leaf, check):
    """Every seed, every creds' seed and the store's key: not in the journal, not in a process's arguments,
    not in an environment that another user can read, not in a file that leafbox wrote."""
    leaf.put("/run/secrets.txt", "\n".join(sorted(lab.operator.secrets())) + "\n", 0o600)
    # Read by grep from a file, so that the search itself does not show them.
    places = {
        "the journal": "journalctl --no-pager -o export",
        "process arguments": "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
        "what the data directory holds": "find /var/lib/leafbox -type f -exec cat {} +",
        "unit properties": "systemctl show --no-pager 'leafbox*'",
        "what `leafbox` can read of other users": "setpriv --reuid nobody --regid nogroup --clear-groups "
                                               "sh -c 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; "
                                               "cat /var/lib/leafbox-keys/*/* /run/credentials/*/* 2>/dev/null; true'",
    }
    for place, command in places.items():
        code, text = leaf.run(f"set -o pipefail; {command} | grep -a -c -F -f /run/secrets.txt", 120)
        check.ok(code == 1 and text.strip() == "0", f"no secret in {place}", f"grep exited {code}: {text}")
    # The twin: the same search finds them where they are.
    code, _ = leaf.run("cat /var/lib/leafbox-keys/*/* | grep -q -F -f /run/secrets.txt")
    check.equal(code, 0, "the same search finds them in their own files")
    leaf.sh("rm /run/secrets.txt")


def memory(leaf, check):
    """The whole leaf, idle: what its processes hold, and what their cgroups are charged."""
    held, charged = 0, 0
    for unit in node.UNITS:
        values = node.properties(leaf, f"{unit}.service", "MemoryCurrent", "ControlGroup")
        if not values["ControlGroup"]:
            # The oneshot has done its work and gone.
            continue
        current = int(values["MemoryCurrent"]) if values["MemoryCurrent"].isdigit() else 0
        text = leaf.sh(f"for p in $(cat /sys/fs/cgroup{values['ControlGroup']}/cgroup.procs 2>/dev/null); do "
                       "awk -v c=$(cat /proc/$p/comm) '/^Pss:/{p=$2}/^Rss:/{r=$2} END{print c, r, p}' "
                       "/proc/$p/smaps_rollup; done")
        rows = [line.split() for line in text.splitlines()]
        pss = sum(int(row[2]) for row in rows)
        held, charged = held + pss, charged + current
        check.figure(f"memory of {unit}", f"PSS {pss / 1024:.1f} MiB ("
                     + ", ".join(f"{name} RSS {int(rss) / 1024:.1f}" for name, rss, _ in rows)
                     + f"), cgroup {current / 2**20:.1f} MiB")
        if unit == "leafbox-sse-bridge":
            check.ok(0 < pss / 1024 < CONSOLE_MIB, f"the console, idle, is below {CONSOLE_MIB} MiB (PSS)", rows)
    check.figure("memory of the whole leaf, idle", f"PSS {held / 1024:.1f} MiB, cgroups {charged / 2**20:.1f} MiB")
    check.ok(0 < held / 1024 < MEMORY_MIB, f"the whole leaf, idle, is below {MEMORY_MIB} MiB (PSS)")
    check.figure("memory of the machine", re.sub(r" +", " ", leaf.sh("free -m | sed -n 2p")))
