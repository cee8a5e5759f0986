"""The guest's shell as a person at the console sees it, on every machine."""

from __future__ import annotations

import re
import subprocess

import pytest
from driven_guest import CONSOLE, GDB, PROMPT, Guest
from machine_line import MachineLine

from emulator.guests import MINI

TEXT = 0xC000_0000_0200_0000
NOWHERE = 0x1234


def function_at(address: int) -> str:
    found = subprocess.run(
        ["powerpc64-linux-gnu-addr2line", "-f", "-e", MINI, hex(address - 4)],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()[0].lstrip(".")


def test_help_lists_every_command_and_what_a_debugger_may_change(shared: Guest) -> None:
    text = shared.command("help")
    names = ["help", "echo", "fib", "sieve", "ticks", "mem", "tasks", "panic", "trap", "exit"]
    assert re.findall(r"^  (\w+)", text, re.MULTILINE) == names
    assert "prompt[16]" in text and "verbosity" in text


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("echo", ""),
        ("echo   to be   or", "to be or"),
        ("   echo spaces  ", "spaces"),
        ("fib 0", "fib(0) = 0"),
        ("fib 1", "fib(1) = 1"),
        ("fib 10", "fib(10) = 55"),
        ("fib 0xc", "fib(12) = 144"),
        ("sieve 1", "0 primes up to 1"),
        ("sieve 100", "25 primes up to 100, the largest is 97"),
        ("", None),
        ("nonsense", "unknown command 'nonsense'; 'help' lists what there is"),
        ("fib", "fib: N is missing"),
        ("fib ten", "fib: N must be a number up to 40, not 'ten'"),
        ("fib 41", "fib: N must be a number up to 40, not '41'"),
        ("fib -1", "fib: N must be a number up to 40, not '-1'"),
        ("fib 18446744073709551616", "fib: N must be a number up to 40, not '18446744073709551616'"),
        ("sieve 65537", "sieve: N must be a number up to 65536, not '65537'"),
        ("mem 0x", "mem: ADDR must be a number up to 18446744073709551615, not '0x'"),
        ("mem 0", "mem: LEN is missing"),
    ],
)
def test_a_command_says(shared: Guest, line: str, answer: str | None) -> None:
    assert shared.command(line) == ("" if answer is None else answer + "\r\n")


def test_mem_shows_bytes_as_far_as_there_are_any(shared: Guest) -> None:
    rows = shared.command(f"mem {TEXT:#x} 20").splitlines()
    assert [row.partition(":")[0] for row in rows] == [f"{TEXT:016x}", f"{TEXT + 16:016x}"]
    assert len(rows[0].partition(":")[2][:48].split()) == 16
    # 48 MB are mapped from the kernel's beginning, and nothing behind them.
    end = TEXT + (48 << 20)
    rows = shared.command(f"mem {end - 2:#x} 4").splitlines()
    assert rows[0].startswith(f"{end - 2:016x}: 00 00 ")
    assert rows[1:] == [f"mem: nothing can be read at {end:#x}"]


@pytest.mark.parametrize("address", [0, NOWHERE, 0xFFFF_FFFF_FFFF_FFFF, 0xC000_0000_0000_3000, 0xD << 60])
def test_mem_of_nothing_does_not_hurt(shared: Guest, address: int) -> None:
    assert shared.command(f"mem {address:#x} 8") == f"mem: nothing can be read at {address:#x}\r\n"
    assert shared.command("echo alive") == "alive\r\n"


@pytest.mark.parametrize(
    ("keys", "screen", "line"),
    [
        (b"echo ab\x7fc\r", b"echo ab\b \bc\r\n", "ac"),
        (b"echo ab\x08\x08xy\r", b"echo ab\b \b\b \bxy\r\n", "xy"),
        (b"\x7f\x7fecho a\r", b"echo a\r\n", "a"),
        (b"nonsense\x15echo b\r", b"nonsense" + 8 * b"\b \b" + b"echo b\r\n", "b"),
        (b"ech\x1b[Ao\x1bOB \x1b[1;5Cc\r", b"echo c\r\n", "c"),
        (b"ec\x01h\x0co d\n", b"echo d\r\n", "d"),
        (b"rubbish\x03echo e\r\n", b"rubbish^C\r\n" + PROMPT + b"echo e\r\n", "e"),
    ],
)
def test_a_line_can_be_edited(shared: Guest, keys: bytes, screen: bytes, line: str) -> None:
    shared.offer(CONSOLE, keys)
    assert shared.expect(PROMPT + b"echo e\r\n" if b"\x03" in keys else b"\r\n") == screen
    assert shared.expect(PROMPT) == line.encode() + b"\r\n" + PROMPT


def test_typing_byte_by_byte_is_the_same_as_pasting(shared: Guest) -> None:
    for byte in b"echo ab\x7fc\r":
        shared.offer(CONSOLE, bytes([byte]))
    assert shared.expect(PROMPT) == b"echo ab\b \bc\r\nac\r\n" + PROMPT


def test_a_line_too_long_rings_and_keeps_its_beginning(shared: Guest) -> None:
    shared.offer(CONSOLE, b"echo " + b"x" * 200 + b"\r")
    screen = shared.expect(b"\r\n")
    assert screen.count(b"\a") == 78
    assert shared.expect(PROMPT) == b"x" * 122 + b"\r\n" + PROMPT


def test_ticks_and_tasks_go_on(shared: Guest) -> None:
    def ticks() -> int:
        found = re.fullmatch(r"(\d+) decrementer interrupts, 100 a second\r\n", shared.command("ticks"))
        assert found
        return int(found[1])

    def tasks() -> dict[str, tuple[str, int, int]]:
        rows = re.findall(r"^(\w+) +(\w+) +(\d+) turns(?:  (\d+))?", shared.command("tasks"), re.MULTILINE)
        return {name: (state, int(turns), int(progress or 0)) for name, state, turns, progress in rows}

    first, before = ticks(), tasks()
    assert list(before) == ["idle", "wire", "shell", "seconds", "primes"]
    assert before["shell"][0] == "running"
    polls = len(shared.peer.requests)
    shared.wait(lambda: len(shared.peer.requests) > polls + 20, "twenty polls of an idle guest")
    second, after = ticks(), tasks()
    assert second > first + 100, "twenty polls at up to 130 ms take more than a second"
    for name, (_, turns, progress) in after.items():
        assert turns > before[name][1], name
        if name in ("seconds", "primes"):
            assert progress > before[name][2], name


def test_nobody_reads_the_debugger_s_channel(shared: Guest) -> None:
    shared.offer(GDB, b"$?#3f")
    polls = len(shared.peer.requests)
    shared.wait(lambda: len(shared.peer.requests) > polls + 5, "a few polls")
    assert shared.command("echo still here") == "still here\r\n"
    assert not shared.peer.output[GDB]
    shared.peer.chunks[GDB].clear()


def test_panic_speaks_without_an_answer_and_stops_in_the_debugger(guest: Guest) -> None:
    guest.stop("panic")
    said, title, *chain = guest.peer.emergency.decode().splitlines()
    assert (said, title) == ("panic: you asked for it", "call chain:")
    assert [function_at(int(address, 16)) for address in chain] == [
        "run_panic",
        "execute",
        "shell",
        "thread_begin",
    ]
    assert guest.ask(b"?") == b"S05"
    guest.resume()
    guest.stopped_again(b"S05")


def test_exit_says_goodbye_on_the_wire(guest: Guest, machine: str) -> None:
    guest.offer(CONSOLE, b"exit\r")
    guest.wait(lambda: guest.peer.exited, "the exit request")
    assert bytes(guest.peer.output[CONSOLE]).endswith(b"the kernel ends here\r\n")
    assert guest.peer.requests[-1] == ("$", 0, 0)
    guest.settle()
    guest.line.exchange(b"")
    if machine == "mambo":
        assert isinstance(guest.line, MachineLine) and guest.line.end == 0, "a simulator is told to end"
