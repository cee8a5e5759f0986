"""The `thinwire`, `thinwire2` and `thinwire3` commands, called as the original servers are.

    thinwire [-verbose] [-debug] [-hw] [-s S1 S2] VICTIM SPEC...

The name of the program chooses the protocol, as it did: `thinwire` speaks frames from the first byte,
`thinwire2` and `thinwire3` wait for the sentinel. VICTIM is HOST:PORT, a Unix socket or a serial device. A
SPEC is a port number, `:` for the next set of eight channels, stdin, stdout or stderr. K42's own wrapper
scripts run unchanged. What the originals' first two versions do with a SPEC and the third does not:

* 0, or a word without a colon that is no SPEC, is a channel that is not used;
* the first `stdout` has our standard input as well.

Everything that `endpoints` and `arguments` know is understood too: `--protocol 3` overrules the name,
`--capture FILE` records, `--control PATH` opens a control socket. Ports listen on the loopback address unless
`--bind` says otherwise. The originals' exit status is kept: 255 after the victim's '$', 0 after an interrupt;
so are their words when a connection is awaited or lost, for scripts that look for them.
"""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from thinwire import arguments as options
from thinwire import lifetime
from thinwire.channels import CONNECTIONS
from thinwire.control import open_control
from thinwire.endpoints import (
    UNUSED,
    ChannelSpec,
    Device,
    Endpoint,
    EndpointError,
    assign_channels,
    parse_channel,
    parse_endpoint,
)
from thinwire.journal import Handler, Journal
from thinwire.line import LineError, causes
from thinwire.mux import Protocol
from thinwire.serial_line import SPEEDS
from thinwire.server import Options, ServeError, Server, serve
from thinwire.transfers import Transfers

TERMINATED = 255
"""The originals leave with exit(-1) when the victim says '$'."""

PROTOCOLS = {"thinwire": Protocol.V1, "thinwire2": Protocol.V2, "thinwire3": Protocol.V3}


def main(words: Sequence[str] | None = None) -> None:
    """Console script: run until interrupted or the victim's end, and exit with the original's status."""
    lifetime.keep_standard_descriptors()
    status = run(Path(sys.argv[0]).name, sys.argv[1:] if words is None else words)
    lifetime.flush_output()
    sys.exit(status)


def run(program: str, words: Sequence[str]) -> int:
    """The whole program; returns its exit status."""
    given = _parser(program).parse_args(options.separate(words))
    messages = Journal(2 if given.victim == "stdio" else 1)  # not onto the wire
    _start_logging(program, given, messages)
    protocol = next((p for name, p in reversed(PROTOCOLS.items()) if name in program), Protocol.V3)
    try:
        speeds = _speed(given.s[0]), _speed(given.s[1])
        line = _parse_victim(given.victim)
        channels = assign_channels(_modern(given.specs, protocol, program), bind=given.bind)
        chosen = options.choose(given, protocol=protocol, speeds=speeds, replay=False, end_on_exit=True)
        options.warn_if_open(program, given.bind)
        with lifetime.interruptible():
            has_ended = lifetime.run(_serve, program, line, channels, chosen, given, messages)
        return TERMINATED if has_ended else 0
    except (lifetime.Terminated, KeyboardInterrupt):
        return 0
    except (EndpointError, LineError) as error:
        return _fail(program, error)
    except BaseExceptionGroup as group:
        reasons = causes(group, (LineError, ServeError, KeyboardInterrupt))
        return 0 if isinstance(reasons[0], KeyboardInterrupt) else _fail(program, reasons[0])


def _start_logging(program: str, given: argparse.Namespace, messages: Journal) -> None:
    handler = Handler(messages)
    handler.setFormatter(logging.Formatter(f"{program}: %(message)s"))
    level = logging.DEBUG if given.debug else logging.INFO if given.verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])
    CONNECTIONS.setLevel(min(level, logging.INFO))


async def _serve(
    program: str,
    line: Endpoint,
    channels: dict[int, ChannelSpec],
    chosen: Options,
    given: argparse.Namespace,
    messages: Journal,
) -> bool:
    """Run the server; returns whether the victim has said '$'."""

    async def start(*, task_status: trio.TaskStatus[Server]) -> None:
        await serve(line, channels, chosen, task_status=task_status)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(start)
        if given.verbose or given.debug:
            listing = Transfers(Journal(2))
            server.mux.watch = listing.show
            if given.debug and not given.capture:
                server.mux.record(listing.show_raw)
        if given.control:
            await open_control(server, given.control, nursery)
        for number, port in sorted(server.ports.items()):
            messages.write(f"{program}: channel {number} on {', '.join(port.places)}.\n")
        messages.write(f"{program}: victim {server.place}.\n")
    return server.ended.is_set()


def _parser(program: str) -> argparse.ArgumentParser:
    parser = options.Parser(
        program,
        description="Multiplex the channels of a K42 victim over its one line.",
        epilog="A SPEC is PORT, HOST:PORT, stdin, stdout, stderr, listen-unix:PATH, unix:PATH, pty[:LINK], "
        "log:FILE, log+time:FILE, exec:COMMAND, or : for the next set of 8.",
        allow_abbrev=False,
    )
    parser.add_argument("-verbose", action="store_true", help="print every transfer")
    parser.add_argument("-debug", action="store_true", help="print what the server does as well")
    parser.add_argument("-hw", dest="hw", action="store_true", help="as --hw")
    parser.add_argument(
        "-s",
        nargs=2,
        default=["9600", "115200"],
        metavar=("S1", "S2"),
        help="speeds before and after the handshake",
    )
    options.add_arguments(parser)
    parser.add_argument("--control", metavar="PATH", help="serve a control socket")
    parser.add_argument("victim", metavar="VICTIM", help="HOST:PORT, a Unix socket, a serial device")
    parser.add_argument("specs", metavar="SPEC", nargs="+", help="what channel 0, 1, ... is joined to")
    return parser


def _parse_victim(text: str) -> Endpoint:
    """As the originals: whatever has no colon is a path, and the file system knows of what."""
    return Device(text) if text and ":" not in text and text not in ("pty", "stdio") else parse_endpoint(text)


def _modern(specs: Sequence[str], protocol: Protocol, program: str) -> list[str]:
    """The specs as we write them, from what they mean to the original of this version."""
    if protocol is Protocol.V3:
        return [_as_in_c(spec) for spec in specs]
    modern = list(specs)
    if "stdout" in modern:
        modern[modern.index("stdout")] = "stdio"
    for place, spec in enumerate(modern):
        if re.match(r"\s*[-+]?0*[1-9]|:", spec):
            continue
        if not re.fullmatch(r"0*", spec):
            if ":" in spec:  # ours, and to be judged as such
                continue
            try:
                parse_channel(spec)
                continue
            except EndpointError as error:
                print(f"{program}: warning: {error}; its channel is not used", file=sys.stderr)
        modern[place] = UNUSED
    return modern


def _as_in_c(spec: str) -> str:
    """A port number may be written as in C: 0x836, 04066."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", spec):
        return str(int(spec, 16))
    return str(int(spec, 8)) if re.fullmatch(r"0[0-7]+", spec) else spec


def _speed(text: str) -> int:
    known = {str(speed): speed for speed in SPEEDS}
    if text not in known:
        raise EndpointError(f"-s {text}: no such speed; there are {' '.join(known)}")
    return known[text]


def _fail(program: str, reason: BaseException) -> int:
    print(f"{program}: {reason}", file=sys.stderr)
    return 2
