"""`k42 rsp replay FILE`: play a packet log again, against a server or to a gdb."""

from __future__ import annotations

import argparse
import os
import sys

import trio

from gdbstub.replay import ClientPlayer, Exchange, ServerPlayer, read_conversations
from k42.errors import UserError
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.endpoints import Endpoint, parse_endpoint
from thinwire.streams import open_streams

RECEIVE_SIZE = 65536

#: Without an answer for so long a server counts as silent; a step over a slow line is made in a tenth of it.
ANSWER_SECONDS = 10.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "rsp",
        "play recorded gdb packets again",
        "k42 rsp replay packets.log --to localhost:2112",
        notes="k42 rsp replay --help tells more.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="replay")
    replay = add_subcommand(
        actions,
        "replay",
        "play a packet log (--log) again",
        "k42 rsp replay packets.log --to localhost:2112      what the gdb said, to a server",
        "k42 rsp replay packets.log --as-server 1234         what the server said, to a gdb",
    )
    replay.add_argument("file", metavar="FILE", help="a log that --log wrote")
    side = replay.add_mutually_exclusive_group(required=True)
    side.add_argument(
        "--to", metavar="ENDPOINT", help="send what the gdb said to the server there, and compare"
    )
    side.add_argument(
        "--as-server", metavar="ENDPOINT", help="wait for a gdb there, and answer it as recorded"
    )
    replay.add_argument(
        "--conversation", metavar="NAME", help="which one, if the log has several: the word before the arrow"
    )
    replay.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play; status 1 when the other side differed from the recorded one."""
    exchanges = _read(arguments.file, arguments.conversation)
    if arguments.to is not None:
        return lifetime.run(_play_client, parse_endpoint(arguments.to), exchanges)
    return lifetime.run(_play_server, parse_endpoint(arguments.as_server, listens=True), exchanges)


def _read(path: str, name: str | None) -> list[Exchange]:
    """Return the one conversation meant.  Raises UserError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            conversations = {name: talk for name, talk in read_conversations(file).items() if talk}
    except OSError as error:
        raise UserError(f"{path}: {os.strerror(error.errno or 0)}") from None
    if not conversations:
        raise UserError(f"{path}: no packets in it; `--log FILE` of bridge, up or emulate writes such a file")
    if name is None and len(conversations) == 1:
        return next(iter(conversations.values()))
    if name in conversations:
        return conversations[name]
    names = ", ".join(conversations)
    raise UserError(f"{path} has the conversations {names}: choose one with --conversation")


async def _play_client(endpoint: Endpoint, exchanges: list[Exchange]) -> int:
    player = ClientPlayer(exchanges)
    async with open_streams(endpoint) as (place, connect):
        with trio.move_on_after(ANSWER_SECONDS) as connecting:
            stream = await connect()
        if connecting.cancelled_caught:
            raise UserError(f"nobody answers at {place}: is a server listening there?")
        async with stream:
            await play_client(stream, player)
    for difference in player.differences:
        print(difference)
    print(f"{len(exchanges)} requests, {len(player.differences)} replies differ", file=sys.stderr)
    return 1 if player.differences else 0


async def play_client(stream: trio.abc.Stream, player: ClientPlayer) -> None:
    """Play to the server on `stream` until all is said or the server is silent."""
    try:
        while True:
            await stream.send_all(player.take_outgoing())
            if player.is_done:
                return
            data = b""
            with trio.move_on_after(ANSWER_SECONDS):
                data = bytes(await stream.receive_some(RECEIVE_SIZE))
            if not data:
                break
            player.receive(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    player.give_up()


async def _play_server(endpoint: Endpoint, exchanges: list[Exchange]) -> int:
    player = ServerPlayer(exchanges)
    async with open_streams(endpoint) as (place, connect):
        address = place.removeprefix("listen:").removeprefix("listen-unix:")
        print(f"gdb   target remote {address}", file=sys.stderr, flush=True)
        async with await connect() as stream:
            try:
                while data := bytes(await stream.receive_some(RECEIVE_SIZE)):
                    await stream.send_all(player.receive(data))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
    for request in player.unknown:
        print(f"not recorded: {request!r}")
    return 1 if player.unknown else 0
