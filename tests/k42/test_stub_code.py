"""Which code of a kernel must never hold a trap."""

from pathlib import Path

import pytest

from emulator.symbols import read_symbols
from k42.kernel import guest_kernel
from k42.stub_code import find_stub_code


@pytest.mark.parametrize(
    ("function", "is_the_stubs"),
    [
        ("gdb_trap", True),
        ("packet_receive", True),
        ("wire_write", True),
        ("wire_read", True),
        ("uart_write", True),
        ("fib", False),
        ("shell", False),
        ("breakpoint", False),
        ("thread_sleep", False),
    ],
)
def test_the_stub_is_its_own_code_and_what_carries_its_bytes(function: str, is_the_stubs: bool) -> None:
    address = read_symbols(str(guest_kernel())).address(function)
    assert any(address in stretch for stretch in find_stub_code(guest_kernel())) is is_the_stubs


def test_a_file_without_debug_information_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert find_stub_code(tmp_path / "empty") == []
    assert find_stub_code(tmp_path / "missing") == []
