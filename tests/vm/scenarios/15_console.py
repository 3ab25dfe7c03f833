"""The web console of a leaf without a network: it asks who comes, lets in whom root names, and is there
while nats-server is not."""

import json
import re

from harness import node

UNIT = "leafbox-sse-bridge"
LINK = re.compile(r"http://localhost:8080/login/#enroll=(\S+)")


def run(lab, check):
    """One leaf."""
    leaf = lab.offline_leaf()
    node.ready(leaf)
    asks_who_comes(leaf, check)
    first = lets_in(leaf, check)
    writes_nothing(leaf, check)
    outlives_nats_server(leaf, check, first)


def asks_who_comes(leaf, check):
    """Nobody has a passkey yet."""
    page = browse(leaf, "/login/")
    check.ok(page["status"] == 200 and "<html" in page["text"], "/login/ is a page", page)
    elsewhere = browse(leaf, "/streams")
    check.equal((elsewhere["status"], elsewhere["headers"].get("location")), (303, "/login/?next=%2Fstreams"),
                "every other page leads there")
    check.equal(leaf.sh("ss -Hltn 'sport = :8080' | awk '{print $4}'"), "127.0.0.1:8080", "it listens on loopback alone")


def lets_in(leaf, check):
    """`leafbox console enroll` as root: with the creds that systemd gave to the unit."""
    token = invited(leaf)
    check.ok(token, "`leafbox console enroll` as root prints a link, and nothing else")
    begun = begins(leaf, token, 200)
    check.ok('"challenge"' in begun["text"], "the daemon takes its token, and asks for a passkey", begun)
    refused = begins(leaf, token[::-1], 403)
    check.ok("bad_token" in refused["text"], "and no other", refused)
    users = leaf.sh(node.LEAFBOX + "leafbox console users --json", 120)
    check.equal(json.loads(users), [], "who has no passkey yet is no user")
    return token


def writes_nothing(leaf, check):
    """What the daemon sees of the file system, from where it is."""
    pid = node.properties(leaf, f"{UNIT}.service", "MainPID")["MainPID"]
    inside = f"nsenter -t {pid} -m -- "
    for place in ("/var/lib/leafbox", "/var/lib/leafbox/jetstream", "/etc", "/usr/bin"):
        code, text = leaf.run(f"{inside} touch {place}/written")
        check.ok(code != 0 and "Read-only" in text, f"it cannot write in {place}", text)
    # The twin: the same command writes where a unit may.
    pid = node.properties(leaf, "leafbox-nats.service", "MainPID")["MainPID"]
    leaf.sh(f"nsenter -t {pid} -m -- touch /var/lib/leafbox/written && rm /var/lib/leafbox/written")


def outlives_nats_server(leaf, check, first):
    """kill -9 of nats-server: the daemon stays, answers, and connects again by itself."""
    before = node.properties(leaf, f"{UNIT}.service", "MainPID", "NRestarts")
    server = node.properties(leaf, "leafbox-nats.service", "MainPID")["MainPID"]
    page = json.loads(leaf.sh(f"kill -9 {server}; leafbrowser /login/"))
    check.equal(page["status"], 200, "kill -9 of nats-server: the console answers all the same")
    leaf.until(f'systemctl is-active --quiet leafbox-nats && [ "$(systemctl show -P MainPID leafbox-nats)" != {server} ]',
               node.READY_SECONDS, "another nats-server")
    node.ready(leaf)
    token = invited(leaf)
    begins(leaf, token, 200)
    check.ok(True, "and knows a link that was made after it")
    check.equal(begins(leaf, first, 403)["status"], 403, "which takes the place of the one before")
    check.equal(node.properties(leaf, f"{UNIT}.service", "MainPID", "NRestarts"), before, "without a restart of its own")


def browse(leaf, path):
    """What a browser is answered."""
    return json.loads(leaf.sh(f"leafbrowser '{path}'"))


def begins(leaf, token, status):
    """What the daemon answers to whoever opens a link with this token, once it has that status."""
    body = json.dumps({"token": token})
    return json.loads(leaf.sh(f"leafbrowser /login/enroll/begin --json '{body}' --until {status}", 120))


def invited(leaf):
    """The token of a new link; its one line is all of stdout."""
    link = leaf.sh(node.LEAFBOX + "leafbox console enroll 2>/run/enroll.err || { cat /run/enroll.err; exit 1; }", 120)
    found = LINK.fullmatch(link.strip())
    return found and found.group(1)
