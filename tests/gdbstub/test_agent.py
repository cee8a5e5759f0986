"""Agent expressions: literal examples, arithmetic against Python's, and garbage."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbstub.agent import BINARY, MAX_STEPS, OPERANDS, AgentError, check, evaluate
from gdbstub.conditions import compile_expression, judge
from gdbstub.target import MemoryFault, TargetError

M64 = (1 << 64) - 1


@dataclass
class Look:
    registers: dict[int, int] = field(default_factory=dict)
    bytes_at: dict[int, bytes] = field(default_factory=dict)

    def register(self, number: int) -> int:
        return self.registers.get(number, 0)

    def memory(self, addr: int, length: int) -> bytes:
        if addr not in self.bytes_at:
            raise MemoryFault(addr)
        return self.bytes_at[addr][:length].ljust(length, b"\0")


def const(value: int) -> bytes:
    return b"\x25" + (value & M64).to_bytes(8, "big")


def run(code: bytes, look: Look | None = None) -> int:
    check(code)
    return evaluate(code, look or Look())


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


u64 = st.integers(0, M64) | st.sampled_from([0, 1, M64, 1 << 63])


@given(u64, u64)
def test_arithmetic_is_that_of_64_bits(a: int, b: int) -> None:
    def binary(operation: int) -> int:
        return run(const(a) + const(b) + bytes((operation, 0x27)))

    assert binary(0x02) == (a + b) & M64
    assert binary(0x03) == (a - b) & M64
    assert binary(0x04) == (a * b) & M64
    assert binary(0x14) == (signed(a) < signed(b))
    assert binary(0x15) == (a < b)
    assert binary(0x13) == (a == b)
    assert (binary(0x0F), binary(0x10), binary(0x11)) == (a & b, a | b, a ^ b)
    if b:
        assert (binary(0x06), binary(0x08)) == (a // b, a % b)
        quotient, remainder = signed(binary(0x05)), signed(binary(0x07))
        if (signed(a), signed(b)) != (-(1 << 63), -1):
            assert quotient * signed(b) + remainder == signed(a)
            assert abs(remainder) < abs(signed(b))
            assert remainder == 0 or (remainder < 0) == (signed(a) < 0)


@given(u64, st.integers(0, 80))
def test_shifts(a: int, n: int) -> None:
    assert run(const(a) + const(n) + b"\x09\x27") == a << n & M64
    assert run(const(a) + const(n) + b"\x0b\x27") == a >> n
    assert signed(run(const(a) + const(n) + b"\x0a\x27")) == signed(a) >> n


@given(u64, st.integers(1, 64))
def test_extensions(a: int, bits: int) -> None:
    low = a & (1 << bits) - 1
    assert run(const(a) + bytes((0x2A, bits, 0x27))) == low
    assert signed(run(const(a) + bytes((0x16, bits, 0x27)))) == low - (low >> bits - 1 << bits)


def test_the_manuals_own_example() -> None:
    # `reg 3; const8 1; equal; end`, what gdb sends for n == 1
    code = bytes.fromhex("26000322011327")
    assert run(code, Look({3: 1})) == 1
    assert run(code, Look({3: 2})) == 0


def test_memory_and_jumps() -> None:
    # reg 1; const8 8; add; ref32; dup; if_goto +: pop the zero, push 7 instead
    code = bytes.fromhex("260001 2208 02 19 28 20000f 29 2207 27 27 27".replace(" ", ""))
    assert run(code, Look({1: 0x100}, {0x108: b"\0\0\0\5"})) == 5
    assert run(code, Look({1: 0x100}, {0x108: b"\0\0\0\0"})) == 7
    with pytest.raises(MemoryFault):
        run(code, Look({1: 0x200}))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (b"", "cut short"),
        (b"\x25\x00", "cut short"),
        (b"\x01\x27", "0x1 is not supported"),
        (b"\x21\x00\x01\x27", "middle of an operation"),
    ],
)
def test_bad_expressions_are_refused_when_they_come(code: bytes, text: str) -> None:
    with pytest.raises(AgentError, match=text):
        check(code)


@pytest.mark.parametrize("code", [b"\x02\x27", b"\x22\x01", b"\x21\x00\x00", b"\x22\x01\x22\x00\x06\x27"])
def test_bad_runs_end(code: bytes) -> None:
    assert MAX_STEPS < 1_000_000
    with pytest.raises(AgentError):
        run(code)


@given(
    st.lists(
        st.sampled_from([*BINARY, 0x0E, 0x12, 0x16, 0x17, 0x20, 0x21, 0x22, 0x26, 0x27, 0x28, 0x32, 0x34])
    )
)
def test_garbage_gives_a_value_or_the_named_error(code: list[int]) -> None:
    raw = bytes(code)
    for action in (lambda: check(raw), lambda: evaluate(raw, Look())):
        try:
            action()
        except TargetError:
            continue


def test_commands_print_and_do_not_stop() -> None:
    text = b"n is %d, 0x%lx, %s, 100%%\\n\0"
    code = const(0x500) + const(M64) + const(M64 - 6) + const(0) + const(0)
    code += b"\x34\x03" + len(text).to_bytes(2, "big") + text + b"\x27"
    check(code)
    shown: list[str] = []
    look = Look(bytes_at={0x500 + n: bytes((c,)) for n, c in enumerate(b"abc\0")})
    assert judge((), (code,), shown.append)(look) is False
    assert shown == ["n is -7, 0xffffffffffffffff, abc, 100%\n"]


def test_one_true_condition_is_enough() -> None:
    yes, no = const(1) + b"\x27", const(0) + b"\x27"
    assert judge((no, yes), (), print)(Look()) is True
    assert judge((no, no), (), print)(Look()) is False


def random_expression(draw: st.DrawFn) -> bytes:
    """Return operations with jumps to the beginnings of operations, forwards more often than backwards."""
    kinds = [*BINARY, 0x0E, 0x12, 0x16, 0x17, 0x19, 0x20, 0x21, 0x22, 0x22, 0x22, 0x25, 0x26, 0x26]
    chosen = draw(st.lists(st.sampled_from([*kinds, 0x28, 0x29, 0x2A, 0x2B, 0x32, 0x33]), max_size=25))
    chosen = [0x22, 0x26, 0x22, *chosen, 0x27]
    starts = [0]
    for operation in chosen:
        starts.append(starts[-1] + 1 + OPERANDS[operation])
    code = bytearray()
    for index, operation in enumerate(chosen):
        code.append(operation)
        if operation in (0x20, 0x21):
            low = 0 if draw(st.integers(0, 5)) == 0 else min(index + 1, len(chosen) - 1)
            code += starts[draw(st.integers(low, len(chosen) - 1))].to_bytes(2, "big")
        elif operation == 0x26:
            code += draw(st.integers(0, 3)).to_bytes(2, "big")
        else:
            size = OPERANDS[operation]
            limit = {0x32: 3, 0x16: 66, 0x2A: 66}.get(operation, (1 << 8 * size) - 1)
            code += draw(st.integers(0, limit)).to_bytes(size, "big")
    return bytes(code)


@settings(max_examples=300)
@given(st.composite(random_expression)(), u64, u64)
def test_a_compiled_expression_does_what_the_interpreter_does(code: bytes, a: int, b: int) -> None:
    check(code)
    look = Look({0: a, 1: b, 2: 0, 3: 1}, {a: b"\x80\1\2\3", 0: b"\xff\xfe\xfd\xfc", 1: b"\0\0\0\0"})
    function = compile_expression(code)
    if function is None:
        return
    try:
        wanted: int | str = evaluate(code, look)
    except TargetError as problem:
        wanted = str(problem)
    try:
        found: int | str = function(look)
    except TargetError as problem:
        found = str(problem)
    assert found == wanted


@pytest.mark.parametrize(
    ("text", "registers"),
    [
        ("26000322011327", {3: 1}),  # n == 1, as gdb sends it
        # r3 >= 5 && r4 == 256: the second half is gone round where the first is false
        ("260003 2205 15 0e 20 000f 2200 21 0016 260004 230100 13 27", {3: 7, 4: 256}),
    ],
)
def test_what_gdb_makes_of_a_condition_is_compiled(text: str, registers: dict[int, int]) -> None:
    code = bytes.fromhex(text.replace(" ", ""))
    check(code)
    function = compile_expression(code)
    assert function is not None
    assert function(Look(registers)) == evaluate(code, Look(registers))
