"""Prints what is done to lanes (isa/wide) as LLVM IR.

A vector register is `<2 x i64>`, its high half first, as the state block has it.  On a little-endian host
lane 0 of the manual, the most significant one, is then the last that LLVM counts in its half; `_host_lane`
is the one place that knows.  Operators do not care, since all their operands are in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.isa.values import Arg, Op, Value

if TYPE_CHECKING:
    from emulator.engines.llvm_values import ValuePrinter

REGISTER = "<2 x i64>"
_SINGLES = "<4 x float>"
#: LLVM's functions on singles, and how many operands they have.
_FUNCTIONS = {
    "fma": "fma",
    "fsqrt": "sqrt",
    "fround0": "roundeven",
    "fround1": "trunc",
    "fround2": "ceil",
    "fround3": "floor",
}
_TO_INTEGERS = {"fptosi": "fptosi.sat", "fptoui": "fptoui.sat"}

DECLARATIONS = "\n".join(
    [
        f"declare {_SINGLES} @llvm.fma.v4f32({_SINGLES}, {_SINGLES}, {_SINGLES})",
        *(f"declare {_SINGLES} @llvm.{name}.v4f32({_SINGLES})" for name in list(_FUNCTIONS.values())[1:]),
        *(f"declare <4 x i32> @llvm.{name}.v4i32.v4f32({_SINGLES})" for name in _TO_INTEGERS.values()),
    ]
)


def type_of(value: Value) -> str:
    """Return the LLVM type of a value."""
    return f"<{value.lanes} x i{value.bits}>" if value.lanes else f"i{value.bits}"


def is_about_lanes(op: Op) -> bool:
    """Tell whether `expression` prints this op."""
    values = [arg for arg in (op.result, *op.args) if isinstance(arg, Value)]
    return op.code == "fill" or any(value.lanes for value in values)


def expression(p: ValuePrinter, op: Op) -> str:
    """Return the instruction that computes an op's result."""
    code, args, result = op.code, op.args, op.result
    assert result is not None
    made = type_of(result)
    match code:
        case "get":
            return f"load {made}, ptr {p.place(args[0])}, align 8"
        case "eq" | "ne" | "ult" | "slt":
            a, b = _alike(p, args)
            return f"icmp {code} {a}, {b}"
        case "select":
            condition, yes, no = args
            assert isinstance(condition, Value)
            a, b = (p.operand(arm, result.bits, result.lanes) for arm in (yes, no))
            return f"select {type_of(condition)} {p.value(condition)}, {made} {a}, {made} {b}"
        case "any":
            bits = p.assign(f"bitcast {_typed(p, args[0])} to i{_lanes(args[0])}")
            return f"icmp ne i{_lanes(args[0])} {bits}, 0"
        case "split":
            return _split(p, args, result)
        case "join":
            return _join(p, args)
        case "fill":
            number = _number(p, p.value(args[0]), result.bits)
            return _copies(p, number, result) if result.lanes else f"or {made} {number}, 0"
        case "shuffle":
            return _shuffle(p, args, result)
        case "copy_lane":
            last = p.assign(f"and i64 {p.value(args[1])}, {result.lanes - 1}")
            at = p.assign(f"xor i64 {last}, {_host_lane(0, result.lanes)}")
            lane = p.assign(f"extractelement {_typed(p, args[0])}, i64 {at}")
            return _copies(p, lane, result)
        case "permute":
            return _permute(p, args)
        case "fadd" | "fmul" | "fdiv":
            a, b = (_singles(p, arg) for arg in args)
            return p.image(f"{code} {_SINGLES} {a}, {b}", _SINGLES, made)
        case _ if code in _FUNCTIONS:
            operands = ", ".join(f"{_SINGLES} {_singles(p, arg)}" for arg in args)
            return p.image(f"call {_SINGLES} @llvm.{_FUNCTIONS[code]}.v4f32({operands})", _SINGLES, made)
        case "sitofp" | "uitofp":
            return p.image(f"{code} {_typed(p, args[0])} to {_SINGLES}", _SINGLES, made)
        case _ if code in _TO_INTEGERS:
            name = f"@llvm.{_TO_INTEGERS[code]}.v4i32.v4f32"
            return f"call {made} {name}({_SINGLES} {_singles(p, args[0])})"
        case _:
            a, b = (p.operand(arg, result.bits, result.lanes) for arg in args)
            return f"{code} {made} {a}, {b}"


def _typed(p: ValuePrinter, arg: Arg) -> str:
    assert isinstance(arg, Value)
    return f"{type_of(arg)} {p.value(arg)}"


def _lanes(arg: Arg) -> int:
    assert isinstance(arg, Value)
    return arg.lanes


def _alike(p: ValuePrinter, args: tuple[Arg, ...]) -> tuple[str, str]:
    """Return the operands of a comparison, the first with the type of both."""
    like = next(arg for arg in args if isinstance(arg, Value))
    a, b = (p.operand(arg, like.bits, like.lanes) for arg in args)
    return f"{type_of(like)} {a}", b


def _singles(p: ValuePrinter, arg: Arg) -> str:
    return p.assign(f"bitcast {_typed(p, arg)} to {_SINGLES}")


def _host_lane(number: int, lanes: int) -> int:
    """Return how LLVM counts lane `number` of a vector with that many; and the other way round."""
    return number ^ max(lanes // 2, 1) - 1


def _number(p: ValuePrinter, number: str, bits: int) -> str:
    """Return a 64-bit number in so many bits."""
    if bits == 64:
        return number
    return p.assign(f"{'zext' if bits > 64 else 'trunc'} i64 {number} to i{bits}")


def _copies(p: ValuePrinter, number: str, result: Value) -> str:
    made = type_of(result)
    first = p.assign(f"insertelement {made} poison, i{result.bits} {number}, i64 0")
    return f"shufflevector {made} {first}, {made} poison, <{result.lanes} x i32> zeroinitializer"


def _split(p: ValuePrinter, args: tuple[Arg, ...], result: Value) -> str:
    register, bits, is_signed = args
    if not result.lanes:
        whole = p.assign(f"bitcast {REGISTER} {_halves_swapped(p, p.value(register))} to i128")
        return f"zext i128 {whole} to i{result.bits}"
    cast = f"bitcast {REGISTER} {p.value(register)} to <{result.lanes} x i{bits}>"
    if result.bits == bits:
        return cast
    extend = "sext" if is_signed else "zext"
    return f"{extend} <{result.lanes} x i{bits}> {p.assign(cast)} to {type_of(result)}"


def _join(p: ValuePrinter, args: tuple[Arg, ...]) -> str:
    lanes, bits = args
    assert isinstance(lanes, Value) and isinstance(bits, int)
    if not lanes.lanes:
        whole = p.assign(f"trunc {_typed(p, lanes)} to i128")
        low_first = p.assign(f"bitcast i128 {whole} to {REGISTER}")
        return f"bitcast {REGISTER} {_halves_swapped(p, low_first)} to {REGISTER}"
    narrow, cut = p.value(lanes), f"<{lanes.lanes} x i{bits}>"
    if lanes.bits != bits:
        narrow = p.assign(f"trunc {_typed(p, lanes)} to {cut}")
    return f"bitcast {cut} {narrow} to {REGISTER}"


def _halves_swapped(p: ValuePrinter, register: str) -> str:
    return p.assign(f"shufflevector {REGISTER} {register}, {REGISTER} poison, <2 x i32> <i32 1, i32 0>")


def _shuffle(p: ValuePrinter, args: tuple[Arg, ...], result: Value) -> str:
    a, b, numbers = args
    assert isinstance(a, Value) and isinstance(numbers, tuple)
    mask = []
    for at in range(result.lanes):
        second, number = divmod(numbers[_host_lane(at, result.lanes)], a.lanes)
        mask.append(f"i32 {a.lanes * second + _host_lane(number, a.lanes)}")
    return f"shufflevector {_typed(p, a)}, {_typed(p, b)}, <{result.lanes} x i32> <{', '.join(mask)}>"


def _permute(p: ValuePrinter, args: tuple[Arg, ...]) -> str:
    """Choose from a and from b by the low four bits, then between them by the fifth."""
    octets = "<16 x i8>"
    a, b, choice = (p.assign(f"bitcast {_typed(p, arg)} to {octets}") for arg in args)

    def all_lanes(number: int) -> str:
        return f"<{', '.join([f'i8 {number}'] * 16)}>"

    low = p.assign(f"and {octets} {choice}, {all_lanes(15)}")
    places = p.assign(f"xor {octets} {low}, {all_lanes(_host_lane(0, 16))}")
    chosen = [_by_places(p, source, places) for source in (a, b)]
    fifth = p.assign(f"and {octets} {choice}, {all_lanes(16)}")
    is_first = p.assign(f"icmp eq {octets} {fifth}, zeroinitializer")
    result = p.assign(f"select <16 x i1> {is_first}, {octets} {chosen[0]}, {octets} {chosen[1]}")
    return f"bitcast {octets} {result} to {REGISTER}"


def _by_places(p: ValuePrinter, source: str, places: str) -> str:
    """Return the octets of `source` at `places`; x86 has an instruction for this, and LLVM finds it."""
    octets, result = "<16 x i8>", "poison"
    for at in range(16):
        place = p.assign(f"extractelement {octets} {places}, i64 {at}")
        octet = p.assign(f"extractelement {octets} {source}, i8 {place}")
        result = p.assign(f"insertelement {octets} {result}, i8 {octet}, i64 {at}")
    return result
