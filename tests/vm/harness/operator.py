"""The operator's machine: the folder on this host where the fleet's keys are.

`leafbox dev --once` makes the keys and signs the accounts; `leafbox enroll approve` works on them. The
hub's certificate is made here too, with a certificate authority of this run.
"""

import shutil
import subprocess

from . import host, seed

HUB = "hub.example.net"


class Operator:
    """An operator with new keys."""

    def __init__(self, folder, binaries):
        self.folder = folder
        self.leafbox = binaries["leafbox"]
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder),
                            "LEAFBOX_NATS_SERVER": str(binaries["nats-server"])}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rendered = seed.RENDERED / "leaf" / "etc" / "leafbox"
        shutil.copy(rendered / "fleet.toml", folder)
        # Without an uplink, which is not for this machine to try.
        (folder / "node.toml").write_text('name = "shop-1"\nrole = "leaf"\ndata = "data"\n')
        self.run("dev", "--once", "--any-port")

    def run(self, *arguments, text=None):
        """Runs leafbox here; returns what it printed."""
        run = subprocess.run([self.leafbox, *map(str, arguments)], cwd=self.folder, env=self.environment,
                             input=text, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"leafbox {' '.join(map(str, arguments))}: {run.stderr.strip()[-600:]}")
        return run.stdout

    @property
    def keys(self):
        """The folder of keys."""
        return self.folder / "data" / "keys"

    def credentials(self, role):
        """What a node of this role runs with."""
        names = ["jetstream.key", "health.creds", "registry.creds", "apply-*.creds", "console-*.creds"]
        names += ["leaf-*.creds"] if role == "leaf" else ["sys.creds"]
        return sorted(path for name in names for path in self.keys.glob(name))

    def jwts(self):
        """The signed accounts and the operator, all public."""
        return sorted((self.folder / "data" / "jwts").glob("*.jwt"))

    def service(self, account, name):
        """The creds of a declared service."""
        return self.keys / "services" / account / f"{name}.creds"

    def secrets(self):
        """The lines that must be seen nowhere: every seed, and the store's key."""
        found = {self.keys.joinpath("jetstream.key").read_text().strip()}
        for path in [*self.keys.rglob("*.nk"), *self.keys.rglob("*.creds")]:
            found.update(line for line in path.read_text().split() if line.startswith("S") and len(line) == 58)
        return found

    def certificates(self):
        """Makes an authority, and a certificate of the hub by it."""
        if not host.find("openssl"):
            raise host.Missing("openssl is not here, which makes the hub's certificate")
        script = """
            set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=leafbox test' \
              -keyout ca.key -out ca.crt
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout hub.key -out hub.csr
            printf 'subjectAltName=DNS:%s\\n' "$1" >hub.ext
            openssl x509 -req -in hub.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile hub.ext -out hub.crt
        """
        subprocess.run(["sh", "-c", script, "sh", HUB], cwd=self.folder, check=True, capture_output=True)
        return {name: (self.folder / name).read_bytes() for name in ("ca.crt", "hub.crt", "hub.key")}
