"""`k42 console [ENDPOINT]`: the interactive console on channel 0."""

from __future__ import annotations

import argparse

import trio

from k42.ports import LOOPBACK, Ports, add_base_option
from thinwire.console import run_console
from thinwire.endpoints import parse_endpoint
from thinwire.streams import open_streams

BANNER = "[connected to {place}; Ctrl-] opens the monitor, `quit` there leaves]"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("console", help="the interactive console on channel 0")
    parser.add_argument(
        "endpoint",
        nargs="?",
        metavar="ENDPOINT",
        help="such as HOST:PORT or unix:PATH (default: that of `k42 up`)",
    )
    add_base_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Converse until the user leaves or the other end is closed."""
    text = arguments.endpoint or f"{LOOPBACK}:{Ports(arguments.base).console}"
    trio.run(_converse, text)
    return 0


async def _converse(text: str) -> None:
    async with open_streams(parse_endpoint(text)) as (place, connect), await connect() as stream:
        await run_console(stream, banner=BANNER.format(place=place))
