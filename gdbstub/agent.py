"""Agent expressions: the bytecode in which gdb sends conditions and commands of breakpoints.

A stack machine on 64-bit values (GDB manual, "The GDB Agent Expression Mechanism").  `check` looks at an
expression once, when gdb sends it; `evaluate` runs it each time the breakpoint is hit, with an `Inspection`
to look at the stopped thread.  Floating point and tracing are not there: gdb then evaluates the condition
itself.

Whatever is wrong with an expression, or with the memory it looks at, is an `AgentError` or a `TargetError`; a
condition that cannot be evaluated counts as true (gdbserver does the same), so that the user sees the stop.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator

from gdbstub.target import Inspection, TargetError

# Steps of one evaluation: a condition with a loop in it must not hang the machine.
MAX_STEPS = 10_000
MAX_STACK = 256
MAX_TEXT = 4096

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}

_M64 = (1 << 64) - 1
_SIGN = 1 << 63


class AgentError(TargetError):
    """The expression is not one, or does what we do not do."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EINVAL, f"agent expression: {text}")


def _signed(value: int) -> int:
    return (value ^ _SIGN) - _SIGN


def _divide(a: int, b: int) -> int:
    if b == 0:
        raise AgentError("division by zero")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: int, b: int) -> int:
    return a - b * _divide(a, b)


# opcode -> what it makes of the two topmost values, the lower one first
BINARY: dict[int, Callable[[int, int], int]] = {
    0x02: lambda a, b: a + b,
    0x03: lambda a, b: a - b,
    0x04: lambda a, b: a * b,
    0x05: lambda a, b: _divide(_signed(a), _signed(b)),
    0x06: _divide,
    0x07: lambda a, b: _remainder(_signed(a), _signed(b)),
    0x08: _remainder,
    0x09: lambda a, b: a << b if b < 64 else 0,
    0x0A: lambda a, b: _signed(a) >> min(b, 63),
    0x0B: lambda a, b: a >> b if b < 64 else 0,
    0x0F: lambda a, b: a & b,
    0x10: lambda a, b: a | b,
    0x11: lambda a, b: a ^ b,
    0x13: lambda a, b: a == b,
    0x14: lambda a, b: _signed(a) < _signed(b),
    0x15: lambda a, b: a < b,
}

LOG_NOT, BIT_NOT, EXTEND, ZERO_EXTEND = 0x0E, 0x12, 0x16, 0x2A
REFERENCES = {0x17: 1, 0x18: 2, 0x19: 4, 0x1A: 8}
IF_GOTO, GOTO = 0x20, 0x21
CONSTANTS = {0x22: 1, 0x23: 2, 0x24: 4, 0x25: 8}
REGISTER, END, DUP, POP, SWAP, PICK, ROT, PRINTF = 0x26, 0x27, 0x28, 0x29, 0x2B, 0x32, 0x33, 0x34

# opcode -> bytes of operand behind it; printf's is longer by its text
OPERANDS: dict[int, int] = {
    **dict.fromkeys((*BINARY, *REFERENCES, LOG_NOT, BIT_NOT, END, DUP, POP, SWAP, ROT), 0),
    **CONSTANTS,
    EXTEND: 1,
    ZERO_EXTEND: 1,
    PICK: 1,
    IF_GOTO: 2,
    GOTO: 2,
    REGISTER: 2,
    PRINTF: 3,
}


def operations(code: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Return the place, number and operand of each operation, and where it ends.  Raises AgentError."""
    position = 0
    while position < len(code):
        operation = code[position]
        if operation not in OPERANDS:
            raise AgentError(f"operation {operation:#x} is not supported")
        end = position + 1 + OPERANDS[operation]
        operand = int.from_bytes(code[position + 1 : end], "big")
        if operation == PRINTF:
            end += operand & 0xFFFF
        yield position, operation, operand, end
        position = end
    if position != len(code) or not code:
        raise AgentError("cut short")


def check(code: bytes) -> None:
    """Raise AgentError if `code` has an unknown operation, is cut short, or jumps between operations."""
    found = list(operations(code))
    starts = {position for position, _, _, _ in found}
    if not {operand for _, operation, operand, _ in found if operation in (IF_GOTO, GOTO)} <= starts:
        raise AgentError("a jump into the middle of an operation")


def evaluate(code: bytes, look: Inspection, show: Callable[[str], None] = lambda text: None) -> int:
    """Run an expression; return the topmost value at its end.  `show` gets what it prints.

    Raises AgentError, and what `look` raises.
    """
    stack: list[int] = []
    position = 0
    for _ in range(MAX_STEPS):
        try:
            operation = code[position]
            operand = int.from_bytes(code[position + 1 : position + 1 + OPERANDS[operation]], "big")
            position += 1 + OPERANDS[operation]
            if operation in BINARY:
                above = stack.pop()
                stack.append(BINARY[operation](stack.pop(), above) & _M64)
            elif operation in CONSTANTS:
                stack.append(operand)
            elif operation == REGISTER:
                stack.append(look.register(operand) & _M64)
            elif operation in REFERENCES:
                stack.append(int.from_bytes(look.memory(stack.pop(), REFERENCES[operation]), "big"))
            elif operation == EXTEND:
                stack.append(extend(stack.pop(), operand))
            elif operation == END:
                return stack[-1] if stack else 0
            elif operation == IF_GOTO:
                position = operand if stack.pop() else position
            elif operation == GOTO:
                position = operand
            elif operation == PRINTF:
                # The operand is the number of arguments and the length of the text behind it.
                end = position + (operand & 0xFFFF)
                show(_print(code[position:end], operand >> 16, stack, look))
                position = end
            else:
                _arrange(operation, operand, stack)
        except (IndexError, KeyError):
            raise AgentError("the stack or the code ends too early") from None
        if len(stack) > MAX_STACK:
            raise AgentError("the stack overflows")
    raise AgentError("no end in sight")


def extend(value: int, bits: int) -> int:
    """Return the low `bits` of a value as a signed number, in 64 bits."""
    if not 0 < bits <= 64:
        return value
    value &= (1 << bits) - 1
    return (value - ((value >> (bits - 1)) << bits)) & _M64


def _arrange(operation: int, operand: int, stack: list[int]) -> None:
    """Do what only moves or changes the topmost values."""
    match operation:
        case 0x0E:
            stack[-1] = not stack[-1]
        case 0x12:
            stack[-1] ^= _M64
        case 0x2A:
            stack[-1] &= (1 << operand) - 1 if operand < 64 else _M64
        case 0x28:
            stack.append(stack[-1])
        case 0x29:
            stack.pop()
        case 0x2B:
            stack[-1], stack[-2] = stack[-2], stack[-1]
        case 0x32:
            stack.append(stack[-1 - operand])
        case 0x33:
            stack[-3:] = [stack[-1], stack[-3], stack[-2]]


def _print(text: bytes, count: int, stack: list[int], look: Inspection) -> str:
    """Format as printf does; function and channel lie on top of the arguments, the first one uppermost."""
    del stack[-2:]
    arguments = [stack.pop() for _ in range(count)]
    # gdb sends the text as the user wrote it, escapes and all.
    plain = re.sub(
        r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), text.rstrip(b"\0").decode("latin-1")
    )
    pieces = plain.split("%")
    shown = [pieces[0]]
    is_literal = False
    for piece in pieces[1:]:
        if is_literal or not piece:
            # `%%`: the empty piece between the two, then what follows the second.
            shown.append("%" + piece if is_literal else "")
            is_literal = not is_literal
            continue
        stripped = piece.lstrip("-+ #0123456789.hlzjt")
        flags = piece[: len(piece) - len(stripped)].rstrip("hlzjt")
        shown.append(_format(flags, stripped[:1], arguments.pop(0) if arguments else 0, look))
        shown.append(stripped[1:])
    return "".join(shown)[:MAX_TEXT]


def _format(flags: str, letter: str, value: int, look: Inspection) -> str:
    match letter:
        case "d" | "i":
            return f"%{flags}d" % _signed(value)
        case "u":
            return f"%{flags}d" % value
        case "x" | "X" | "o":
            return f"%{flags}{letter}" % value
        case "p":
            return f"{value:#x}"
        case "c":
            return chr(value & 0xFF)
        case "s":
            return f"%{flags}s" % _string(value, look)
        case _:
            raise AgentError(f"printf of %{letter}")


def _string(addr: int, look: Inspection) -> str:
    text = bytearray()
    while len(text) < MAX_TEXT and (byte := look.memory(addr + len(text), 1)) != b"\0":
        text += byte
    return text.decode("latin-1")
