"""A port where gdb finds a Target: TCP on loopback, or a Unix socket that only its owner can reach."""

from __future__ import annotations

import os
from contextlib import suppress

import trio

from gdbstub.server import serve_listeners
from gdbstub.target import Target
from k42.errors import UserError
from thinwire.endpoints import Endpoint, Listen, ListenUnix
from thinwire.sources import listen_tcp, listen_unix


async def serve_gdb_port(
    endpoint: Endpoint, target: Target, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve `target` at `endpoint` for ever; `task_status` gets what to type after `target remote`.

    Raises UserError or LineError when the endpoint cannot be listened on.
    """
    listener, place = await _listen(endpoint)
    try:
        task_status.started(place)
        await serve_listeners([trio.SocketListener(listener)], target)
    finally:
        listener.close()
        if isinstance(endpoint, ListenUnix):
            with suppress(OSError):
                os.unlink(endpoint.path)


async def _listen(endpoint: Endpoint) -> tuple[trio.socket.SocketType, str]:
    match endpoint:
        case Listen(host, port):
            try:
                listener = await listen_tcp(host, port)
            except OSError as error:
                raise UserError(
                    f"cannot listen for gdb on {host}:{port}: {os.strerror(error.errno or 0)}; "
                    "is another one running? choose another port"
                ) from None
            return listener, "{}:{}".format(*listener.getsockname()[:2])
        case ListenUnix(path):
            return listen_unix(path), path
        case _:
            raise UserError(f"{endpoint}: gdb can be served on PORT, HOST:PORT or listen-unix:PATH")
