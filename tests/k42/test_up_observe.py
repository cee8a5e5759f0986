"""`k42 up --observe`: a second gdb that looks on while the first one works."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio

from k42.kernel import guest_kernel
from k42.session import GdbError, open_gdb

RunningUp = Callable[..., AbstractAsyncContextManager]


def test_an_observer_sees_what_the_holder_does_and_changes_nothing(running_up: RunningUp) -> None:
    async def main() -> None:
        with trio.fail_after(110):
            async with (
                running_up("--observe", "127.0.0.1:0") as up,
                await up.console() as console,
                open_gdb([str(guest_kernel())]) as holder,
                open_gdb([str(guest_kernel())]) as observer,
            ):
                found = re.search(r"observers: (127\.0\.0\.1:\d+)", up.said)
                assert found is not None, up.said
                await console.expect(console.prompt)
                await console.type("trap\r")
                await console.expect("GDB got trap")
                await holder.connect(f"127.0.0.1:{up.ports.bridge}")
                await observer.connect(found[1])
                assert "breakpoint" in await observer.console("backtrace 1")
                await holder.console("break fib if n == 2")
                await observer.start("continue")
                await holder.start("continue")
                await console.type("fib 4\r")
                for gdb in (holder, observer):
                    assert (await gdb.wait_stop()).frame["func"] == "fib"
                    assert await gdb.evaluate("n") == "2"
                with pytest.raises(GdbError):
                    await observer.console("print n = 7")
                assert await holder.evaluate("n") == "2"
                assert "only looks" in await observer.console("monitor help")
                await holder.console("delete")
                await holder.start("continue")
                assert "3" in await console.expect(console.prompt)

    trio.run(main)
