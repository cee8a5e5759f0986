"""Prints the values of a trace (isa/values) as LLVM IR: what has no effect and goes nowhere.

A value of 64 bits is an i64, a condition an i1; engines/llvm_lanes prints lanes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.cpu.state import MSR_EE
from emulator.engines import layout, llvm_lanes
from emulator.engines.pairs import Link
from emulator.isa.values import Arg, Op, Slot, Value, Word

_BINARY = {"add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv"}
_COMPARE = {"eq", "ne", "ult", "slt"}


@dataclass(slots=True)
class ValuePrinter:
    """Prints lines into one function."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    block: str = "entry"
    #: The record being executed, and what the names of its values begin with.
    record: str = "%r"
    values: str = "%v"
    #: What has been put, in order, and where the second of a pair finds it.
    puts: list[str] = field(default_factory=list)
    link: Link | None = None

    # Lines.

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        self.lines.append(name + ":")
        self.block = name

    def assign(self, expression: str) -> str:
        self.count += 1
        name = f"%t{self.count}"
        self.line(f"{name} = {expression}")
        return name

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    # State words and the record.

    def word_pointer(self, index: int) -> str:
        return self.assign(f"getelementptr i64, ptr %s, i64 {index}")

    def get(self, index: int) -> str:
        return self.assign(f"load i64, ptr {self.word_pointer(index)}")

    def get_pointer(self, index: int) -> str:
        return self.assign(f"load ptr, ptr {self.word_pointer(index)}")

    def put(self, index: int, value: str) -> None:
        self.line(f"store i64 {value}, ptr {self.word_pointer(index)}")

    def record_word(self, offset: int) -> str:
        pointer = self.assign(f"getelementptr i8, ptr {self.record}, i64 {offset}")
        return self.assign(f"load i64, ptr {pointer}")

    def slot(self, number: int) -> str:
        pointer = self.assign(f"getelementptr i8, ptr {self.record}, i64 {layout.SLOT_OFFSET + 2 * number}")
        return self.assign(f"zext i16 {self.assign(f'load i16, ptr {pointer}')} to i64")

    def place(self, place: Arg) -> str:
        """Return a pointer to a state word."""
        match place:
            case Word(index):
                return self.word_pointer(index)
            case Slot(number, offset):
                pointer = self.assign(f"getelementptr i64, ptr %s, i64 {self.slot(number)}")
                return (
                    pointer if not offset else self.assign(f"getelementptr i64, ptr {pointer}, i64 {offset}")
                )
        raise TypeError(f"not a place: {place!r}")

    # Operands.

    def value(self, arg: Arg) -> str:
        """Return an operand."""
        match arg:
            case Value():
                return f"{self.values}{arg.number}"
            case int():
                return str(arg - (1 << 64) if arg >> 63 else arg)
        raise TypeError(f"not a value: {arg!r}")

    def operand(self, arg: Arg, bits: int, lanes: int = 0) -> str:
        """Return an operand of that type; a constant may have to be made for it."""
        if not isinstance(arg, int):
            return self.value(arg)
        number = ("true" if arg & 1 else "false") if bits == 1 else self.value(arg)
        return f"<{', '.join([f'i{bits} {number}'] * lanes)}>" if lanes else number

    # Expressions.

    def expression(self, op: Op) -> str:
        """Return the instruction that computes an op's result."""
        if llvm_lanes.is_about_lanes(op):
            return llvm_lanes.expression(self, op)
        code, args = op.code, op.args
        bits = op.result.bits if op.result is not None else 64
        match code:
            case _ if code in _BINARY:
                a, b = (self.operand(arg, bits) for arg in args)
                return f"{code} i{bits} {a}, {b}"
            case _ if code in _COMPARE:
                return f"icmp {code} i64 {self.value(args[0])}, {self.value(args[1])}"
            case "const":
                return f"or i{bits} {self.operand(args[0], bits)}, {'false' if bits == 1 else 0}"
            case "get" if linked := self._linked(args[0]):
                return f"or i64 {linked}, 0"
            case "get":
                return f"load i64, ptr {self.place(args[0])}"
            case "get_bit":
                pointer, shift = self._bit_place(args[0])
                field_ = self._linked(args[0]) or self.assign(f"load i64, ptr {pointer}")
                return f"trunc i64 {self.assign(f'lshr i64 {field_}, {shift}')} to i1"
            case "select":
                condition, yes, no = args
                a, b = self.operand(yes, bits), self.operand(no, bits)
                return f"select i1 {self.value(condition)}, i{bits} {a}, i{bits} {b}"
            case "word":
                return f"zext i1 {self.value(args[0])} to i64"
            case "rotl":
                a, amount = self.value(args[0]), self.value(args[1])
                return f"call i64 @llvm.fshl.i64(i64 {a}, i64 {a}, i64 {amount})"
            case "clz":
                return f"call i64 @llvm.ctlz.i64(i64 {self.value(args[0])}, i1 false)"
            case "mulhu" | "mulhs":
                extend = "zext" if code == "mulhu" else "sext"
                a, b = (self.assign(f"{extend} i64 {self.value(arg)} to i128") for arg in args)
                product = self.assign(f"mul i128 {a}, {b}")
                return f"trunc i128 {self.assign(f'lshr i128 {product}, 64')} to i64"
            case "sext8" | "sext16" | "sext32":
                width = code.removeprefix("sext")
                return f"sext i{width} {self.assign(f'trunc i64 {self.value(args[0])} to i{width}')} to i64"
            case "bswap2" | "bswap4":
                return self._reversed_low(self.value(args[0]), 8 * int(code[5:]))
            case "bswap8":
                return f"call i64 @llvm.bswap.i64(i64 {self.value(args[0])})"
            case "fadd" | "fmul" | "fdiv":
                a, b = map(self._double, args)
                return self.image(f"{code} double {a}, {b}")
            case "fma":
                a, b, c = map(self._double, args)
                return self.image(f"call double @llvm.fma.f64(double {a}, double {b}, double {c})")
            case "fsqrt":
                return self.image(f"call double @llvm.sqrt.f64(double {self._double(args[0])})")
            case "fsingle":
                single = self.assign(f"fptrunc double {self._double(args[0])} to float")
                return self.image(f"fpext float {single} to double")
            case "sitofp":
                return self.image(f"sitofp i64 {self.value(args[0])} to double")
            case "fptosi":
                return f"call i64 @llvm.fptosi.sat.i64.f64(double {self._double(args[0])})"
            case "peek4" | "peek8":
                return f"or i64 {self.peek(self.value(args[0]), int(code[4:]))}, 0"
            case "real":
                return f"sub i64 {self.value(args[0])}, {self.get(layout.MEMORY)}"
            case "allows_interrupts":
                return f"and i64 {self.get(layout.RUN_MSR)}, {MSR_EE}"
            case "small":
                slot = args[0]
                assert isinstance(slot, Slot)
                return f"or i64 {self.slot(slot.number)}, 0"
            case "imm" | "target":
                return f"or i64 {self.record_word(layout.IMMEDIATE_OFFSET)}, 0"
            case "pc":
                return f"or i64 {self.record_word(layout.PC_OFFSET)}, 0"
        raise ValueError(f"no IR for {code}")

    def _linked(self, place: Arg) -> str | None:
        """Return the value at `place` if the first of the pair has just put it there."""
        link = self.link
        return self.puts[link.put] if link and place == Slot(link.slot) else None

    def _double(self, arg: Arg) -> str:
        return self.assign(f"bitcast i64 {self.value(arg)} to double")

    def image(self, expression: str, made: str = "double", image: str = "i64") -> str:
        """Return the instruction that makes a floating-point result a number's image again."""
        return f"bitcast {made} {self.assign(expression)} to {image}"

    def _reversed_low(self, value: str, width: int) -> str:
        low = self.assign(f"trunc i64 {value} to i{width}")
        swapped = self.assign(f"call i{width} @llvm.bswap.i{width}(i{width} {low})")
        return f"zext i{width} {swapped} to i64"

    def _bit_place(self, place: Arg) -> tuple[str, str]:
        """Return the pointer to a CR field and the shift of the bit in it (isa/operands packs both)."""
        assert isinstance(place, Slot)
        packed = self.slot(place.number)
        index = self.assign(f"lshr i64 {packed}, 2")
        return self.assign(f"getelementptr i64, ptr %s, i64 {index}"), self.assign(f"and i64 {packed}, 3")

    def peek(self, place: str, size: int) -> str:
        """Load big-endian from a host address."""
        width = 8 * size
        pointer = self.assign(f"inttoptr i64 {place} to ptr")
        value = self.assign(f"load i{width}, ptr {pointer}, align 1")
        if size > 1:
            value = self.assign(f"call i{width} @llvm.bswap.i{width}(i{width} {value})")
        return value if size == 8 else self.assign(f"zext i{width} {value} to i64")
