"""How the guest stops, steps, goes on and ends under its stub (K42 facts C.4, C.5, C.9)."""

from __future__ import annotations

import re
import struct

import pytest
from driven_guest import CONSOLE, GDB, Guest, packet
from mini_kernel import BE, LR, MSR, PC, SE, TRAP_WORD, TWGE, code, field, symbols, with_field

BLR = bytes.fromhex("4e800020")
ILLEGAL = bytes.fromhex("00000000")
LWARX_R4_R3 = bytes.fromhex("7c801828")
STWCX_R5_R3 = bytes.fromhex("7ca0192d")
MTSRR0_R3 = bytes.fromhex("7c7a03a6")
MFSRR0_R4 = bytes.fromhex("7c9a02a6")


@pytest.fixture(scope="module", params=["qemu", "hardware"])
def machine(request: pytest.FixtureRequest) -> str:
    """The stub does not know over what kind of port it speaks: two machines are enough for it."""
    return str(request.param)


def test_continue_returns_to_the_shell_and_the_next_stop_is_a_packet(stopped: Guest) -> None:
    stopped.resume()
    stopped.boot()
    assert stopped.command("echo on") == "on\r\n"
    stopped.offer(CONSOLE, b"trap\r")
    stopped.stopped_again(b"S05")
    assert stopped.ask(b"?") == b"S05"


def test_a_signal_to_continue_with_is_ignored(stopped: Guest) -> None:
    before = field(stopped.registers(), PC)
    stopped.resume(b"C0b;%x" % code("sieve"))
    stopped.boot()
    assert stopped.command("echo on") == "on\r\n", f"went on at {before:#x}"


@pytest.mark.parametrize(
    ("word", "signal", "moves"),
    [(TRAP_WORD, b"S05", 4), (TWGE, b"S05", 0), (ILLEGAL, b"S04", 0), (bytes.fromhex("e8600000"), b"S0b", 0)]
    + [(bytes.fromhex("f8600000"), b"S0b", 0)],
    ids=["7fe00008", "twge", "illegal", "bad load", "bad store"],
)
def test_a_stop_at_an_instruction(stopped: Guest, word: bytes, signal: bytes, moves: int) -> None:
    """`c ADDR` to a planted word; the signal and the exact pc."""
    address = code("sieve")
    assert stopped.ask(b"M%x,4:" % address + word.hex().encode()) == b"OK"
    stopped.resume(b"c%x" % address)
    stopped.stopped_again(signal)
    assert field(stopped.registers(), PC) == address + moves


def test_a_jump_to_nowhere(stopped: Guest) -> None:
    stopped.resume(b"c1234")
    stopped.stopped_again(b"S0b")
    assert field(stopped.registers(), PC) == 0x1234


def test_a_breakpoint_is_hit_by_the_command_that_reaches_it(stopped: Guest) -> None:
    address = code("fib")
    word = stopped.read_memory(address, 4)
    assert stopped.ask(b"M%x,4:" % address + TWGE.hex().encode()) == b"OK"
    stopped.resume()
    stopped.boot()
    stopped.offer(CONSOLE, b"fib 5\r")
    stopped.stopped_again(b"S05")
    block = stopped.registers()
    assert field(block, PC) == address and field(block, 3 * 8) == 5
    assert stopped.ask(b"M%x,4:" % address + word.hex().encode()) == b"OK"
    stopped.resume()
    assert stopped.expect(b"mini> ").endswith(b"fib(5) = 5\r\nmini> ")


def test_a_variable_written_shows_on_the_console(stopped: Guest) -> None:
    prompt, verbosity = symbols()["prompt"][0], symbols()["verbosity"][0]
    assert stopped.ask(b"M%x,6:" % prompt + b"what? ".hex().encode()) == b"OK"
    assert stopped.ask(b"M%x,4:00000002" % verbosity) == b"OK"
    stopped.resume()
    stopped.expect(b"what? ")
    stopped.offer(CONSOLE, b"echo a\r")
    assert re.fullmatch(rb"echo a\r\na\r\n\[\d+ ticks\]\r\nwhat\? ", stopped.expect(b"ticks]\r\nwhat? "))


def test_detach_is_forgotten_connection_and_nothing_else(stopped: Guest) -> None:
    assert stopped.raw_resume(b"D")
    stopped.boot()
    stopped.stop()
    assert bytes(stopped.peer.output[GDB]).endswith(b"-"), "a first stop again"


def test_hardware_steps_by_detaching_with_se_set(stopped: Guest) -> None:
    block = stopped.registers()
    stopped.write_registers(with_field(block, MSR, field(block, MSR) | SE))
    pc = field(block, PC)
    for _ in range(5):
        returns = stopped.read_memory(pc, 4) == BLR
        expected = field(block, LR) if returns else pc + 4
        requests = len(stopped.peer.requests)
        assert stopped.raw_resume(b"D")
        stopped.stopped()
        assert bytes(stopped.peer.output[GDB]).endswith(b"-")
        assert b"GDB got trap: Trace\r\n" in bytes(stopped.peer.output[CONSOLE][-300:])
        kinds = [kind for kind, _, _ in stopped.peer.requests[requests - 1 :]]
        assert kinds == list("A00A0000A"), "eight transactions a step, and the next read"
        assert stopped.ask(b"?") == b"S05"
        block = stopped.registers()
        assert field(block, MSR) & SE and not field(block, MSR) & 0x1F_0000
        pc = field(block, PC)
        assert pc == expected
    stopped.resume()
    stopped.boot()
    assert stopped.command("echo free") == "free\r\n", "c has cleared SE"


def test_branch_steps_by_continuing_with_be_set(stopped: Guest) -> None:
    block = stopped.registers()
    stopped.write_registers(with_field(block, MSR, field(block, MSR) | BE))
    stopped.resume()
    stopped.stopped_again(b"S05")
    after = stopped.registers()
    assert field(after, PC) == field(block, LR), "breakpoint() returns with a branch"
    stopped.write_registers(with_field(after, MSR, field(after, MSR) & ~BE))
    stopped.resume()
    stopped.boot()


def test_a_reservation_does_not_survive_a_stop(stopped: Guest) -> None:
    """lwarx, trap, stwcx., trap: the store must fail."""
    address, cell = code("sieve"), symbols()["prompt"][0]
    planted = LWARX_R4_R3 + TWGE + STWCX_R5_R3 + TWGE
    assert stopped.ask(b"M%x,10:" % address + planted.hex().encode()) == b"OK"
    block = with_field(with_field(stopped.registers(), PC, address), 3 * 8, cell)
    stopped.write_registers(block)
    stopped.resume()
    stopped.stopped_again(b"S05")
    block = stopped.registers()
    assert field(block, 4 * 8) == int.from_bytes(b"mini", "big")
    stopped.write_registers(with_field(block, PC, address + 8))
    stopped.resume()
    stopped.stopped_again(b"S05")
    cr = struct.unpack_from(">I", stopped.registers(), 528)[0]
    assert not cr & 0x2000_0000, "CR0[EQ] would mean stored"
    assert stopped.read_memory(cell, 4) == b"mini"


def test_srr0_is_not_part_of_the_state(stopped: Guest) -> None:
    """mtsrr0, trap, mfsrr0, trap: the kernel's value is gone."""
    address = code("sieve")
    planted = MTSRR0_R3 + TWGE + MFSRR0_R4 + TWGE
    assert stopped.ask(b"M%x,10:" % address + planted.hex().encode()) == b"OK"
    block = with_field(with_field(stopped.registers(), PC, address), 3 * 8, 0x1234)
    stopped.write_registers(block)
    stopped.resume()
    stopped.stopped_again(b"S05")
    block = stopped.registers()
    stopped.write_registers(with_field(block, PC, address + 8))
    stopped.resume()
    stopped.stopped_again(b"S05")
    assert field(stopped.registers(), 4 * 8) == address + 8, "SRR0 is where the stub resumed, not 0x1234"


def test_a_trap_in_the_stub_is_its_end(stopped: Guest) -> None:
    assert stopped.ask(b"M%x,4:" % code("memory_read") + TWGE.hex().encode()) == b"OK"
    stopped.offer(GDB, packet(b"m0,1"))
    bottom = f"{code('thread_begin') + 16:#x}\r\n".encode()
    stopped.wait(
        lambda: stopped.peer.emergency.endswith(bottom), "the last words, down to the thread's beginning"
    )
    assert stopped.peer.emergency.startswith(b"Trap in Debugger at pc %#x, lr 0x" % code("memory_read"))
    assert b"call chain:\r\n" in stopped.peer.emergency
    assert bytes(stopped.peer.output[GDB]).endswith(b"+")


def test_a_trap_in_the_way_out_is_a_silent_end(stopped: Guest) -> None:
    """The stub cannot even say its last words, and must not try for ever."""
    body = b"M%x,4:" % code("port_write") + TWGE.hex().encode()
    start = len(stopped.peer.output[GDB])
    stopped.offer(GDB, packet(body))
    stopped.wait(lambda: len(stopped.peer.output[GDB]) > start, "the acknowledgement")
    stopped.settle()
    for _ in range(5):
        assert stopped.line.exchange(b"") == b""
    assert bytes(stopped.peer.output[GDB][start:]) == b"+"


def test_kill_ends_the_kernel_without_a_reply(stopped: Guest) -> None:
    stopped.offer(GDB, packet(b"k"))
    stopped.wait(lambda: stopped.peer.exited, "the exit request")
    assert bytes(stopped.peer.output[GDB]).endswith(b"+")


def test_a_connected_debugger_hears_of_the_end(stopped: Guest) -> None:
    stopped.resume()
    stopped.boot()
    stopped.offer(CONSOLE, b"exit\r")
    stopped.stopped()
    assert bytes(stopped.peer.output[GDB]).endswith(b"$X09#c1")
    stopped.offer(GDB, b"+")
    stopped.wait(lambda: stopped.peer.exited, "the exit request")


def test_an_early_breakpoint_stops_before_the_shell(early: Guest) -> None:
    early.stopped()
    assert b"mini>" not in early.peer.output[CONSOLE]
    assert early.ask(b"?") == b"S05"
    early.resume()
    early.boot()
