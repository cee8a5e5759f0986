"""`k42 capture show FILE` and `k42 capture replay FILE`: recordings of the line, read and played again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from k42.errors import UserError
from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.capture import CaptureError, Packet, cut_off, read, show
from thinwire.endpoints import Endpoint, parse_endpoint
from thinwire.replay import Divergence, replay_mux, replay_side
from thinwire.streams import open_streams


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers,
        "capture",
        "show or replay a recording that `k42 mux --capture` made",
        "k42 capture show wire.pcapng",
        "k42 capture replay wire.pcapng",
        notes="k42 capture show --help and k42 capture replay --help tell more.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|replay")
    shown = add_subcommand(actions, "show", "print a line a frame", "k42 capture show wire.pcapng")
    shown.add_argument("file", metavar="FILE", help="what --capture wrote")
    shown.set_defaults(run=run_show)
    replayed = add_subcommand(
        actions,
        "replay",
        "play it against our multiplexer, or a live peer, and say where the answers differ",
        "k42 capture replay wire.pcapng",
        "k42 capture replay wire.pcapng --to localhost:2101 --as-server",
    )
    replayed.add_argument("file", metavar="FILE", help="what --capture wrote")
    replayed.add_argument("--to", metavar="ENDPOINT", help="a live peer, instead of our multiplexer's core")
    replayed.add_argument(
        "--as-server",
        action="store_true",
        help="with --to: play the server's half, to a victim",
    )
    replayed.set_defaults(run=run_replay)


def run_show(arguments: argparse.Namespace) -> int:
    """Print the recording."""
    try:
        for line in show(arguments.file):
            print(line)
        end = cut_off(Path(arguments.file).read_bytes())
    except (OSError, CaptureError) as error:
        raise _unreadable(arguments.file, error) from None
    if end is not None:
        raise UserError(f"{arguments.file} is cut off in what begins at byte {end}; the rest is above")
    return 0


def run_replay(arguments: argparse.Namespace) -> int:
    """Play the recording; status 1 when an answer differs."""
    if arguments.to is None and arguments.as_server:
        raise UserError("--as-server plays to a victim: say where that is with --to")
    peer = None if arguments.to is None else parse_endpoint(arguments.to)
    try:
        data = Path(arguments.file).read_bytes()
        packets = list(read(data))
        end = cut_off(data)
    except (OSError, CaptureError) as error:
        raise _unreadable(arguments.file, error) from None
    if end is not None:
        print(f"{arguments.file} is cut off at byte {end}; this is what there is", file=sys.stderr)
    if peer is None:
        divergence = replay_mux(packets)
    else:
        divergence = lifetime.run(_replay_to, peer, packets, not arguments.as_server)
    print(
        f"{len(packets)} packets: " + ("every answer as recorded" if divergence is None else str(divergence))
    )
    return 0 if divergence is None else 1


async def _replay_to(peer: Endpoint, packets: list[Packet], as_victim: bool) -> Divergence | None:
    async with open_streams(peer) as (_place, connect), await connect() as stream:
        return await replay_side(stream, packets, as_victim=as_victim)


def _unreadable(name: str, error: OSError | CaptureError) -> UserError:
    return UserError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}")
