"""What must be refused is refused with leafbox's words, once, and without touching data."""

from harness import node

KEYS = "/var/lib/leafbox-keys"
WORLD = f"{node.OWN}/world"


def run(lab, check):
    """Breaks one thing after the other, and mends it."""
    leaf = lab.offline_leaf()
    node.ready(leaf)
    before = len(node.load(leaf, "orders.before", count=10)["acknowledged"])
    check.equal(before, 10, "ten messages are stored before")
    wrong_key(leaf, check)
    readable_credential(leaf, check)
    missing_credential(leaf, check)
    bad_option(leaf, check)
    node.ready(leaf)
    found = node.stored(leaf, "ORDERS", "orders.before", f"{KEYS}/apply/apply-SHOP.creds")
    check.equal(sorted(found), list(range(10)), "after all of it the ten messages are there, and the leaf serves")


def wrong_key(leaf, check):
    """nats-server would offer empty stores in place of those that it cannot read."""
    leaf.sh("systemctl stop leafbox.target 'leafbox-*.service'", 120)
    before = leaf.sh(f"cp -a {KEYS}/nats/jetstream.key {node.OWN}/jetstream.key; "
                     f"head -c 32 /dev/urandom | base64 >{KEYS}/nats/jetstream.key; {digest()}")
    text = refused(leaf, "leafbox-nats")
    check.ok("jetstream" in text.lower() and "key" in text, "a wrong JetStream key is refused", text)
    check.figure("refusal of a wrong key", last_line(text))
    check.equal(leaf.sh(digest()), before, "and no file of the store was touched")
    leaf.sh(f"systemctl stop leafbox-nats; mv {node.OWN}/jetstream.key {KEYS}/nats/jetstream.key")


def readable_credential(leaf, check):
    """A credential that others can read: refused where leafbox itself opens it. systemd hands out
    copies, so under systemd it is the files in the data directory of `leafbox run` that count."""
    leaf.sh(f"install -d -m 700 {WORLD}/data/keys; cp {KEYS}/nats/* {WORLD}/data/keys/; "
            f"chmod 644 {WORLD}/data/keys/jetstream.key; cp /etc/leafbox/*.toml {WORLD}/; "
            f"cp -r /var/lib/leafbox/jwts {WORLD}/data/; sed -i 's|^data = .*|data = \"data\"|' {WORLD}/node.toml")
    code, text = leaf.run(f"cd {WORLD} && LEAFBOX_NATS_SERVER=/usr/bin/nats-server timeout 60 "
                          "leafbox --config node.toml run 2>&1")
    check.ok(code not in (0, 124) and "chmod 600" in text and "jetstream.key" in text,
             "a world-readable key is refused with the command that mends it", f"exit {code}: {text[-500:]}")
    leaf.sh(f"rm -r {WORLD}")


def missing_credential(leaf, check):
    """Without its key the store must not be opened at all."""
    leaf.sh(f"systemctl stop leafbox-nats; mv {KEYS}/nats/jetstream.key {node.OWN}/")
    text = refused(leaf, "leafbox-nats")
    check.ok("jetstream.key" in text, "a missing credential is named", text)
    leaf.sh(f"systemctl stop leafbox-nats; mv {node.OWN}/jetstream.key {KEYS}/nats/")


def bad_option(leaf, check):
    """A mistake in node.toml does not go away by itself: leafbox's own units are not restarted for it."""
    leaf.sh(f"cp /etc/leafbox/node.toml {node.OWN}/; sed -i 's/^role = .*/role = \"leaff\"/' /etc/leafbox/node.toml")
    code, text = leaf.run(node.LEAFBOX + "leafbox check 2>&1")
    check.equal(code, 2, "`leafbox check` of a bad option exits with 2")
    check.ok("role" in text and "leaff" in text, "and names key and value", text)
    leaf.sh("systemctl reset-failed 'leafbox-*'; systemctl start --no-block leafbox-health")
    leaf.until("systemctl is-failed --quiet leafbox-health", node.READY_SECONDS, "leafbox-health failed")
    values = node.properties(leaf, "leafbox-health.service", "NRestarts", "ExecMainStatus", "SubState")
    check.equal((values["ExecMainStatus"], values["NRestarts"], values["SubState"]), ("2", "0", "failed"),
                "leafbox-health exits with 2 and is not restarted")
    text = leaf.sh("journalctl --no-pager -o cat -u leafbox-health -n 20")
    check.ok("leaff" in text, "and its journal says the mistake", text)
    text = refused(leaf, "leafbox-nats")
    check.ok("leaff" in text, "so does leafbox-nats", text)
    leaf.sh(f"systemctl stop 'leafbox-*.service'; mv {node.OWN}/node.toml /etc/leafbox/node.toml; "
            "systemctl reset-failed 'leafbox-*'; systemctl start leafbox.target", 180)


def refused(leaf, unit):
    """Starts a unit that must not come up; returns what it said, since the start."""
    cursor = leaf.sh("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'")
    leaf.sh(f"systemctl reset-failed {unit} || true; systemctl start --no-block {unit}")
    leaf.until(f'[ "$(systemctl show -P ExecMainStatus {unit})" != 0 ] || systemctl is-failed --quiet {unit} || '
               f'[ "$(systemctl show -P NRestarts {unit})" -gt 0 ]', node.READY_SECONDS, f"{unit} refused")
    return leaf.sh(f"journalctl --no-pager -o cat -u {unit} --after-cursor '{cursor}'")


def digest():
    """A command that sums up every file of the store."""
    return "cd /var/lib/leafbox/jetstream && find . -type f -exec sha256sum {} + | sort | sha256sum"


def last_line(text):
    """The line in which leafbox says why."""
    lines = [line for line in text.splitlines() if "jetstream" in line.lower()]
    return (lines or [""])[0][:160]
