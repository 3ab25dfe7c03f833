"""What scenarios ask of a leafbox node in a machine."""

import json

from .seed import OWN

UNITS = ["leafbox-nats", "leafbox-apply", "leafbox-uplink", "leafbox-health", "leafbox-registry", "leafbox-sse-bridge"]
READY_SECONDS = 180
LOGIN = f"{OWN}/images.login"
TILL = f"{OWN}/till.creds"
LEAFBOX = "export LEAFBOX_CONFIG=/etc/leafbox/node.toml; "


def ready(machine, units=UNITS):
    """Waits until the units are active."""
    names = " ".join(f"{unit}.service" for unit in units)
    script = f'for unit in {names}; do systemctl is-active --quiet "$unit" || {{ systemctl status --no-pager -n 5 ' \
             f'"$unit"; exit 1; }}; done'
    machine.until(script, READY_SECONDS, f"{', '.join(units)} active")


def properties(machine, unit, *names):
    """Properties of a unit, by name."""
    text = machine.sh(f"systemctl show --no-pager -p {','.join(names)} {unit}")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def may_push(machine, repositories="vm/*"):
    """Mints a token of the registry, and leaves it where `leafimages` reads it."""
    machine.sh(LEAFBOX + "set -o pipefail; umask 077; leafbox registry token add vm --push --pull --expires 1d "
               f"--repo '{repositories}' | sed 's/^/vm:/' >{LOGIN}", 120)


def start_images(machine, told):
    """Pushes images in the background, for as long as the machine runs."""
    machine.sh(f"setsid leafimages --login {LOGIN} vm/app push --told "
               f"{told} >/run/images.err 2>&1 </dev/null &")


def images(machine, numbers):
    """What is wrong with the images of these numbers, as whoever has no token gets them."""
    return json.loads(machine.sh(f"leafimages vm/app verify {' '.join(map(str, numbers))}", 300))


def load(machine, subject, creds=TILL, **options):
    """Publishes to `subject.<number>` until it is done; returns what the client found out."""
    words = " ".join(f"--{name} {value}" for name, value in options.items())
    return json.loads(machine.sh(f"leafnats --creds {creds} load {subject} {words}", 300))


def start_load(machine, subject, creds=TILL, **options):
    """Publishes in the background; `end_load` ends it."""
    words = " ".join(f"--{name} {value}" for name, value in ({"told": f"/run/{subject}.acked"} | options).items())
    machine.sh(f"rm -f /run/{subject}.stop; setsid leafnats --creds {creds} load {subject} --stop /run/{subject}.stop "
               f"{words} >/run/{subject}.json 2>/run/{subject}.err </dev/null & echo $! >/run/{subject}.pid")


def progress(machine, subject, count=20, seconds=180):
    """Waits until the load in the background has so many more acknowledgements."""
    acked = f"$(cat /run/{subject}.acked 2>/dev/null | wc -l)"
    before = int(machine.sh(f"echo {acked}"))
    machine.until(f"[ {acked} -ge {before + count} ]", seconds, f"{count} more acknowledgements of {subject}")


def end_load(machine, subject):
    """Ends a load in the background and returns what its client found out."""
    machine.sh(f"touch /run/{subject}.stop; timeout 60 tail --pid=$(cat /run/{subject}.pid) -f /dev/null")
    text = machine.sh(f"cat /run/{subject}.json")
    return json.loads(text or machine.sh(f"cat /run/{subject}.err; exit 1"))


def stored(machine, stream, subject, creds, api="'$JS.API'"):
    """How often each number is in a stream."""
    answer = json.loads(machine.sh(f"leafnats --creds {creds} subjects {stream} {subject} --api {api}"))
    return {int(number): count for number, count in answer["counts"].items()}


def arrived(hub, subject, count):
    """Waits until the hub's stream has so many of the numbers."""
    creds = "/var/lib/leafbox-keys/apply/apply-SHOP.creds"
    ask = f"leafnats --creds {creds} subjects ORDERS {subject}"
    script = f"{ask} >/run/arrived.json && python3 -c 'import json; found = json.load(open(\"/run/arrived.json\"))[\"counts\"]; " \
             f"print(len(found)); raise SystemExit(len(found) < {count})'"
    hub.until(script, 300, f"{count} of {subject} at the hub")


def missing(acknowledged, found):
    """What was acknowledged and is not there."""
    return [number for number in acknowledged if number not in found]


def twice(found):
    """What is there more than once."""
    return [number for number, count in found.items() if count > 1]
