"""A port where gdb finds a Target: TCP on loopback, or a Unix socket that only its owner can reach."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import trio

from gdbstub.observation import serve_observers
from gdbstub.server import serve_listeners
from gdbstub.target import Target
from k42.errors import UserError
from thinwire.endpoints import Endpoint, Listen, ListenUnix, parse_endpoint
from thinwire.line import LineError
from thinwire.sockets import SocketFile, listen_tcp, listen_unix


async def serve_gdb_port(
    endpoint: Endpoint,
    target: Target,
    observers: Endpoint | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `target` at `endpoint` for ever, and at `observers` to those who only look; `task_status` gets
    what to type after `target remote`.

    Raises UserError or LineError when an endpoint cannot be listened on.
    """
    async with _listening(endpoint) as (listener, place):
        if observers is None:
            task_status.started(place)
            await serve_listeners([listener], target)
            return
        access = trio.Lock()
        async with _listening(observers) as (window, window_place), trio.open_nursery() as nursery:
            nursery.start_soon(serve_listeners, [listener], target, access)
            nursery.start_soon(serve_observers, [window], target, access)
            task_status.started(f"{place}   observers: {window_place}")


@asynccontextmanager
async def _listening(endpoint: Endpoint) -> AsyncIterator[tuple[trio.SocketListener, str]]:
    listener, place = await _listen(endpoint)
    file = SocketFile(endpoint.path) if isinstance(endpoint, ListenUnix) else nullcontext()
    with listener, file:
        yield trio.SocketListener(listener), place


def add_observe_option(parser: argparse.ArgumentParser) -> None:
    """Declare it; `observers_of` reads it."""
    parser.add_argument(
        "--observe", metavar="HOST:PORT", help="a second gdb port, for any number of gdbs that only look"
    )


def observers_of(arguments: argparse.Namespace) -> Endpoint | None:
    """Return where observers may connect, if anywhere.  Raises EndpointError."""
    return None if arguments.observe is None else parse_endpoint(arguments.observe, listens=True)


async def _listen(endpoint: Endpoint) -> tuple[trio.socket.SocketType, str]:
    match endpoint:
        case Listen(host, port):
            try:
                listener = await listen_tcp(host, port)
            except LineError as error:
                raise UserError(f"{error}; is another one running? choose another port") from None
            return listener, "{}:{}".format(*listener.getsockname()[:2])
        case ListenUnix(path):
            return listen_unix(path), path
        case _:
            raise UserError(f"{endpoint}: gdb can be served on PORT, HOST:PORT or listen-unix:PATH")
