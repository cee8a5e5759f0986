"""Reading more of a stopped target's memory than its cache holds."""

import program
import trio
import trio.testing
from k42_stub import K42Stub

from gdbstub.client import connect
from gdbstub.memory_cache import LINE, MAX_LINES
from gdbstub.quirks import K42

PLACE = 0x100_0000
PATIENCE = 30


def test_a_read_that_fills_the_cache_in_its_middle() -> None:
    """gdb's generate-core-file and `dump` do this: single lines here and there, then everything."""
    machine = program.load()
    size = (MAX_LINES + 70) * LINE
    content = bytes(n % 251 for n in range(size))
    machine.memory[PLACE] = bytearray(content)
    stub = K42Stub(machine)
    stub.press_key()

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stub.attach(theirs)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, K42) as target:
                    await target.interrupt()
                    await target.wait_stop()
                    # A line at the end, so that the cache is not full at a page's end; and one page's first
                    # line, which is known already when the rest of its page does not fit any more.
                    await target.read_memory(PLACE + size - LINE, 4)
                    full = (MAX_LINES - 1) * LINE // 4096 * 4096
                    await target.read_memory(PLACE + full, 4)
                    assert await target.read_memory(PLACE, size) == content
                nursery.cancel_scope.cancel()

    trio.run(main)
