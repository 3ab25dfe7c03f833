#!/usr/bin/python3
"""A browser's requests to the web console, for the tests, in the machine.

Prints status, headers and text of the answer as JSON, and exits 1 when nothing answers. With --until it
asks again until the answer has that status, and exits 1 when it never had.
"""

import argparse
import http.client
import json
import sys
import time


def ask(arguments):
    """One request, as a page of the console makes it: by its name, from its own origin."""
    connection = http.client.HTTPConnection("127.0.0.1", arguments.port, timeout=10)
    headers = {"Host": f"localhost:{arguments.port}", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    if arguments.json is not None:
        headers["Content-Type"] = "application/json"
    connection.request("GET" if arguments.json is None else "POST", arguments.path, arguments.json, headers)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return {"status": answer.status, "headers": found, "text": answer.read().decode()}


def main():
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--json", metavar="BODY", help="POST this")
    parser.add_argument("--until", type=int, metavar="STATUS")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    deadline, found = time.monotonic() + arguments.seconds, None
    while True:
        try:
            found = ask(arguments)
        except (OSError, http.client.HTTPException) as error:
            print(f"leafbrowser: {error!r}", file=sys.stderr)
        if found and arguments.until in (None, found["status"]):
            print(json.dumps(found))
            return 0
        if arguments.until is None or time.monotonic() > deadline:
            print(f"leafbrowser: {found}", file=sys.stderr)
            return 1
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
