"""`k42 doctor`: what is missing on this machine and how to get it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from k42.errors import UserError
from k42.gdb_programs import find_gdb
from k42.subcommand import add_subcommand


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for: `mend` is empty when it is there."""

    name: str
    found: str
    mend: str = ""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers, "doctor", "what is missing on this machine, and how to get it", "k42 doctor"
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Print one line a finding; status 1 when something is missing."""
    missing = 0
    for finding in examine():
        missing += bool(finding.mend)
        print(f"{'MISSING' if finding.mend else 'ok':8} {finding.name:24} {finding.mend or finding.found}")
    return 1 if missing else 0


def examine() -> Iterator[Finding]:
    """Look for everything the commands use, the needed first."""
    yield _python()
    for package in _required_packages():
        yield _package(package)
    yield _tool("a gdb with PPC64", find_gdb)
    for name, package, purpose in _TOOLS:
        yield _program(name, package, purpose)


#: Programs only some uses need: command, Debian package, what for.
_TOOLS = (
    ("powerpc64-linux-gnu-gcc", "gcc-powerpc64-linux-gnu", "scripts/build-guests and the tests"),
    ("qemu-system-ppc64", "qemu-system-ppc", "the tests and scripts/bench"),
    ("tshark", "tshark", "to look at `k42 mux --capture` files"),
)


def _python() -> Finding:
    running = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", running, "" if sys.version_info >= (3, 11) else "needs Python 3.11 or newer")


def _required_packages() -> list[str]:
    declared = requires("k42-wire") or []
    return [line.split(">")[0].strip() for line in declared if "extra ==" not in line]


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "", f"pip install {name}")


def _tool(name: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name, find())
    except UserError as error:
        return Finding(name, "", str(error))


def _program(name: str, package: str, purpose: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path or "", "" if path else f"sudo apt-get install {package} ({purpose})")
