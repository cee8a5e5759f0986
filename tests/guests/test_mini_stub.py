"""The guest's gdb stub, packet by packet: what K42's stub does, and what it does not (K42 facts C).

Its limits are the point: a bridge that works with this stub works with the original.
"""

from __future__ import annotations

import re
import struct

import pytest
from driven_guest import CONSOLE, GDB, Guest, packet
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from machine_line import MachineLine, machine_with_mini

from emulator.config import MachineKind
from emulator.guests import MINI

TRAP_WORD = bytes.fromhex("7fe00008")  # the compiled-in breakpoint, which is also what gdb plants
TWGE = bytes.fromhex("7d821008")  # a trap that is not
BLR = bytes.fromhex("4e800020")
ILLEGAL = bytes.fromhex("00000000")
LWARX_R4_R3 = bytes.fromhex("7c801828")
STWCX_R5_R3 = bytes.fromhex("7ca0192d")
MTSRR0_R3 = bytes.fromhex("7c7a03a6")
MFSRR0_R4 = bytes.fromhex("7c9a02a6")
NOWHERE = 0xC000_0000_0000_3000  # one page above what is mapped at the bottom
PC, MSR, LR = 512, 520, 532
EE, SE, BE = 0x8000, 0x400, 0x200


@pytest.fixture(scope="module", params=["qemu", "hardware"])
def machine(request: pytest.FixtureRequest) -> str:
    """The stub does not know over what kind of port it speaks: two machines are enough for it."""
    return str(request.param)


def symbols() -> dict[str, list[int]]:
    lines = (MINI.parent / "boot_image.map").read_text().splitlines()
    return {name: [int(n, 16) for n in numbers] for name, *numbers in (line.split() for line in lines)}


def elf_symbol(name: str) -> int:
    """A symbol that is local to its file, which the map leaves out."""
    with MINI.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        found = table.get_symbol_by_name(name)
        assert found is not None and len(found) == 1
        return int(found[0]["st_value"])


def code(name: str) -> int:
    return symbols()[name][1]


def field(block: bytes, offset: int) -> int:
    return int(struct.unpack_from(">Q", block, offset)[0])


def with_field(block: bytes, offset: int, value: int) -> bytes:
    return block[:offset] + struct.pack(">Q", value) + block[offset + 8 :]


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


@pytest.mark.parametrize("name", ["memcpy", "strlen", "memset", "err_printf"])
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


# --- stops


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
