"""What only a long run shows: memory that grows."""

import re
import sys
from pathlib import Path

import pytest
import trio

from thinwire.frames import Write, encode
from thinwire.handshake import SENTINEL

FRAMES = [encode(Write(1, bytes(40 + number % 3), False)) for number in range(10_000)]


def resident(process: int) -> int:
    """KiB of memory in use."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_memory_is_flat_over_ten_million_frames() -> None:
    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        line = f"localhost:{listener.socket.getsockname()[1]}"
        command = [sys.executable, "-m", "thinwire", line, "0", "log:/dev/null"]
        process = await trio.lowlevel.open_process(command)
        async with listener, await listener.accept() as stream:
            await stream.send_all(SENTINEL)
            chunk = b"".join(FRAMES)
            for turn in range(1000):
                await stream.send_all(chunk)
                if turn == 100:
                    before = resident(process.pid)
            assert resident(process.pid) < before + 2048
        process.terminate()
        await process.wait()

    trio.run(main)
