"""Prints a trace (isa/values) as the source of a Python function.

The function made for a form is a factory: called with the numbers of one decoded instruction it returns a
closure without parameters that executes it and returns the address of the next instruction.

    def make(w, p, load1, ..., changed, s0, s1, s2, s3, imm, target, pc, nia): def step(): ...; return step

`w` is the state block, `p` the processor.  Every op becomes one line; there is nothing clever here, because
this is what the other engines are judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.cpu.state import INDEX
from emulator.isa.bits import MASK64, sign_extend
from emulator.isa.decode import Form, operations
from emulator.isa.values import Arg, Op, Slot, Value, Word

Step = Callable[[], int]
Factory = Callable[..., Step]

_PARAMETERS = (
    "w, p, load1, load2, load4, load8, store1, store2, store4, store8, changed, "
    "s0, s1, s2, s3, imm, target, pc, nia"
)

#: One expression for each op that has a value; {0}, {1}, ... are its arguments.  M is 2^64-1, S is 2^63.
_EXPRESSIONS = {
    "const": "{0}",
    "add": "{0} + {1} & M",
    "sub": "{0} - {1} & M",
    "mul": "{0} * {1} & M",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "shl": "{0} << {1} & M",
    "lshr": "{0} >> {1}",
    "ashr": "(({0} ^ S) - S >> {1}) & M",
    "rotl": "({0} << {1} | {0} >> 64 - {1}) & M",
    "mulhu": "{0} * {1} >> 64",
    "mulhs": "((({0} ^ S) - S) * (({1} ^ S) - S) >> 64) & M",
    "udiv": "{0} // {1}",
    "sdiv": "divide_signed({0}, {1})",
    "clz": "64 - {0}.bit_length()",
    "sext8": "({0} & 0xFF ^ 0x80) - 0x80 & M",
    "sext16": "({0} & 0xFFFF ^ 0x8000) - 0x8000 & M",
    "sext32": "({0} & 0xFFFFFFFF ^ 0x80000000) - 0x80000000 & M",
    "bswap2": "byte_reverse({0}, 2)",
    "bswap4": "byte_reverse({0}, 4)",
    "bswap8": "byte_reverse({0}, 8)",
    "word": "+{0}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "ult": "{0} < {1}",
    "slt": "({0} ^ S) < ({1} ^ S)",
    "select": "{1} if {0} else {2}",
    "get": "w[{0}]",
    "get_bit": "w[{0} >> 2] >> ({0} & 3) & 1",
    "small": "{0}",
    "imm": "imm",
    "target": "target",
    "pc": "pc",
    "icount": f"w[{INDEX['icount']}]",
    **{f"load{size}": f"load{size}({{0}})" for size in (1, 2, 4, 8)},
}
_STATEMENTS = {
    "put": "w[{0}] = {1}",
    "put_bit": "w[{0} >> 2] = w[{0} >> 2] & ~(1 << ({0} & 3)) | {1} << ({0} & 3)",
    **{f"store{size}": f"store{size}({{0}}, {{1}})" for size in (1, 2, 4, 8)},
}


def divide_signed(a: int, b: int) -> int:
    """Divide 64-bit numbers as signed, towards zero."""
    x, y = sign_extend(a, 64), sign_extend(b, 64)
    quotient = abs(x) // abs(y)
    return (quotient if (x < 0) == (y < 0) else -quotient) & MASK64


def byte_reverse(value: int, size: int) -> int:
    """Reverse the low `size` bytes."""
    return int.from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "big"), "little")


def compile_form(form: Form) -> Factory:
    """Return the factory of `form`'s steps."""
    namespace: dict[str, Any] = {
        "M": MASK64,
        "S": 1 << 63,
        "divide_signed": divide_signed,
        "byte_reverse": byte_reverse,
    }
    source = print_form(form, namespace)
    exec(compile(source, f"<form {form.name}>", "exec"), namespace)
    factory: Factory = namespace["make"]
    return factory


def print_form(form: Form, namespace: dict[str, Any]) -> str:
    """Return the source of `form`; helpers it calls are put in `namespace`."""
    lines: list[str] = []
    next_address = "nia"
    is_ending_run = False
    for op in operations(form):
        match op.code:
            case "call":
                lines.append(_assign(op, _call(op.args, namespace)))
            case "call_if":
                call = _call(op.args[2:], namespace)
                lines.append(_assign(op, f"{call} if {_name(op.args[0])} else {_name(op.args[1])}"))
            case "stop_if":
                lines.append(f"if {_name(op.args[0])}: {_call(op.args[1:], namespace)}")
            case "instead_if":
                lines.append(f"if {_name(op.args[0])}: {_call(op.args[1:], namespace)}; return nia")
            case "context_changed":
                is_ending_run = True
            case "branch":
                next_address = _name(op.args[0])
            case "branch_if":
                next_address = f"{_name(op.args[1])} if {_name(op.args[0])} else nia"
            case code if code in _STATEMENTS:
                lines.append(_STATEMENTS[code].format(*map(_name, op.args)))
            case code:
                lines.append(_assign(op, _EXPRESSIONS[code].format(*map(_name, op.args))))
    lines.append(f"raise changed({next_address})" if is_ending_run else f"return {next_address}")
    body = "\n        ".join(lines)
    return f"def make({_PARAMETERS}):\n    def step():\n        {body}\n    return step\n"


def _assign(op: Op, expression: str) -> str:
    return expression if op.result is None else f"{_name(op.result)} = {expression}"


def _call(args: tuple[Arg, ...], namespace: dict[str, Any]) -> str:
    helper, *values = args
    name = f"call_{getattr(helper, '__name__', 'helper')}"
    namespace[name] = helper
    return f"{name}({', '.join(['p', *map(_name, values)])})"


def _name(arg: Arg) -> str:
    match arg:
        case Value():
            return f"v{arg.number}"
        case Slot(number, 0):
            return f"s{number}"
        case Slot(number, offset):
            return f"s{number} + {offset}"
        case Word(index):
            return str(index)
        case int():
            return str(arg)
    raise TypeError(f"cannot print {arg!r}")
