"""AltiVec: one row for each vector computation (AltiVec PEM, chapter 6).

A computation is an operation of isa/lanes or isa/float_lanes between registers.  For an engine without vector
operations, and for the rare operands that `Outcome.unfit` tells of, it is one call: the helper finds the
operation by its number, reads the operands, writes the target, and keeps VSCR[SAT].
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator.cpu.interrupts import Interrupt, Vector
from emulator.isa import float_lanes, lanes, wide
from emulator.isa.builder import Builder, Vr
from emulator.isa.decode import insn
from emulator.isa.lanes import Operation
from emulator.isa.values import Value
from emulator.isa.vector_move import require_vmx

if TYPE_CHECKING:
    from emulator.cpu.processor import Processor


@dataclass(frozen=True, slots=True)
class Row:
    """One computation.  `shape` names its operands after VRT: registers a, b, c, the number u or s, or h."""

    name: str
    code: int
    shape: str
    title: str
    operation: Operation


def _minimum(a: Any, b: Any) -> Any:
    return lanes.choose(a < b, a, b)


def _maximum(a: Any, b: Any) -> Any:
    return lanes.choose(a > b, a, b)


def _average(a: Any, b: Any) -> Any:
    return a + b + 1 >> 1


def _no_borrow(a: Any, b: Any) -> Any:
    return lanes.choose(a >= b, 1, 0)


def _same(a: Any) -> Any:
    return a


_ADD, _SUB, _MIN, _MAX, _AVG = operator.add, operator.sub, _minimum, _maximum, _average
_UNSIGNED, _SIGNED = False, True
_L = lanes
_F = float_lanes

ROWS = (
    # Integer arithmetic.
    Row("vaddubm", 0, "ab", "Add Unsigned Byte Modulo", _L.modulo(8, _ADD)),
    Row("vadduhm", 64, "ab", "Add Unsigned Halfword Modulo", _L.modulo(16, _ADD)),
    Row("vadduwm", 128, "ab", "Add Unsigned Word Modulo", _L.modulo(32, _ADD)),
    Row("vaddcuw", 384, "ab", "Add Carryout Unsigned Word", _L.modulo(32, lambda a, b: a + b >> 32)),
    Row("vaddubs", 512, "ab", "Add Unsigned Byte Saturate", _L.saturating(8, _ADD, _UNSIGNED)),
    Row("vadduhs", 576, "ab", "Add Unsigned Halfword Saturate", _L.saturating(16, _ADD, _UNSIGNED)),
    Row("vadduws", 640, "ab", "Add Unsigned Word Saturate", _L.saturating(32, _ADD, _UNSIGNED)),
    Row("vaddsbs", 768, "ab", "Add Signed Byte Saturate", _L.saturating(8, _ADD, _SIGNED)),
    Row("vaddshs", 832, "ab", "Add Signed Halfword Saturate", _L.saturating(16, _ADD, _SIGNED)),
    Row("vaddsws", 896, "ab", "Add Signed Word Saturate", _L.saturating(32, _ADD, _SIGNED)),
    Row("vsububm", 1024, "ab", "Subtract Unsigned Byte Modulo", _L.modulo(8, _SUB)),
    Row("vsubuhm", 1088, "ab", "Subtract Unsigned Halfword Modulo", _L.modulo(16, _SUB)),
    Row("vsubuwm", 1152, "ab", "Subtract Unsigned Word Modulo", _L.modulo(32, _SUB)),
    Row("vsubcuw", 1408, "ab", "Subtract Carryout Unsigned Word", _L.modulo(32, _no_borrow)),
    Row("vsububs", 1536, "ab", "Subtract Unsigned Byte Saturate", _L.saturating(8, _SUB, _UNSIGNED)),
    Row("vsubuhs", 1600, "ab", "Subtract Unsigned Halfword Saturate", _L.saturating(16, _SUB, _UNSIGNED)),
    Row("vsubuws", 1664, "ab", "Subtract Unsigned Word Saturate", _L.saturating(32, _SUB, _UNSIGNED)),
    Row("vsubsbs", 1792, "ab", "Subtract Signed Byte Saturate", _L.saturating(8, _SUB, _SIGNED)),
    Row("vsubshs", 1856, "ab", "Subtract Signed Halfword Saturate", _L.saturating(16, _SUB, _SIGNED)),
    Row("vsubsws", 1920, "ab", "Subtract Signed Word Saturate", _L.saturating(32, _SUB, _SIGNED)),
    Row("vmaxub", 2, "ab", "Maximum Unsigned Byte", _L.modulo(8, _MAX)),
    Row("vmaxuh", 66, "ab", "Maximum Unsigned Halfword", _L.modulo(16, _MAX)),
    Row("vmaxuw", 130, "ab", "Maximum Unsigned Word", _L.modulo(32, _MAX)),
    Row("vmaxsb", 258, "ab", "Maximum Signed Byte", _L.modulo(8, _MAX, _SIGNED)),
    Row("vmaxsh", 322, "ab", "Maximum Signed Halfword", _L.modulo(16, _MAX, _SIGNED)),
    Row("vmaxsw", 386, "ab", "Maximum Signed Word", _L.modulo(32, _MAX, _SIGNED)),
    Row("vminub", 514, "ab", "Minimum Unsigned Byte", _L.modulo(8, _MIN)),
    Row("vminuh", 578, "ab", "Minimum Unsigned Halfword", _L.modulo(16, _MIN)),
    Row("vminuw", 642, "ab", "Minimum Unsigned Word", _L.modulo(32, _MIN)),
    Row("vminsb", 770, "ab", "Minimum Signed Byte", _L.modulo(8, _MIN, _SIGNED)),
    Row("vminsh", 834, "ab", "Minimum Signed Halfword", _L.modulo(16, _MIN, _SIGNED)),
    Row("vminsw", 898, "ab", "Minimum Signed Word", _L.modulo(32, _MIN, _SIGNED)),
    Row("vavgub", 1026, "ab", "Average Unsigned Byte", _L.modulo(8, _AVG)),
    Row("vavguh", 1090, "ab", "Average Unsigned Halfword", _L.modulo(16, _AVG)),
    Row("vavguw", 1154, "ab", "Average Unsigned Word", _L.modulo(32, _AVG)),
    Row("vavgsb", 1282, "ab", "Average Signed Byte", _L.modulo(8, _AVG, _SIGNED)),
    Row("vavgsh", 1346, "ab", "Average Signed Halfword", _L.modulo(16, _AVG, _SIGNED)),
    Row("vavgsw", 1410, "ab", "Average Signed Word", _L.modulo(32, _AVG, _SIGNED)),
    Row("vmuloub", 8, "ab", "Multiply Odd Unsigned Byte", _L.multiplying(8, 1, _UNSIGNED)),
    Row("vmulouh", 72, "ab", "Multiply Odd Unsigned Halfword", _L.multiplying(16, 1, _UNSIGNED)),
    Row("vmulosb", 264, "ab", "Multiply Odd Signed Byte", _L.multiplying(8, 1, _SIGNED)),
    Row("vmulosh", 328, "ab", "Multiply Odd Signed Halfword", _L.multiplying(16, 1, _SIGNED)),
    Row("vmuleub", 520, "ab", "Multiply Even Unsigned Byte", _L.multiplying(8, 0, _UNSIGNED)),
    Row("vmuleuh", 584, "ab", "Multiply Even Unsigned Halfword", _L.multiplying(16, 0, _UNSIGNED)),
    Row("vmulesb", 776, "ab", "Multiply Even Signed Byte", _L.multiplying(8, 0, _SIGNED)),
    Row("vmulesh", 840, "ab", "Multiply Even Signed Halfword", _L.multiplying(16, 0, _SIGNED)),
    Row("vsum4ubs", 1544, "ab", "Sum across Quarter Unsigned Byte", _L.sum_across(8, _UNSIGNED, 1)),
    Row("vsum4sbs", 1800, "ab", "Sum across Quarter Signed Byte", _L.sum_across(8, _SIGNED, 1)),
    Row("vsum4shs", 1608, "ab", "Sum across Quarter Signed Halfword", _L.sum_across(16, _SIGNED, 1)),
    Row("vsum2sws", 1672, "ab", "Sum across Half Signed Word", _L.sum_across(32, _SIGNED, 2)),
    Row("vsumsws", 1928, "ab", "Sum across Signed Word", _L.sum_across(32, _SIGNED, 4)),
    Row(
        "vmhaddshs", 32, "abc", "Multiply-High and Add Signed Halfword",
        _L.saturating(16, lambda a, b, c: (a * b >> 15) + c, _SIGNED),
    ),
    Row(
        "vmhraddshs", 33, "abc", "Multiply-High Round and Add Signed Halfword",
        _L.saturating(16, lambda a, b, c: (a * b + 0x4000 >> 15) + c, _SIGNED),
    ),
    Row(
        "vmladduhm", 34, "abc", "Multiply-Low and Add Unsigned Halfword",
        _L.modulo(16, lambda a, b, c: a * b + c),
    ),
    Row(
        "vmsumubm", 36, "abc", "Multiply-Sum Unsigned Byte",
        _L.summing(8, (_UNSIGNED, _UNSIGNED), _UNSIGNED, False),
    ),
    Row(
        "vmsummbm", 37, "abc", "Multiply-Sum Mixed-Sign Byte",
        _L.summing(8, (_SIGNED, _UNSIGNED), _SIGNED, False),
    ),
    Row(
        "vmsumuhm", 38, "abc", "Multiply-Sum Unsigned Halfword",
        _L.summing(16, (_UNSIGNED, _UNSIGNED), _UNSIGNED, False),
    ),
    Row(
        "vmsumuhs", 39, "abc", "Multiply-Sum Unsigned Halfword Saturate",
        _L.summing(16, (_UNSIGNED, _UNSIGNED), _UNSIGNED, True),
    ),
    Row(
        "vmsumshm", 40, "abc", "Multiply-Sum Signed Halfword",
        _L.summing(16, (_SIGNED, _SIGNED), _SIGNED, False),
    ),
    Row(
        "vmsumshs", 41, "abc", "Multiply-Sum Signed Halfword Saturate",
        _L.summing(16, (_SIGNED, _SIGNED), _SIGNED, True),
    ),
    # Comparison.
    Row("vcmpequb", 6, "abr", "Compare Equal Unsigned Byte", _L.comparing(8, operator.eq)),
    Row("vcmpequh", 70, "abr", "Compare Equal Unsigned Halfword", _L.comparing(16, operator.eq)),
    Row("vcmpequw", 134, "abr", "Compare Equal Unsigned Word", _L.comparing(32, operator.eq)),
    Row("vcmpgtub", 518, "abr", "Compare Greater Unsigned Byte", _L.comparing(8, operator.gt)),
    Row("vcmpgtuh", 582, "abr", "Compare Greater Unsigned Halfword", _L.comparing(16, operator.gt)),
    Row("vcmpgtuw", 646, "abr", "Compare Greater Unsigned Word", _L.comparing(32, operator.gt)),
    Row("vcmpgtsb", 774, "abr", "Compare Greater Signed Byte", _L.comparing(8, operator.gt, _SIGNED)),
    Row("vcmpgtsh", 838, "abr", "Compare Greater Signed Halfword", _L.comparing(16, operator.gt, _SIGNED)),
    Row("vcmpgtsw", 902, "abr", "Compare Greater Signed Word", _L.comparing(32, operator.gt, _SIGNED)),
    Row("vcmpeqfp", 198, "abr", "Compare Equal Floating-Point", _F.comparing(operator.eq)),
    Row("vcmpgefp", 454, "abr", "Compare Greater or Equal Floating-Point", _F.comparing(operator.ge)),
    Row("vcmpgtfp", 710, "abr", "Compare Greater Floating-Point", _F.comparing(operator.gt)),
    Row("vcmpbfp", 966, "abr", "Compare Bounds Floating-Point", _F.bounds),
    # Logic, rotates and shifts.
    Row("vand", 1028, "ab", "Logical AND", _L.bitwise(operator.and_)),
    Row("vandc", 1092, "ab", "Logical AND with Complement", _L.bitwise(lambda a, b: a & ~b)),
    Row("vor", 1156, "ab", "Logical OR", _L.bitwise(operator.or_)),
    Row("vxor", 1220, "ab", "Logical XOR", _L.bitwise(operator.xor)),
    Row("vnor", 1284, "ab", "Logical NOR", _L.bitwise(lambda a, b: ~(a | b))),
    Row("vrlb", 4, "ab", "Rotate Left Byte", _L.modulo(8, _L.rotate(8))),
    Row("vrlh", 68, "ab", "Rotate Left Halfword", _L.modulo(16, _L.rotate(16))),
    Row("vrlw", 132, "ab", "Rotate Left Word", _L.modulo(32, _L.rotate(32))),
    Row("vslb", 260, "ab", "Shift Left Byte", _L.modulo(8, lambda a, b: a << b % 8)),
    Row("vslh", 324, "ab", "Shift Left Halfword", _L.modulo(16, lambda a, b: a << b % 16)),
    Row("vslw", 388, "ab", "Shift Left Word", _L.modulo(32, lambda a, b: a << b % 32)),
    Row("vsrb", 516, "ab", "Shift Right Byte", _L.modulo(8, lambda a, b: a >> b % 8)),
    Row("vsrh", 580, "ab", "Shift Right Halfword", _L.modulo(16, lambda a, b: a >> b % 16)),
    Row("vsrw", 644, "ab", "Shift Right Word", _L.modulo(32, lambda a, b: a >> b % 32)),
    Row("vsrab", 772, "ab", "Shift Right Algebraic Byte", _L.modulo(8, lambda a, b: a >> b % 8, _SIGNED)),
    Row(
        "vsrah", 836, "ab", "Shift Right Algebraic Halfword",
        _L.modulo(16, lambda a, b: a >> b % 16, _SIGNED),
    ),
    Row("vsraw", 900, "ab", "Shift Right Algebraic Word", _L.modulo(32, lambda a, b: a >> b % 32, _SIGNED)),
    Row("vsl", 452, "ab", "Shift Left", _L.whole(lambda a, b: a << b % 8)),
    Row("vsr", 708, "ab", "Shift Right", _L.whole(lambda a, b: a >> b % 8)),
    Row("vslo", 1036, "ab", "Shift Left by Octet", _L.whole(_L.shift_octets_left)),
    Row("vsro", 1100, "ab", "Shift Right by Octet", _L.whole(_L.shift_octets_right)),
    # Permutation.
    Row("vmrghb", 12, "ab", "Merge High Byte", _L.merging(8, True)),
    Row("vmrghh", 76, "ab", "Merge High Halfword", _L.merging(16, True)),
    Row("vmrghw", 140, "ab", "Merge High Word", _L.merging(32, True)),
    Row("vmrglb", 268, "ab", "Merge Low Byte", _L.merging(8, False)),
    Row("vmrglh", 332, "ab", "Merge Low Halfword", _L.merging(16, False)),
    Row("vmrglw", 396, "ab", "Merge Low Word", _L.merging(32, False)),
    Row("vspltb", 524, "bu", "Splat Byte", _L.splat(8)),
    Row("vsplth", 588, "bu", "Splat Halfword", _L.splat(16)),
    Row("vspltw", 652, "bu", "Splat Word", _L.splat(32)),
    Row("vspltisb", 780, "s", "Splat Immediate Signed Byte", _L.splat_immediate(8)),
    Row("vspltish", 844, "s", "Splat Immediate Signed Halfword", _L.splat_immediate(16)),
    Row("vspltisw", 908, "s", "Splat Immediate Signed Word", _L.splat_immediate(32)),
    Row("vsel", 42, "abc", "Select", _L.bitwise(lambda a, b, c: a & ~c | b & c)),
    Row("vperm", 43, "abc", "Permute", _L.permute),
    Row("vsldoi", 44, "abh", "Shift Left Double by Octet", _L.whole(_L.shift_double)),
    Row("vpkuhum", 14, "ab", "Pack Unsigned Halfword Modulo", _L.packing(16, _UNSIGNED, _UNSIGNED, False)),
    Row("vpkuwum", 78, "ab", "Pack Unsigned Word Modulo", _L.packing(32, _UNSIGNED, _UNSIGNED, False)),
    Row("vpkuhus", 142, "ab", "Pack Unsigned Halfword Saturate", _L.packing(16, _UNSIGNED, _UNSIGNED, True)),
    Row("vpkuwus", 206, "ab", "Pack Unsigned Word Saturate", _L.packing(32, _UNSIGNED, _UNSIGNED, True)),
    Row("vpkshus", 270, "ab", "Pack Signed Halfword Unsigned Sat.", _L.packing(16, _SIGNED, _UNSIGNED, True)),
    Row("vpkswus", 334, "ab", "Pack Signed Word Unsigned Saturate", _L.packing(32, _SIGNED, _UNSIGNED, True)),
    Row("vpkshss", 398, "ab", "Pack Signed Halfword Saturate", _L.packing(16, _SIGNED, _SIGNED, True)),
    Row("vpkswss", 462, "ab", "Pack Signed Word Saturate", _L.packing(32, _SIGNED, _SIGNED, True)),
    Row("vpkpx", 782, "ab", "Pack Pixel", _L.pack_pixel),
    Row("vupkhsb", 526, "b", "Unpack High Signed Byte", _L.unpacking(8, True, _same)),
    Row("vupkhsh", 590, "b", "Unpack High Signed Halfword", _L.unpacking(16, True, _same)),
    Row("vupklsb", 654, "b", "Unpack Low Signed Byte", _L.unpacking(8, False, _same)),
    Row("vupklsh", 718, "b", "Unpack Low Signed Halfword", _L.unpacking(16, False, _same)),
    Row("vupkhpx", 846, "b", "Unpack High Pixel", _L.unpacking(16, True, _L.unpack_pixel)),
    Row("vupklpx", 974, "b", "Unpack Low Pixel", _L.unpacking(16, False, _L.unpack_pixel)),
    # Floating point.
    Row("vaddfp", 10, "ab", "Add Floating-Point", _F.floating(_F.add)),
    Row("vsubfp", 74, "ab", "Subtract Floating-Point", _F.floating(_F.subtract)),
    Row("vmaddfp", 46, "abc", "Multiply-Add Floating-Point", _F.floating(_F.multiply_add)),
    Row("vnmsubfp", 47, "abc", "Negative Multiply-Subtract", _F.floating(_F.negative_multiply_subtract)),
    Row("vmaxfp", 1034, "ab", "Maximum Floating-Point", _F.floating(_F.maximum)),
    Row("vminfp", 1098, "ab", "Minimum Floating-Point", _F.floating(_F.minimum)),
    Row("vrefp", 266, "b", "Reciprocal Estimate Floating-Point", _F.floating(_F.reciprocal)),
    Row("vrsqrtefp", 330, "b", "Reciprocal Square Root Estimate", _F.floating(_F.reciprocal_root)),
    Row("vexptefp", 394, "b", "2 Raised to the Exponent Estimate", _F.floating(_F.power_of_two)),
    Row("vlogefp", 458, "b", "Log Base 2 Estimate", _F.floating(_F.logarithm)),
    Row("vrfin", 522, "b", "Round to Nearest Integer", _F.to_integral(0)),
    Row("vrfiz", 586, "b", "Round toward Zero", _F.to_integral(1)),
    Row("vrfip", 650, "b", "Round toward +Infinity", _F.to_integral(2)),
    Row("vrfim", 714, "b", "Round toward -Infinity", _F.to_integral(3)),
    Row("vcfux", 778, "bu", "Convert from Unsigned Fixed-Point Word", _F.from_fixed(_UNSIGNED)),
    Row("vcfsx", 842, "bu", "Convert from Signed Fixed-Point Word", _F.from_fixed(_SIGNED)),
    Row("vctuxs", 906, "bu", "Convert to Unsigned Fixed-Point Word", _F.to_fixed(_UNSIGNED)),
    Row("vctsxs", 970, "bu", "Convert to Signed Fixed-Point Word", _F.to_fixed(_SIGNED)),
)  # fmt: skip


#: What leaves denormals, operands and results, to a handler in Java mode (970 user's manual, 4.5.17).
_TO_FIXED = ("vctuxs", "vctsxs")
_ASSISTED = frozenset(
    {"vaddfp", "vsubfp", "vmaddfp", "vnmsubfp", "vrefp", "vrsqrtefp", "vexptefp", "vlogefp"}
    | {"vrfin", "vrfiz", "vrfip", "vrfim", *_TO_FIXED}
)


def _read(processor: Processor, register: int) -> int:
    """Return the vector whose high half is state word `register`."""
    words = processor.state.words
    return words[register] << 64 | words[register + 1]


def _write(processor: Processor, register: int, value: int) -> None:
    words = processor.state.words
    words[register], words[register + 1] = value >> 64, value & (1 << 64) - 1


def _operate(processor: Processor, number: int, target: int, *operands: int) -> int:
    """Compute row `number`; operands are state words of registers, or numbers if the shape says so."""
    row = ROWS[number]
    state = processor.state
    values = [
        _read(processor, operand) if kind in "abc" else operand
        for kind, operand in zip(row.shape.removesuffix("r"), operands, strict=True)
    ]
    vscr = state.get("vscr")
    outcome = row.operation(values, vscr)
    assert outcome is not None
    if processor.takes_vmx_assist and row.name in _ASSISTED and not vscr & lanes.NJ:
        results = [] if row.name in _TO_FIXED else [outcome.vector]
        vectors = [v for v, kind in zip(values, row.shape, strict=True) if kind in "abc"]
        if any(map(float_lanes.has_denormal, vectors + results)):
            raise Interrupt(Vector.VMX_ASSIST)
    _write(processor, target, outcome.vector)
    if outcome.saturated:
        state.put("vscr", vscr | lanes.SAT)
    return 0


def _compare(processor: Processor, number: int, target: int, a: int, b: int) -> int:
    """Compute a comparison and set CR6: all lanes true (or LT), none true, or for bounds all within."""
    _operate(processor, number, target, a, b)
    result = _read(processor, target)
    all_true = result == (1 << 128) - 1 and ROWS[number].operation is not float_lanes.bounds
    processor.state.put("cr", 8 * all_true | 2 * (result == 0), 6)
    return 0


def _record_comparison(t: Builder, result: Value, operation: Operation) -> None:
    """Set CR6 as `_compare` does."""
    words = wide.split(result, 32, True, 32)
    all_true = t.select((words != -1).any(), t.constant(0), 8)
    none_true = t.select((words != 0).any(), t.constant(0), 2)
    t.put("cr", none_true if operation is float_lanes.bounds else all_true | none_true, 6)


#: The pattern of a shape, and the parameters of its effect.
_SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ab": ("vrt:5 vra:5 vrb:5 {code:011b}", ("vrt", "vra", "vrb")),
    "b": ("vrt:5 -:5 vrb:5 {code:011b}", ("vrt", "vrb")),
    "bu": ("vrt:5 uim:5 vrb:5 {code:011b}", ("vrt", "vrb", "uim")),
    "s": ("vrt:5 uim:5 -:5 {code:011b}", ("vrt", "uim")),
    "abr": ("vrt:5 vra:5 vrb:5 rc:1 {code:010b}", ("vrt", "vra", "vrb", "rc")),
    "abc": ("vrt:5 vra:5 vrb:5 vrc:5 {code:06b}", ("vrt", "vra", "vrb", "vrc")),
    "abh": ("vrt:5 vra:5 vrb:5 - shb:4 {code:06b}", ("vrt", "vra", "vrb", "shb")),
}


def _make_effect(number: int, row: Row) -> Callable[..., None]:
    """Return the effect of a row: functions with the parameters its pattern has."""

    def index(t: Builder, argument: Vr | Value) -> Value:
        return argument if isinstance(argument, Value) else t.index(argument)

    def compute(t: Builder, rc: int, target: Vr, *operands: Vr | Value) -> None:
        require_vmx(t)
        helper, indexes = (_compare if rc else _operate), [index(t, a) for a in (target, *operands)]
        outcome = None
        if t.has_host_units:
            vscr = t.get("vscr")
            outcome = row.operation([a if isinstance(a, Value) else t.vector(a) for a in operands], vscr)
        if outcome is None:
            t.call(helper, number, *indexes)
            return
        if outcome.unfit is not None:
            t.instead_if(outcome.unfit, helper, number, *indexes)
        t.set_vector(target, outcome.vector)
        if isinstance(outcome.saturated, Value):
            t.put("vscr", vscr | outcome.saturated.as_word())
        if rc:
            _record_comparison(t, outcome.vector, row.operation)

    def effect(t: Builder, target: Vr, *operands: Vr | Value) -> None:
        compute(t, 0, target, *operands)

    def comparison(t: Builder, vrt: Vr, vra: Vr, vrb: Vr, rc: int) -> None:
        compute(t, rc, vrt, vra, vrb)

    made = comparison if row.shape == "abr" else effect
    made.__name__ = row.name
    made.__doc__ = f"Vector {row.title}. AltiVec 6.2."
    return made


for _number, _row in enumerate(ROWS):
    _pattern, _parameters = _SHAPES[_row.shape]
    insn("000100 " + _pattern.format(code=_row.code), parameters=_parameters)(_make_effect(_number, _row))
