"""Which running multiplexer a console belongs to."""

from __future__ import annotations

from thinwire.control import ControlError, ask_status, find
from thinwire.endpoints import LOOPBACK, Connect, Control, Endpoint
from thinwire.mux import CONSOLE


async def find_control(endpoint: Endpoint) -> Control | None:
    """Return the control socket of the multiplexer on this machine whose console is at `endpoint`."""
    match endpoint:
        case Control():
            return endpoint
        case Connect("localhost", port):
            endpoint = Connect(LOOPBACK, port)
    for path in find():
        try:
            status = await ask_status(path)
        except ControlError:
            continue
        channels = status["channels"]
        assert isinstance(channels, dict)
        if str(endpoint) in channels.get(str(CONSOLE), {}).get("places", ()):
            return Control(path, CONSOLE)
    return None
