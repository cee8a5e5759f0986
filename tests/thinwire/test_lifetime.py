"""How a program ends: by itself, by a signal, and what it makes of ones that others ignore."""

import gc
import signal
import subprocess
import sys

import pytest
import trio
import trio.testing

from thinwire import lifetime


async def forever(cleaned: list[str], number: signal.Signals) -> None:
    try:
        signal.raise_signal(number)
        await trio.sleep_forever()
    finally:
        cleaned.append("up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_cancels_the_work_and_is_told(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    cleaned: list[str] = []

    async def main() -> None:
        await trio.testing.wait_all_tasks_blocked()  # until somebody listens
        await forever(cleaned, number)

    with pytest.raises(lifetime.Terminated) as ended:
        lifetime.run(main)
    assert ended.value.number == number
    assert cleaned == ["up"]
    assert signal.getsignal(number) is before


def test_work_that_ends_gives_its_result_and_its_errors_bare() -> None:
    async def add(a: int, b: int) -> int:
        await trio.lowlevel.checkpoint()
        return a + b

    async def fail() -> None:
        raise OSError("bare")

    assert lifetime.run(add, 1, 2) == 3
    with pytest.raises(OSError, match="bare"):
        lifetime.run(fail)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def main() -> str:
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        return "still here"

    try:
        assert lifetime.run(main) == "still here"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_closed_standard_descriptors_are_the_null_device() -> None:
    program = """
import os, sys
from thinwire.lifetime import flush_output, keep_standard_descriptors
os.close(1)
keep_standard_descriptors()
os.write(2, os.readlink("/proc/self/fd/1").encode())
print("into nothing")
flush_output()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"/dev/null")


def test_the_collector_does_not_look_through_what_was_there_before() -> None:
    async def main() -> int:
        await trio.lowlevel.checkpoint()
        return gc.get_freeze_count()

    try:
        assert lifetime.run(main) > 10_000  # trio alone is more
    finally:
        gc.unfreeze()
