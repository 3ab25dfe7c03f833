"""Runs modules/check.sh as the build of a system does: check.py LEAFBOX NATS_SERVER.

On what tests/rendered declares, with account JWTs signed for the occasion, and on the same with a
mistake, where it must fail with leafbox's own words.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
failures: list[str] = []


def run(*command: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, **more)


def check(folder: pathlib.Path, path: str) -> subprocess.CompletedProcess:
    return run("bash", str(ROOT / "modules/check.sh"), str(folder), env=os.environ | {"PATH": path})


def expect(what: str, ran: subprocess.CompletedProcess, succeeds: bool, words: str) -> None:
    said = ran.stdout + ran.stderr
    if (ran.returncode == 0) != succeeds or words not in said:
        failures.append(what)
        print(f"{what}: exit {ran.returncode}, expected words {words!r}, said:\n{said}", file=sys.stderr)


def sign(leafbox: str, server: str, fleet: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """Account JWTs of a made-up operator, as `leafbox apply --export` writes them."""
    operator = scratch / "operator"
    operator.mkdir()
    shutil.copy(fleet, operator / "fleet.toml")
    (operator / "node.toml").write_text('name = "shop-1"\n')
    common = [leafbox, "--config", str(operator / "node.toml"), "--data", str(scratch / "data")]
    if server:
        common += ["--nats-server", server]
    for command in (["dev", "--once", "--any-port"], ["apply", "--export", str(scratch / "jwts")]):
        ran = run(*common, *command)
        if ran.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")
    return scratch / "jwts"


def main() -> None:
    leafbox, server = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        programs = scratch / "programs"
        programs.mkdir()
        (programs / "leafbox").symlink_to(leafbox)
        path = f"{programs}:{os.environ['PATH']}"
        jwts = None
        if server:
            (programs / "nats-server").symlink_to(server)
            jwts = sign(leafbox, server, ROOT / "examples/shop/fleet.toml", scratch)
        else:
            print("skipped the build's nats-server -t: no nats-server on PATH or in leafbox's cache")
        for role in ("leaf", "hub"):
            declared = ROOT / "tests/rendered" / role / "etc/leafbox"

            def copy(case: str, jwts: pathlib.Path | None = None) -> pathlib.Path:
                folder = scratch / f"{role}-{case}"
                shutil.copytree(declared, folder)
                if jwts:
                    shutil.copytree(jwts, folder / "jwts")
                    node = folder / "node.toml"
                    node.write_text('jwts = "jwts"\n' + node.read_text())
                return folder

            expect(f"{role} as declared", check(copy("good"), path), True, "are right")

            wrong = copy("wrong")
            with (wrong / "node.toml").open("a") as node:
                node.write('\n[jetstream]\nmax_storag = "1GiB"\n')
            expect(f"{role} with a wrong key", check(wrong, path), False, "did you mean `max_storage`?")

            if jwts:
                with_jwts = check(copy("jwts", jwts), path)
                expect(f"{role} with JWTs", with_jwts, True, "is valid")

                damaged = copy("damaged", jwts)
                jwt = damaged / "jwts/SHOP.jwt"
                jwt.write_text(jwt.read_text().replace("eyJ", "eyK"))
                expect(f"{role} with a damaged JWT", check(damaged, path), False, "leafbox apply --export")
    sys.exit(1 if failures else 0)


main()
