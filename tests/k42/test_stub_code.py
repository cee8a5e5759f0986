"""Which code of a kernel must never hold a trap."""

from pathlib import Path

import pytest

from emulator.symbols import Symbols, read_symbols
from k42.kernel import guest_kernel
from k42.stub_code import find_functions, find_register_blocks, find_stub_code, find_text


@pytest.mark.parametrize(
    ("function", "is_the_stubs"),
    [
        ("gdb_trap", True),
        ("packet_receive", True),
        ("wire_write", True),
        ("wire_read", True),
        ("uart_write", True),
        ("trap_entry", True),
        ("trap_dispatch", True),
        ("thread_switch", True),
        ("frame_resume", True),
        ("memory_read", True),
        ("access_succeeded", True),
        ("fib", False),
        ("shell", False),
        ("breakpoint", False),
        ("thread_sleep", False),
    ],
)
def test_the_stub_is_its_own_code_and_what_carries_its_bytes(function: str, is_the_stubs: bool) -> None:
    symbols = read_symbols(str(guest_kernel()))
    code = find_stub_code(guest_kernel(), symbols)
    assert any(symbols.address(function) in stretch for stretch in code) is is_the_stubs


def test_a_file_without_debug_information_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert find_stub_code(tmp_path / "empty", Symbols([])) == []
    assert find_stub_code(tmp_path / "missing", Symbols([])) == []


def test_the_register_block_is_among_the_candidates_and_code_is_what_the_file_says(tmp_path: Path) -> None:
    symbols = read_symbols(str(guest_kernel()))
    assert find_register_blocks(guest_kernel()) == [symbols.address("gdb_registers")]
    text = find_text(guest_kernel())
    assert text(symbols.address("fib"), 4) not in (None, bytes(4))
    assert text(symbols.address("gdb_registers"), 4) is None
    (tmp_path / "empty").write_bytes(b"")
    assert find_register_blocks(tmp_path / "empty") == []
    assert find_text(tmp_path / "empty")(0, 4) is None


def test_functions_are_those_whose_size_the_file_tells() -> None:
    symbols = read_symbols(str(guest_kernel()))
    function = find_functions(symbols)
    memcpy = symbols.symbol(symbols.address("memcpy"))
    assert memcpy is not None
    whole = range(memcpy.address, memcpy.address + memcpy.length)
    assert function(memcpy.address) == function(whole[-4]) == whole
    assert function(whole.start - 4) != whole
    assert function(0x1234) is None
