"""Enrolment, from a first boot without any secret to the first message on the hub: the request is read
off the console, the operator approves it on the hub, the answer is pasted into the console."""

import re

from harness import node

UNITS = " ".join(node.UNITS)
KEYS = "/var/lib/leafbox-keys"


def run(lab, check):
    """Two machines and a cable."""
    lab.end("leaf")
    hub, leaf = lab.hub_and_fresh_leaf()
    node.ready(hub)
    check.ok(True, "the hub is active")
    check.equal(secrets_of(leaf, lab), "", "the leaf's first boot has no secret of the fleet")
    code, text = leaf.run(f"systemctl is-active {UNITS}")
    check.ok(code != 0 and set(text.split()) == {"inactive"}, "and none of its units runs", text)

    request = requested(leaf, check)
    answer = approve(hub, request)
    accept(leaf, answer, check)
    node.ready(leaf)
    check.ok(True, "the answer is pasted into the console, and the units start by themselves")
    sealed(leaf, check)

    leaf.put(node.TILL, lab.operator.service("SHOP", "till-1").read_bytes(), 0o600)
    result = node.load(leaf, "orders.first", count=3)
    check.equal(len(result["acknowledged"]), 3, "three orders are acknowledged by the leaf")
    node.arrived(hub, "orders.first", 3)
    check.equal(node.stored(hub, "ORDERS", "orders.first", f"{KEYS}/apply/apply-SHOP.creds"), {0: 1, 1: 1, 2: 1},
                "and arrive at the hub once, over TLS")


def secrets_of(leaf, lab):
    """What of the operator's secrets lies on the leaf."""
    leaf.put("/run/secrets.txt", "\n".join(sorted(lab.operator.secrets())) + "\n", 0o600)
    return leaf.sh("grep -r -a -l -F -f /run/secrets.txt /etc /var /root /usr/local || true; rm /run/secrets.txt", 120)


def requested(leaf, check):
    """The request, as the console shows it to whoever stands there."""
    match = leaf.console.expect(r"-----BEGIN LEAFBOX ENROLL REQUEST-----.*?-----END LEAFBOX ENROLL REQUEST-----", 180)
    check.ok(True, "the console shows the request at the first boot")
    text = leaf.console.text()
    check.ok("fingerprint" in text, "and its fingerprint")
    check.ok("█" in text or "▀" in text, "and a code to scan", text[match.start():][:1500])
    # Copied with all that stands before each line on the console.
    start = text.rfind("\n", 0, match.start()) + 1
    return text[start:match.end()] + "\n"


def approve(hub, request):
    """The operator, at the hub, whose server takes the new accounts at once."""
    hub.put(f"{node.OWN}/operator/request", request)
    return hub.sh(f"cd {node.OWN}/operator && leafbox --config node.toml enroll approve request --yes "
                  "--output answer >approve.log 2>&1 || { cat approve.log; exit 1; }; cat answer", 180)


def accept(leaf, answer, check):
    """Types the command at the console's prompt and pastes the answer."""
    seen = len(leaf.console.text())
    leaf.console.type("\n")
    leaf.console.expect(r"# $", 60, after=seen)
    seen = len(leaf.console.text())
    leaf.console.type("leafbox enroll accept -\n")
    leaf.console.expect(r"Paste the answer", 60, after=seen)
    leaf.console.type(answer.rstrip("\n") + "\n")
    match = leaf.console.expect(r"is let into the fleet|(leafbox: [^\n]*)", 120, after=seen)
    check.ok(match.group(1) is None, "the box takes the answer", match.group(0))
    check.figure("enrolment: the answer", f"{len(answer)} characters, longest line "
                                          f"{max(map(len, answer.splitlines()))}")


def sealed(leaf, check):
    """What lies on the disk is encrypted by systemd-creds, and what the units got is not."""
    code, text = leaf.run(f"grep -r -a -l -E '^S[UAO][A-Z2-7]{{56}}$' {KEYS}")
    check.equal((code, text), (1, ""), "no seed lies on the disk in clear")
    files = leaf.sh(f"ls {KEYS}/nats").split()
    check.ok("jetstream.key" in files and any(name.startswith("leaf-") for name in files),
             "the nats folder has the store's key and the leaf's creds", files)
    given = leaf.sh("ls /run/credentials/leafbox-nats.service/").split()
    check.equal(sorted(given), sorted(f"leafbox_{name}" for name in files),
                "LoadCredentialEncrypted of the folder gives nats each file as leafbox_<name>")
    # The twin: a sealed file under another name is refused by systemd.
    leaf.sh(f"systemctl stop leafbox-health; mv {KEYS}/health/health.creds {KEYS}/health/other.creds; "
            "systemctl start leafbox-health || true; systemctl stop leafbox-health")
    code, _ = leaf.run("systemctl start leafbox-health")
    check.ok(code != 0, "a sealed file under another name does not open")
    leaf.sh(f"mv {KEYS}/health/other.creds {KEYS}/health/health.creds; systemctl reset-failed leafbox-health; "
            "systemctl start leafbox-health", 120)
