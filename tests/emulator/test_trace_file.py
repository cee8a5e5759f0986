"""Traces: what a step records, the file, its damage, and how a step is shown; the names of a kernel."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import load_raw_words

from emulator.boot import load_elf
from emulator.config import MachineConfig, MachineKind
from emulator.cpu.state import MSR_SF
from emulator.guests import MINI
from emulator.machine import Machine
from emulator.symbols import Symbol, Symbols, read_symbols
from emulator.trace import (
    MACHINE_REGISTERS,
    Step,
    TraceError,
    TraceReader,
    TraceWriter,
    format_step,
    format_steps,
    record,
)

NAMES = list(MACHINE_REGISTERS)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True))
    changes = tuple((name, draw(st.integers(0, (1 << 8 * MACHINE_REGISTERS[name]) - 1))) for name in names)
    pc = draw(st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([0, 4, 8, 12, (1 << 64) - 4])))
    return Step(pc, draw(st.integers(0, (1 << 32) - 1)), changes)


def written(some: list[Step], path: str = "") -> bytes:
    file = io.BytesIO()
    writer = TraceWriter(file, path=path)
    for step in some:
        writer.write(step)
    return file.getvalue()


@given(st.lists(steps(), max_size=30), st.text(max_size=20))
def test_what_is_written_is_read(some: list[Step], path: str) -> None:
    reader = TraceReader(io.BytesIO(written(some, path)))
    assert (reader.path, list(reader)) == (path, some)


@given(st.lists(steps(), min_size=1, max_size=5), st.data())
def test_a_cut_file_gives_its_whole_steps_and_then_the_error(some: list[Step], data: st.DataObject) -> None:
    whole = written(some)
    cut = data.draw(st.integers(0, len(whole) - 1))
    read: list[Step] = []
    try:
        for step in TraceReader(io.BytesIO(whole[:cut])):
            read.append(step)
    except TraceError:
        pass
    else:
        assert cut in {len(written(some[:n])) for n in range(len(some))}
    assert read == some[: len(read)]


@given(st.binary(max_size=200), st.booleans())
def test_garbage_gives_the_named_error_or_steps(garbage: bytes, behind_header: bool) -> None:
    data = written([]) + garbage if behind_header else b"K42STEP1" + garbage
    try:
        assert all(isinstance(step, Step) for step in TraceReader(io.BytesIO(data)))
    except TraceError as error:
        assert "\n" not in str(error)


def test_another_file_is_no_trace() -> None:
    with pytest.raises(TraceError, match="not a trace"):
        TraceReader(io.BytesIO(b"\x7fELF" + bytes(100)))


def test_following_steps_are_short() -> None:
    one = written([Step(0x1000, 0x60000000)])
    two = written([Step(0x1000, 0x60000000), Step(0x1004, 0x38600001, (("r3", 1),))])
    assert len(two) - len(one) == 5 + 9


def test_steps_of_the_machine_name_what_they_changed() -> None:
    words = (0x38600005, 0x2C030005, 0x7C6803A6, 0x90640000, 0x4E800020)
    machine = Machine(MachineConfig(memory=1 << 20), load_raw_words(*words))
    machine.set_registers({"r4": 0x8000})
    assert list(record(machine, 5)) == [
        Step(0x0, 0x38600005, (("r3", 5),)),  # li r3,5
        Step(0x4, 0x2C030005, (("cr", 0x20000000),)),  # cmpwi r3,5
        Step(0x8, 0x7C6803A6, (("lr", 5),)),  # mtlr r3
        Step(0xC, 0x90640000),  # stw r3,0(r4)
        Step(0x10, 0x4E800020),  # blr
    ]


def test_an_interrupt_is_a_step_of_its_own() -> None:
    machine = Machine(MachineConfig(memory=1 << 20), load_raw_words(0x44000002, address=0x4000))  # sc
    machine.write_memory(0xC00, 0x60000000.to_bytes(4, "big"))
    call, nop = record(machine, 2)
    assert (call.pc, nop.pc) == (0x4000, 0xC00)
    assert dict(call.changes)["srr0"] == 0x4004
    assert dict(call.changes)["srr1"] == MSR_SF


def test_recording_ends_where_the_machine_stops() -> None:
    config = MachineConfig(MachineKind.MAMBO, memory=1 << 20)
    machine = Machine(config, load_raw_words(0x60000000, 0x7C0007CE))
    assert [step.pc for step in record(machine, 100)] == [0]


def test_replaying_the_changes_gives_the_final_registers() -> None:
    machine = Machine(MachineConfig(), load_elf(str(MINI)))
    values = {name: 0 for name in NAMES}
    start = machine.state.words[:32].tolist()
    values |= {f"r{n}": value for n, value in enumerate(start)}
    for step in record(machine, 3000):
        values |= dict(step.changes)
    assert [values[f"r{n}"] for n in range(32)] == machine.state.words[:32].tolist()
    assert (values["lr"], values["cr"]) == (machine.state.get("lr"), machine.state.cr)


def test_a_line_shows_number_pc_symbol_word_and_changes() -> None:
    symbols = Symbols([Symbol("start", 0x1000, 0x20, True)])
    line = format_step(7, Step(0x1008, 0x38600005, (("r3", 5), ("cr", 0x20000000))), symbols)
    assert line.split() == ["7", "0000000000001008", "start+0x8", "38600005", "r3=5", "cr=20000000"]
    assert [line.split()[0] for line in format_steps([Step(0, 0)] * 3, symbols, 5)] == ["5", "6", "7"]
    assert "?" in format_step(0, Step(0x2000, 0), symbols)


# Symbols ---------------------------------------------------------------------------------------------------


def test_functions_are_found_behind_their_descriptors() -> None:
    symbols = read_symbols(str(MINI))
    machine = Machine(MachineConfig(), load_elf(str(MINI)))
    assert symbols.address("start") == machine.state.pc
    address = symbols.address("uart_write")
    assert symbols.name(address) == "uart_write"
    assert symbols.name(address + 8) == "uart_write+0x8"
    assert symbols.name(0x10) is None
    with pytest.raises(KeyError):
        symbols.address("no_such_function")


def test_lines_agree_with_addr2line() -> None:
    symbols = read_symbols(str(MINI))
    start = symbols.symbol(symbols.address("uart_write"))
    assert start is not None
    addresses = [*range(start.address, start.address + start.length, 4)]
    said = subprocess.run(
        ["powerpc64-linux-gnu-addr2line", "-s", "-e", str(MINI), *map(hex, addresses)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    expected = [line.split(" ")[0] for line in said if line]
    assert [str(symbols.line(address)) for address in addresses] == expected


def test_a_file_without_symbols_has_none(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"\x60\0\0\0")
    symbols = read_symbols(str(path))
    assert symbols.name(0) is None
    assert symbols.line(0) is None
