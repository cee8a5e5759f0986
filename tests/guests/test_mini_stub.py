"""The guest's gdb stub, packet by packet: what K42's stub does, and what it does not (K42 facts C).

Its limits are the point: a bridge that works with this stub works with the original.
"""

from __future__ import annotations

import struct

import pytest
from driven_guest import CONSOLE, GDB, Guest, packet
from machine_line import MachineLine, machine_with_mini
from mini_kernel import EE, LR, MSR, NOWHERE, PC, TWGE, code, elf_symbol, field, symbols

from emulator.config import MachineKind


@pytest.fixture(scope="module", params=["qemu", "hardware"])
def machine(request: pytest.FixtureRequest) -> str:
    """The stub does not know over what kind of port it speaks: two machines are enough for it."""
    return str(request.param)


# --- framing


def test_the_first_stop_speaks_to_people_and_sends_one_minus(stopped: Guest) -> None:
    console = bytes(stopped.peer.output[CONSOLE]).split(b"trap\r\n", 1)[1]
    lines = console.split(b"\r\n")
    pc = code("breakpoint")
    assert lines[0] == b"GDB got trap: Program"
    assert b"vector 0x700 sr 0x" in lines[1] and f"pc {pc:#x} lr 0x".encode() in lines[1]
    assert len(lines) == 5 and lines[4] == b""
    # Three writes, the last two lines in one of 96 bytes; then the '-'.
    last = stopped.peer.writes[-4:]
    assert [channel for channel, _ in last] == [CONSOLE, CONSOLE, CONSOLE, GDB]
    assert len(last[2][1]) == 96
    assert last[3][1] == b"-"
    assert bytes(stopped.peer.output[GDB]) == b"-"
    assert stopped.peer.requests[-1] == ("A", 2046, GDB)


def test_a_command_costs_four_transactions(held: Guest) -> None:
    start = len(held.peer.requests)
    assert held.ask(b"?") == b"S05"
    assert held.peer.requests[start:] == [("0", 1, GDB), ("0", 7, GDB), ("A", 1, GDB), ("A", 2046, GDB)]


@pytest.mark.parametrize(
    "chunk",
    [
        b"$",
        b"$?",
        b"?#3f",
        b"$?#3",
        b"+$?#3f",
        b"$?#3f$?#3f",
        b"\x03",
        b"$?#3e",
        b"$g#68",
        b"+",
        b"-",
        b"$?#3f+",
    ],
)
def test_what_is_not_one_whole_packet_is_refused(held: Guest, chunk: bytes) -> None:
    assert held.raw(chunk) == b"-"


def test_fragments_are_refused_one_by_one(held: Guest) -> None:
    assert held.raw(b"$m0,") == b"-"
    assert held.raw(b"4#fd") == b"-"


def test_an_empty_packet_is_a_packet(held: Guest) -> None:
    assert held.ask(b"") == b""


def test_checksum_digits_of_either_case(held: Guest) -> None:
    assert held.raw(b"$m0#9D") == b"+$E01#a6"
    assert held.raw(b"+") == b""


def test_anything_but_a_plus_repeats_the_reply(held: Guest) -> None:
    assert held.raw(packet(b"?")) == b"+$S05#b8"
    assert held.raw(b"-") == b"$S05#b8"
    assert held.raw(b"$?#3f") == 5 * b"$S05#b8", "one byte at a time, each of them no plus"
    assert held.raw(b"+") == b""


def test_an_empty_read_is_asked_again(held: Guest) -> None:
    start = len(held.peer.requests)
    assert held.raw(b"") == b""
    held.wait(lambda: len(held.peer.requests) > start, "another read")
    assert held.ask(b"?") == b"S05"


def test_a_sequence_id_is_part_of_the_acknowledgement(held: Guest) -> None:
    assert held.raw(packet(b"07:?")) == b"+07$S05#b8"
    assert held.raw(b"+") == b""
    # Any third byte that is a colon makes one.
    assert held.raw(packet(b"mx:?")) == b"+mx$S05#b8"
    assert held.raw(b"+") == b""


def test_the_largest_packet_is_one_read(held: Guest) -> None:
    address = b"%x" % symbols()["prompt"][0]
    body = b"M" + address + b",0:" + b"0" * (2046 - 4 - len(b"M,0:") - len(address))
    assert len(packet(body)) == 2046
    assert held.ask(body) == b"OK"
    assert held.raw(packet(body + b"0")) == b"--", "cut into two reads"


# --- commands


@pytest.mark.parametrize(
    "command",
    [
        b"s",
        b"e",
        b"Hg0",
        b"Hc-1",
        b"qSupported:x+",
        b"qC",
        b"qAttached",
        b"vCont?",
        b"vMustReplyEmpty",
        b"X0,0:",
    ]
    + [b"Z0,0,4", b"z0,0,4", b"P40=0", b"p40", b"T1", b"!", b"R00", b"i", b"QStartNoAckMode"],
)
def test_what_it_cannot_do(held: Guest, command: bytes) -> None:
    assert held.ask(command) == b""


def test_the_registers_are_556_bytes_in_gdb_s_order(held: Guest) -> None:
    block = held.registers()
    assert len(block) == 556
    assert field(block, PC) == code("breakpoint") + 4, "moved past the compiled-in breakpoint"
    msr = field(block, MSR)
    assert msr & 0xFFFF == 0xB030, "EE, FP, ME, IR and DR"
    assert msr & 0x1F_0000 == 0x2_0000, "the cause bits of SRR1 are not hidden: a trap"
    stack, toc = field(block, 8), field(block, 16)
    assert toc == symbols()["breakpoint"][2]
    # The word the stack pointer points to is the caller's stack pointer.
    back_chain = int.from_bytes(held.read_memory(stack, 8), "big")
    assert stack < back_chain < stack + 1024
    link = field(block, LR)
    assert code("breakpoint") != link and 0xC000_0000_0200_0000 < link < symbols()["text_end"][0]


def test_registers_written_are_registers_read(held: Guest) -> None:
    before = held.registers()
    changed = bytes(range(256)) + bytes(range(255, -1, -1)) + before[512:528]
    changed += (
        bytes.fromhex("12345678") + b"LINKLINK" + b"COUNTING" + bytes.fromhex("20000000") + b"\0\0\0\xf8"
    )
    held.write_registers(changed)
    assert held.registers() == changed
    held.write_registers(before)
    assert held.registers() == before


def test_every_register_reaches_the_kernel_and_returns(stopped: Guest) -> None:
    """Write all registers, let one instruction run that changes none, and read them from the next stop.

    With EE off: the decrementer's handler would want a stack.
    """
    scratch = code("sieve")
    stopped.ask(b"M%x,8:60000000" % scratch + TWGE.hex().encode())
    before = stopped.registers()
    changed = b"".join(struct.pack(">Q", 0x0101_0101_0101_0101 * n + 0x8000_0000) for n in range(1, 33))
    changed += b"".join(struct.pack(">d", n + 0.5) for n in range(32))
    changed += struct.pack(">QQ", scratch, field(before, MSR) & ~(0x20000 | EE))
    changed += (
        bytes.fromhex("12345678") + b"LINKLINK" + b"COUNTING" + bytes.fromhex("a0000000") + b"\0\0\0\xf8"
    )
    stopped.write_registers(changed)
    stopped.resume()
    stopped.stopped_again(b"S05")
    after = stopped.registers()
    assert field(after, PC) == scratch + 4
    assert after[:512] == changed[:512]
    assert after[528:] == changed[528:]


def test_the_block_of_a_short_g_is_filled_with_what_is_there(held: Guest) -> None:
    before = held.registers()
    assert held.ask(b"G" + before[:8].hex().encode()) == b"OK"
    assert held.registers()[:8] == before[:8]
    assert held.registers() != before
    held.write_registers(before)


def test_memory_reads(held: Guest) -> None:
    address = symbols()["prompt"][0]
    assert held.ask(b"m%x,7" % address) == b"mini> \0".hex().encode()
    assert held.ask(b"m%X,7" % address) == b"mini> \0".hex().encode()
    assert held.ask(b"m0,0") == b"", "nothing asked, nothing refused"
    assert len(held.ask(b"m%x,3fe" % address)) == 2 * 1022


def test_a_read_longer_than_the_buffer_runs_over_its_end() -> None:
    """1022 bytes fit.  The damage is real: here it is only looked at where it begins."""
    machine = machine_with_mini(MachineKind.HARDWARE)
    guest = Guest(MachineLine(machine))
    guest.boot()
    guest.stop()
    behind = elf_symbol("output") + 2048
    prompt = symbols()["prompt"][0]
    assert len(guest.ask(b"m%x,3fe" % prompt)) == 2044
    before = machine.read_memory(behind, 2)
    guest.offer(GDB, packet(b"m%x,3ff" % prompt))
    guest.settle()
    guest.line.exchange(b"")
    assert machine.read_memory(behind, 2) != before


@pytest.mark.parametrize("command", [b"m", b"m,", b"mx,4", b"m10", b"m10,", b"m10,x", b"m10;4"])
def test_malformed_reads(held: Guest, command: bytes) -> None:
    assert held.ask(command) == b"E01"


@pytest.mark.parametrize(
    "command", [b"M", b"M,", b"Mx,4:00", b"M10", b"M10,", b"M10,1", b"M10,1;00", b"M10,x:00"]
)
def test_malformed_writes(held: Guest, command: bytes) -> None:
    assert held.ask(command) == b"E02"


def test_a_read_that_faults_replaces_the_whole_reply(held: Guest) -> None:
    assert held.ask(b"m%x,4" % (NOWHERE - 2)) == b"E03"
    assert len(held.ask(b"m%x,2" % (NOWHERE - 2))) == 4
    for address in (0, 0x1234, 0xD << 60, 0xFFFF_FFFF_FFFF_FFFF):
        assert held.ask(b"m%x,1" % address) == b"E03"


def test_a_write_that_faults_leaves_the_bytes_before_it(held: Guest) -> None:
    assert held.ask(b"M%x,4:a1b2c3d4" % (NOWHERE - 2)) == b"E03"
    assert held.read_memory(NOWHERE - 2, 2) == bytes.fromhex("a1b2")


def test_writes_are_as_lax_as_the_original(held: Guest) -> None:
    scratch = NOWHERE - 16
    assert held.ask(b"M%x,4:11223344" % scratch) == b"OK"
    assert held.ask(b"M%x,4:5566" % scratch) == b"OK", "missing digits"
    assert held.read_memory(scratch, 2) == bytes.fromhex("5566")
    assert held.read_memory(scratch + 2, 2) != bytes.fromhex("3344")
    assert held.ask(b"M%x,2:zzzz" % scratch) == b"OK", "digits that are none"
    assert held.ask(b"M%x,1:AbCd" % scratch) == b"OK", "more than announced"
    assert held.read_memory(scratch, 1) == b"\xab"


@pytest.mark.parametrize("name", ["memcpy", "strlen", "stub_strcpy", "memset", "err_printf"])
def test_precious_functions_say_ok_and_stay(held: Guest, name: str) -> None:
    for offset in (0, 60):
        address = code(name) + offset
        before = held.read_memory(address, 4)
        assert held.ask(b"M%x,4:" % address + TWGE.hex().encode()) == b"OK"
        assert held.read_memory(address, 4) == before


def test_only_the_start_of_a_write_is_checked(held: Guest) -> None:
    address = code("memcpy")
    before = held.read_memory(address - 4, 4)
    assert held.ask(b"M%x,4:" % (address - 4) + before.hex().encode()) == b"OK"
    behind = code("err_printf") + 64
    word = held.read_memory(behind, 4)
    assert held.ask(b"M%x,4:" % behind + TWGE.hex().encode()) == b"OK"
    assert held.read_memory(behind, 4) == TWGE
    assert held.ask(b"M%x,4:" % behind + word.hex().encode()) == b"OK"


def test_d_shows_the_traffic_on_the_console(held: Guest) -> None:
    assert held.ask(b"d") == b""
    start = len(held.peer.output[CONSOLE])
    assert held.ask(b"?") == b"S05"
    shown = bytes(held.peer.output[CONSOLE][start:])
    assert shown.count(b"\r\n") == 2 and b"?" in shown and b"S05" in shown
    assert held.ask(b"d") == b""
    quiet = len(held.peer.output[CONSOLE])
    assert held.ask(b"?") == b"S05"
    assert len(held.peer.output[CONSOLE]) == quiet
