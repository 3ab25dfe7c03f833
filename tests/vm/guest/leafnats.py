#!/usr/bin/python3
"""A NATS client for the tests, in the machine: loads a stream and remembers what was acknowledged.

It is not leafbox's own, so that the tests do not take leafbox's word for what arrived. It publishes as
a careful client does: an id on each message, a limit on the wait for each acknowledgement, and the same
id again after a cut. Runs on Python's standard library, Ed25519 included (RFC 8032, section 6).
"""

import argparse
import base64
import hashlib
import json
import os
import socket
import sys
import time

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def point_add(p, q):
    """Adds two points in extended coordinates."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_multiply(scalar, point):
    """Multiplies a point."""
    result = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = point_add(result, point)
        point, scalar = point_add(point, point), scalar >> 1
    return result


def compress(point):
    """The 32 bytes of a point."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def base_point():
    """The generator, its x recovered from y."""
    square = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, BASE_Y, 1, x * BASE_Y % P


def sign(seed, message):
    """An Ed25519 signature."""
    digest = hashlib.sha512(seed).digest()
    scalar = (int.from_bytes(digest[:32], "little") & (1 << 254) - 8) | 1 << 254
    generator = base_point()
    public = compress(point_multiply(scalar, generator))
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % L
    commitment = compress(point_multiply(nonce, generator))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % L
    return commitment + ((nonce + challenge * scalar) % L).to_bytes(32, "little")


class Lost(Exception):
    """The connection is gone, or was refused."""


class Client:
    """One connection."""

    def __init__(self, address, creds):
        host, port = address.rsplit(":", 1)
        try:
            self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
            self.buffer = b""
            information = json.loads(self.line()[5:])
            jwt, seed = read_creds(creds)
            signature = sign(seed, information["nonce"].encode())
            options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "test",
                       "version": "1", "name": "leafbox-vm", "jwt": jwt,
                       "sig": base64.urlsafe_b64encode(signature).rstrip(b"=").decode()}
            self.inbox = "_INBOX." + os.urandom(9).hex()
            self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\nSUB " + self.inbox.encode() +
                      b".* 1\r\nPING\r\n")
            while self.line() != b"PONG":
                pass
        except OSError as error:
            raise Lost(str(error)) from error

    def send(self, data):
        """Writes all of it."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Lost(str(error)) from error

    def fill(self, limit):
        """Reads what is there, waiting at most so long; false when nothing came."""
        self.socket.settimeout(max(limit, 0.001))
        try:
            piece = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:
            raise Lost(str(error)) from error
        if not piece:
            raise Lost("the server closed the connection")
        self.buffer += piece
        return True

    def line(self):
        """The next protocol line."""
        while b"\r\n" not in self.buffer:
            if not self.fill(20):
                raise Lost("the server is silent")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if line.startswith(b"-ERR"):
            raise Lost(line.decode())
        if line == b"PING":
            self.send(b"PONG\r\n")
        return line

    def message(self, limit):
        """The next message as the end of its reply subject and its data; None when none comes."""
        deadline = time.monotonic() + limit
        while True:
            while b"\r\n" not in self.buffer:
                if time.monotonic() >= deadline or not self.fill(deadline - time.monotonic()):
                    return None
            words = self.line().split()
            if words and words[0] in (b"MSG", b"HMSG"):
                length, header = int(words[-1]), int(words[-2]) if words[0] == b"HMSG" else 0
                while len(self.buffer) < length + 2:
                    if not self.fill(20):
                        raise Lost("a message breaks off")
                data, self.buffer = self.buffer[:length], self.buffer[length + 2:]
                return words[1].decode().rsplit(".", 1)[1], data[:header], data[header:]

    def publish(self, subject, reply, data, identity=None):
        """Sends a message, and where to answer."""
        header = f"NATS/1.0\r\nNats-Msg-Id: {identity}\r\n\r\n".encode() if identity else b""
        if header:
            head = f"HPUB {subject} {self.inbox}.{reply} {len(header)} {len(header) + len(data)}\r\n"
        else:
            head = f"PUB {subject} {self.inbox}.{reply} {len(data)}\r\n"
        self.send(head.encode() + header + data + b"\r\n")

    def request(self, subject, data, limit=20):
        """Asks and returns the answer."""
        self.publish(subject, "r", data)
        answer = self.message(limit)
        if answer is None:
            raise Lost(f"no answer on {subject}")
        if answer[1].startswith(b"NATS/1.0 503"):
            raise Lost(f"nobody answers {subject}")
        return answer[2]


def read_creds(path):
    """The JWT and the seed of a creds file."""
    blocks = []
    inside = False
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith("-----BEGIN") or line.startswith("------END"):
                inside = line.startswith("-----BEGIN")
            elif inside and line.strip():
                blocks.append(line.strip())
    raw = base64.b32decode(blocks[1] + "=" * (-len(blocks[1]) % 8))
    return blocks[0], raw[2:34]


def load(arguments):
    """Publishes numbers until the count is reached, the time is over or the stop file is there."""
    acknowledged, refused, waiting, lost, longest = [], {}, {}, 0, 0.0
    told = open(arguments.told, "w", buffering=1, encoding="ascii") if arguments.told else None
    end = time.monotonic() + arguments.seconds
    next_number, last_ack, client = arguments.first, time.monotonic(), None
    over = arguments.first + arguments.count

    def is_over():
        return (time.monotonic() > end or next_number >= over and not waiting
                or arguments.stop and os.path.exists(arguments.stop))

    def send(number):
        waiting[number] = time.monotonic()
        body = f"{arguments.subject} {number} ".encode().ljust(arguments.size, b"x")
        client.publish(f"{arguments.subject}.{number}", str(number), body, f"{arguments.subject}.{number}")

    while not is_over():
        try:
            if client is None:
                client = Client(arguments.server, arguments.creds)
                for number in sorted(waiting):
                    send(number)
            while len(waiting) < arguments.window and next_number < over:
                send(next_number)
                next_number += 1
            answer = client.message(1)
            if answer is None:
                # Without an answer nothing is known: the same id again tells.
                for number in [number for number, sent in waiting.items() if time.monotonic() - sent > 3]:
                    send(number)
                continue
            number, header, data = int(answer[0]), answer[1], answer[2]
            if number not in waiting:
                continue
            error = "no responders" if b" 503" in header[:13] else json.loads(data).get("error", {}).get("description")
            if error:
                refused[error] = refused.get(error, 0) + 1
                if arguments.once:
                    del waiting[number]
                else:
                    time.sleep(0.2)
                    send(number)
                continue
            del waiting[number]
            acknowledged.append(number)
            longest, last_ack = max(longest, time.monotonic() - last_ack), time.monotonic()
            if told:
                told.write(f"{number}\n")
        except Lost:
            lost, client = lost + 1, None
            time.sleep(0.2)
    print(json.dumps({"acknowledged": acknowledged, "refused": refused, "unanswered": sorted(waiting), "lost": lost,
                      "longest_gap_s": round(longest, 2)}))


def subjects(arguments):
    """Prints how often each number is in a stream."""
    client = Client(arguments.server, arguments.creds)
    counts, offset = {}, 0
    while True:
        ask = {"subjects_filter": f"{arguments.subject}.*", "offset": offset}
        answer = json.loads(client.request(f"{arguments.api}.STREAM.INFO.{arguments.stream}", json.dumps(ask).encode()))
        if "error" in answer:
            sys.exit(json.dumps(answer["error"]))
        page = answer["state"].get("subjects") or {}
        counts.update({subject.rsplit(".", 1)[1]: count for subject, count in page.items()})
        offset += len(page)
        if not page or offset >= answer.get("total", 0):
            break
    print(json.dumps({"counts": counts, "messages": answer["state"]["messages"], "last": answer["state"]["last_seq"]}))


def request(arguments):
    """Prints the answer to a request."""
    client = Client(arguments.server, arguments.creds)
    sys.stdout.write(client.request(arguments.subject, arguments.data.encode()).decode(errors="replace"))


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--server", default="127.0.0.1:4222")
    parser.add_argument("--creds", required=True)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("load")
    one.set_defaults(run=load)
    one.add_argument("subject")
    one.add_argument("--first", type=int, default=0)
    one.add_argument("--count", type=int, default=10**9)
    one.add_argument("--seconds", type=float, default=600)
    one.add_argument("--window", type=int, default=16)
    one.add_argument("--size", type=int, default=256)
    one.add_argument("--stop")
    one.add_argument("--told")
    one.add_argument("--once", action="store_true", help="do not publish again what was refused")
    one = commands.add_parser("subjects")
    one.set_defaults(run=subjects)
    one.add_argument("stream")
    one.add_argument("subject")
    one.add_argument("--api", default="$JS.API")
    one = commands.add_parser("request")
    one.set_defaults(run=request)
    one.add_argument("subject")
    one.add_argument("data", nargs="?", default="")
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except Lost as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
