"""The words behind Ctrl-] in our consoles, besides those the console has itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from thinwire.console import Command, Monitor
from thinwire.control import ControlError, Reset, ask_status, describe, reset
from thinwire.server import Server

Status = Callable[[], Awaitable[dict[str, object]]]


def monitor_of(server: Server, reset_machine: Reset | None) -> Monitor:
    """The words for a multiplexer in this process."""

    async def status() -> dict[str, object]:
        return server.status()

    return _monitor(status, reset_machine)


def monitor_at(path: str) -> Monitor:
    """The words for a multiplexer with its control socket at `path`."""

    async def status() -> dict[str, object]:
        return await ask_status(path)

    async def reset_machine() -> str:
        return await reset(path)

    return _monitor(status, reset_machine)


def _monitor(status: Status, reset_machine: Reset | None) -> Monitor:
    async def show_status(_rest: str) -> str:
        return await _told(lambda: _describe(status))

    async def press_reset(_rest: str) -> str:
        if reset_machine is None:
            return "no reset command is configured (reset_command in k42.toml)"
        return await _told(reset_machine)

    return {
        "status": Command("the line, and who is at which channel", show_status),
        "reset": Command("reset the machine", press_reset),
    }


async def _describe(status: Status) -> str:
    return describe(await status())


async def _told(ask: Callable[[], Awaitable[str]]) -> str:
    """Return an answer, or why there is none."""
    try:
        return await ask()
    except (ControlError, OSError) as error:
        return str(error)
