"""docs/hardening.md: how exposed each unit is, as systemd says itself on a booted machine."""

import json
import re

from . import host

DOCUMENT = host.ROOT / "docs" / "hardening.md"
LIMIT = 1.1
LIMITS = {"leafbox-nats.service": 1.3}
HEAD = """# How exposed the units are

What `systemd-analyze security` of systemd {version} says of each unit that the modules produce, on a booted
machine; 10 is a unit without any restriction. `tests/vm/run boot` fails when one is above its limit, above
what stands here, or when this page is not what it found; `tests/vm/run --update boot` writes it anew.

| unit | leaf | hub | limit |
|---|---|---|---|
"""
REST = """
## What is left, and why

| unit, on a hub | what systemd counts | weight | why |
|---|---|---|---|
"""
WHY = {
    "PrivateNetwork=": "NATS is spoken over TCP",
    "RestrictAddressFamilies=~AF_(INET|INET6)": "NATS is spoken over TCP",
    "RestrictAddressFamilies=~AF_UNIX": "sd_notify and the journal",
    "RestrictAddressFamilies=~AF_NETLINK": "a hub tells clients the addresses of its interfaces",
    "IPAddressDeny=": "clients, and the way between leaf and hub; localhost alone where that is enough",
    "DeviceAllow=": "/dev/null and its like, and for the enrolment the TPM",
    "PrivateDevices=": "the TPM",
    "RootDirectory=/RootImage=": "a root of its own holds nothing that ProtectSystem does not close",
    "NotifyAccess=": "a child tells systemd how nats-server is",
    "User=/DynamicUser=": "it seals keys for the units, which only root can",
}


def open_rows(rows):
    """What is left open, heaviest first."""
    left = [(float(row["exposure"]), row["name"]) for row in rows if row.get("exposure") not in (None, "", "0.0")]
    return sorted(left, key=lambda row: (-row[0], row[1]))


def check(lab, machine, checks):
    """Compares what this machine says with the limits and with the page. The units of the other role lie
    beside: systemd-analyze rates files too."""
    version = machine.sh("systemctl --version | head -1").split()[1]
    roles = {}
    for role in ("leaf", "hub"):
        units = sorted(path.name for path in (host.ROOT / "tests/rendered" / role).glob("*.service"))
        folder = f"/run/rated-{role}"
        for unit in units:
            machine.put(f"{folder}/{unit}", (host.ROOT / "tests/rendered" / role / unit).read_bytes())
        roles[role] = measure_files(machine, folder, units)
    for role, units in roles.items():
        for unit, (exposure, _) in units.items():
            limit = LIMITS.get(unit, LIMIT)
            checks.ok(exposure <= limit, f"{unit} of a {role} is exposed {exposure}, not above {limit}")
            checks.figure(f"exposure of {unit}, {role}", exposure)
    page = render(version, roles)
    known = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    for role, unit, was, now in risen(known, roles):
        checks.ok(False, f"{unit} of a {role} rose from {was} to {now}")
    if lab.update:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(page)
    else:
        checks.ok(known == page, "docs/hardening.md says so", "stale: run `tests/vm/run --update boot` and commit it")


def measure_files(machine, folder, units):
    """Rates unit files that are not loaded."""
    found = {}
    for unit in units:
        rate = f"systemd-analyze security --no-pager --offline=yes {folder}/{unit}"
        rows = json.loads(machine.sh(f"{rate} --json=short"))
        overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", machine.sh(rate))
        found[unit] = (float(overall.group(1)), open_rows(rows))
    return found


def render(version, roles):
    """The page."""
    units = sorted({unit for rated in roles.values() for unit in rated})
    page = HEAD.format(version=version)
    for unit in units:
        cells = [str(roles[role][unit][0]) if unit in roles[role] else "-" for role in ("leaf", "hub")]
        page += f"| {unit} | {' | '.join(cells)} | {LIMITS.get(unit, LIMIT)} |\n"
    page += REST
    for unit in units:
        rated = next(roles[role][unit] for role in ("hub", "leaf") if unit in roles[role])
        for weight, name in rated[1]:
            page += f"| {unit} | {name.replace('|', chr(92) + '|')} | {weight} | {WHY.get(name, '')} |\n"
    return page


def risen(known, roles):
    """Units that are more exposed than the page says."""
    row = re.compile(r"^\| (\S+\.service) \| ([0-9.]+|-) \| ([0-9.]+|-) \|", re.MULTILINE)
    for unit, *before in row.findall(known):
        for role, was in zip(("leaf", "hub"), before):
            now = roles[role].get(unit, (0, []))[0]
            if was != "-" and now > float(was):
                yield role, unit, was, now
