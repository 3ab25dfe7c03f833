#!/usr/bin/python3
"""A registry client for the tests, in the machine: pushes images and remembers which were acknowledged.

It is not leafbox's own, so that the tests do not take leafbox's word for what is stored. Each image has
one layer, whose bytes follow from its number, so that another run knows what must come back. Runs on
Python's standard library.
"""

import argparse
import base64
import hashlib
import http.client
import json
import sys
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b"{}"


def layer(number, size):
    """The bytes of an image's layer: they compress to nothing, and no two images share any."""
    return hashlib.shake_256(f"layer {number}".encode()).digest(size)


def digest(data):
    """How the registry names these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest(number, size):
    """The manifest of an image."""
    def part(media_type, data):
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}
    image = {"schemaVersion": 2, "mediaType": MANIFEST,
             "config": part("application/vnd.oci.empty.v1+json", CONFIG),
             "layers": [part("application/vnd.oci.image.layer.v1.tar", layer(number, size))]}
    return json.dumps(image).encode()


class Refused(Exception):
    """The registry answered something else than it should."""


class Registry:
    """One registry, over one connection as long as it lives."""

    def __init__(self, address, repository, login):
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.base = f"/v2/{repository}"
        self.headers = {}
        if login:
            self.headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()

    def ask(self, method, path, wanted, body=None, **headers):
        """A request; returns the headers and bytes of its answer."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, self.headers | headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != wanted:
            raise Refused(f"{method} {path}: {answer.status} {data[:300].decode(errors='replace')}")
        return answer.headers, data

    def push_blob(self, data):
        """A blob, in two requests as clients do it."""
        headers, _ = self.ask("POST", f"{self.base}/blobs/uploads/", 202)
        where = headers["Location"]
        where += ("&" if "?" in where else "?") + "digest=" + digest(data)
        self.ask("PUT", where, 201, data, Content_Type="application/octet-stream")

    def push(self, number, size):
        """An image; when this returns, the registry has acknowledged all of it."""
        self.push_blob(CONFIG)
        self.push_blob(layer(number, size))
        self.ask("PUT", f"{self.base}/manifests/v{number}", 201, manifest(number, size), Content_Type=MANIFEST)

    def differs(self, number, size):
        """What of an image does not come back as it was pushed; nothing when all does."""
        try:
            headers, found = self.ask("GET", f"{self.base}/manifests/v{number}", 200, Accept=MANIFEST)
            wanted = manifest(number, size)
            if found != wanted or headers["Docker-Content-Digest"] != digest(wanted):
                return "the manifest is another"
            for data in (CONFIG, layer(number, size)):
                headers, found = self.ask("GET", f"{self.base}/blobs/{digest(data)}", 200)
                if found != data or headers["Docker-Content-Digest"] != digest(data):
                    return f"{digest(data)} is another"
        except (OSError, http.client.HTTPException, Refused) as error:
            return str(error)
        return None


def push(registry, arguments):
    """Pushes one image after the other, and tells the number of each that was acknowledged."""
    with open(arguments.told, "w", buffering=1, encoding="ascii") as told:
        for number in range(arguments.count):
            begun = time.monotonic()
            registry.push(number, arguments.size)
            told.write(f"{number}\n")
            print(f"{number} {time.monotonic() - begun:.2f}", file=sys.stderr)


def verify(registry, arguments):
    """Prints what is wrong with each of the images, as JSON."""
    found = {number: registry.differs(number, arguments.size) for number in arguments.numbers}
    print(json.dumps({number: why for number, why in found.items() if why}))


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", default="127.0.0.1:5000")
    parser.add_argument("--size", type=int, default=1_500_000, help="bytes of a layer")
    parser.add_argument("--login", metavar="FILE", help="user:password; without it nobody in particular")
    parser.add_argument("repository")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("push")
    one.add_argument("--count", type=int, default=10_000)
    one.add_argument("--told", default="/dev/null")
    one.set_defaults(run=push)
    one = commands.add_parser("verify")
    one.add_argument("numbers", type=int, nargs="+")
    one.set_defaults(run=verify)
    arguments = parser.parse_args()
    login = None
    if arguments.login:
        with open(arguments.login, encoding="utf-8") as file:
            login = file.read().strip()
    arguments.run(Registry(arguments.registry, arguments.repository, login), arguments)


if __name__ == "__main__":
    main()
