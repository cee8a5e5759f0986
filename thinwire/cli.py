"""The `thinwire` command, as the original servers were called: thinwire [OPTIONS] VICTIM SPEC...

The name of the program chooses the protocol, as it did: `thinwire` speaks frames from the first byte,
`thinwire2` and `thinwire3` wait for the sentinel; `--protocol` overrules the name. What a specification means
is in `endpoints`; in addition a bare port number listens on the loopback address unless `--bind` names
another.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from thinwire.endpoints import EndpointError, assign_channels, parse_endpoint
from thinwire.line import LineError
from thinwire.mux import Protocol, Rules
from thinwire.server import Options, ServeError, Server, serve

TERMINATED = 255
"""The originals leave with exit(-1) when the victim says '$'."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script: run until interrupted or the victim's end, and exit with the original's status."""
    sys.exit(run(Path(sys.argv[0]).name, sys.argv[1:] if arguments is None else arguments))


def run(program: str, arguments: Sequence[str]) -> int:
    """The whole program; returns its exit status."""
    parser = argparse.ArgumentParser(program)
    parser.add_argument("--protocol", choices=[p.value for p in Protocol], default="auto")
    parser.add_argument("-verbose", action="store_true")
    parser.add_argument("victim")
    parser.add_argument("specs", nargs="+")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format=f"{program}: %(message)s"
    )
    try:
        line = parse_endpoint(options.victim)
        channels = assign_channels(options.specs)
    except EndpointError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2

    async def serve_until_end() -> bool:
        async with trio.open_nursery() as nursery:
            rules = Rules(protocol=Protocol(options.protocol))
            choices = Options(rules, replay=False, end_on_exit=True)
            server: Server = await nursery.start(serve, line, channels, choices)
            for number, port in sorted(server.ports.items()):
                print(f"{program}: channel {number}: {', '.join(port.places)}", flush=True)
            print(f"{program}: line: {server.place}", flush=True)
        return server.ended.is_set()

    status = 0
    try:
        if trio.run(serve_until_end):
            status = TERMINATED
    except* (ServeError, LineError) as group:
        print(f"{program}: {group.exceptions[0]}", file=sys.stderr)
        status = 2
    except* KeyboardInterrupt:
        pass
    return status
