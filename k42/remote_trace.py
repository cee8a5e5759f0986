"""Single steps of whatever a stub debugs, recorded over RSP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import trio

from emulator.trace import Step
from gdbstub.client import RemoteTarget, connect
from gdbstub.quirks import Quirks
from gdbstub.target import Action, ActionKind, Breakpoint, BreakpointKind, StopKind, TargetError
from k42.errors import UserError
from thinwire.endpoints import parse_endpoint
from thinwire.streams import open_streams

#: A stub that is not there at once will not be there soon: the machine is running already.
CONNECT_SECONDS = 5.0
#: An interrupted recording waits for the step under way, and no longer than this, to let the target go.
FAREWELL = 2.0


@asynccontextmanager
async def record_remote(
    endpoint: str, quirks: Quirks, start: int | None, count: int
) -> AsyncIterator[tuple[Mapping[str, int], AsyncIterator[Step]]]:
    """Connect to a stub; gives the registers it has, with their widths in bytes, and up to `count` steps.

    The target is run to `start` first, if that is given, and let go in the end, by a Ctrl-C too.  Raises
    UserError.
    """
    async with open_streams(parse_endpoint(endpoint)) as (place, connect_stream):
        stream = None
        with trio.move_on_after(CONNECT_SECONDS):
            stream = await connect_stream()
        if stream is None:
            raise UserError(f"nobody answers at {place}: is a stub listening there?")
        async with connect(stream, quirks) as target:
            try:
                await _stop_at(target, start)
                yield _widths(target), _steps(target, count)
                await target.detach()
            except TargetError as error:
                raise UserError(f"{place}: {error}") from None
            except BaseException:
                await _let_go(target)
                raise


async def _let_go(target: RemoteTarget) -> None:
    """Detach in the middle of something: from wherever the target stops by itself, or is stopped now."""
    with trio.move_on_after(FAREWELL, shield=True), suppress(TargetError):
        await _stop(target)
        await target.detach()


async def _stop(target: RemoteTarget) -> None:
    if target.stopped is None:
        await target.interrupt()
        await target.wait_stop()


async def _stop_at(target: RemoteTarget, start: int | None) -> None:
    """Bring the target to a stop, at `start` if that is given."""
    await _stop(target)
    if start is None:
        return
    breakpoint_ = Breakpoint(BreakpointKind.SOFTWARE, start)
    await target.insert(breakpoint_)
    try:
        await target.resume([Action()])
        reason = await target.wait_stop()
    except BaseException:
        # Ctrl-C on the way: nobody else would take the breakpoint out again.
        with trio.move_on_after(FAREWELL, shield=True), suppress(TargetError):
            await _stop(target)
            await target.remove(breakpoint_)
        raise
    await target.remove(breakpoint_)
    if (await _registers(target))["pc"] != start:
        raise UserError(f"the target stopped on the way to {start:#x} ({reason.kind.value})")


async def _steps(target: RemoteTarget, count: int) -> AsyncIterator[Step]:
    before = await _registers(target)
    for _ in range(count):
        pc = before["pc"]
        word = int.from_bytes(await target.read_memory(pc, 4), "big")
        await target.resume([Action(ActionKind.STEP)])
        reason = await target.wait_stop()
        if reason.is_final:
            return
        after = await _registers(target)
        changed = (name for name, value in after.items() if name != "pc" and value != before[name])
        yield Step(pc, word, tuple((name, after[name]) for name in changed))
        before = after
        if reason.kind is not StopKind.SIGNAL:
            return


async def _registers(target: RemoteTarget) -> dict[str, int]:
    """Return the registers of the thread that stopped, by name."""
    assert target.stopped is not None
    return target.description.unpack(await target.read_registers(target.stopped.thread))


def _widths(target: RemoteTarget) -> dict[str, int]:
    return {r.name: r.size for r in target.description.registers if r.in_g and r.name != "pc"}
