"""Prints traces (isa/values) as LLVM IR: one handler function for each instruction form.

A handler does its effect, an op at a time, and goes on with the next record.  What an op computes is printed
by engines/llvm_values, how memory is reached by engines/llvm_accesses, how a handler goes on and how it
leaves by engines/llvm_records; here are the order of the effect, jumps, and what asks Python.

A handler that calls something would build a frame for it even where it does not call.  So what needs Python
(a TLB miss, a rare helper) is left, before the instruction has had an effect, to a second function, the
form's slow handler, which begins the instruction again.  A handler of a pair (engines/pairs) executes two
records and leaves each of the two in the same way; it is not there while h_stop is planted at the second.

The IR holds no absolute address: everything hangs off `s`, so one compiled object serves every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from emulator.cpu.state import INDEX, MSR_DR, MSR_IR, MSR_PR
from emulator.engines import layout
from emulator.engines.llvm_accesses import MAX_ARGUMENTS, AccessPrinter
from emulator.engines.llvm_lanes import DECLARATIONS, type_of
from emulator.engines.names import helper_name, helper_number, slow_name, stop_name
from emulator.engines.pairs import Pair
from emulator.isa.builder import Builder
from emulator.isa.context import take
from emulator.isa.decode import Form, operations
from emulator.isa.values import RAISED, Arg, Helper, Op, Value

#: What every module begins with.
PRELUDE = f"""\
declare i64 @llvm.fshl.i64(i64, i64, i64)
declare i64 @llvm.ctlz.i64(i64, i1)
declare double @llvm.fma.f64(double, double, double)
declare double @llvm.sqrt.f64(double)
declare i64 @llvm.fptosi.sat.i64.f64(double)
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i64 @llvm.bswap.i64(i64)
{DECLARATIONS}
!0 = !{{!"branch_weights", i32 10000, i32 1}}
!1 = !{{!"branch_weights", i32 1, i32 10000}}
"""


@dataclass(slots=True)
class Printer(AccessPrinter):
    """Prints one function."""

    helpers: set[str] = field(default_factory=set)
    is_near: bool = False
    #: Helpers that raise, by the names of the handlers that call them.
    stops: dict[str, Helper] = field(default_factory=dict)

    # Traces.

    def handler(self, name: str, form: Form) -> str:
        """Return the definition of `form`'s handler."""
        self.restart = None if self.is_near else form
        self._effect(form)
        return self._finish(name)

    def slow_handler(self, form: Form) -> str:
        """Return the definition of the handler that `form`'s others leave to what they cannot do."""
        self._effect(form, is_slow=True)
        return self._finish(slow_name(form), "noinline")

    def pair_handler(self, name: str, pair: Pair) -> str:
        """Return the definition of the handler that executes both of `pair`."""
        self.restart = pair.first
        for op in operations(pair.first, has_host_units=True):
            self._step(op)
        self._go_on_together()
        self.values, self.link = "%w", pair.link
        self._effect(pair.second)
        return self._finish(name)

    def _go_on_together(self) -> None:
        """Go on with the second of a pair here.

        Python forgets the first of a pair together with the second, and what the first cannot do without
        Python its slow handler does, which goes on with the second's record.
        """
        self.record, self.restart, self.is_unwritten = self.next_record(), "own", True

    def _effect(self, form: Form, *, is_slow: bool = False) -> None:
        """Print the effect of an instruction, and the ways to go on."""
        is_ending_run = False
        for op in operations(form, has_host_units=True, is_slow=is_slow):
            match op.code:
                case "context_changed":
                    is_ending_run = True
                case "branch":
                    self._branch(op.args[0], is_ending_run)
                    break
                case "branch_if":
                    self._branch_if(op)
                    break
                case "switch":
                    self._switch(op)
                    break
                case _:
                    self._step(op)
        else:
            if is_ending_run:
                self._end_run(self._next_address())
            else:
                self.goto_next()

    def _finish(self, name: str, attributes: str = "") -> str:
        if self.needs_leave:
            self.leave_block()
        return self.define(name, attributes)

    def _branch(self, target: Arg, is_ending_run: bool) -> None:
        if is_ending_run:
            self._end_run(self.value(target))
        elif self.is_near:
            self.goto_record(self.assign(f"inttoptr i64 {self.value(target)} to ptr"))
        else:
            self.goto_address(self.value(target))

    def _branch_if(self, op: Op) -> None:
        taken, not_taken = self.fresh("taken"), self.fresh("not_taken")
        self.line(f"br i1 {self.value(op.args[0])}, label %{taken}, label %{not_taken}")
        self.label(taken)
        self._branch(op.args[1], False)
        self.label(not_taken)
        self.goto_next()

    def _switch(self, op: Op) -> None:
        """Go on in the context of a new MSR, as ThreadedEngine._use_context would choose it."""
        msr, target = map(self.value, op.args[:2])
        left = self.left_after()
        if op.args[2]:
            # What passes is time, not an instruction: the end of the run comes one instruction sooner.
            for index, step in ((INDEX["time_slept"], 1), (layout.END, -1)):
                self.put(index, self.assign(f"add i64 {self.get(index)}, {step}"))
        self.put(INDEX["msr"], msr)
        problem = self._bit(msr, MSR_PR, 2)
        fetch, data = (self.assign(f"or i64 {problem}, {self._bit(msr, bit, 1)}") for bit in (MSR_IR, MSR_DR))
        self.put(layout.JUMP_CONTEXT, fetch)
        far = self.assign(f"mul i64 {data}, {layout.FAR_TLB_SIZE}")
        self.put(layout.FAR_TLB, self.assign(f"add i64 {self.get(layout.FAR_TLBS)}, {far}"))
        near = self.assign(f"mul i64 {data}, {layout.TLB_SIZE}")
        self.tlb = self.assign(f"getelementptr i8, ptr {self.get_pointer(layout.TLBS)}, i64 {near}")
        self.goto_address(target, left)

    def _bit(self, value: str, mask: int, number: int) -> str:
        """Return `number`, a power of two, if `value` has the bit of `mask`, else 0."""
        shifted = self.assign(f"lshr i64 {value}, {mask.bit_length() - number.bit_length()}")
        return self.assign(f"and i64 {shifted}, {number}")

    def _step(self, op: Op) -> None:
        """Print one op that is not a way to go on."""
        args = op.args
        match op.code:
            case "load1" | "load2" | "load4" | "load8":
                self._load(op, int(op.code[4:]))
            case "store1" | "store2" | "store4" | "store8":
                self._store(op, int(op.code[5:]))
            case "call" | "call_if":
                self._call(op)
            case "stop_if":
                self._stop_if(op)
            case "instead_if" | "leave_instead_if":
                self._instead_if(op)
            case "find_load" | "find_store":
                self._find(op)
            case "put":
                self.is_unwritten = False
                self.puts.append(self.value(args[1]))
                kind = type_of(args[1]) if isinstance(args[1], Value) else "i64"
                self.line(f"store {kind} {self.puts[-1]}, ptr {self.place(args[0])}, align 8")
            case "icount":
                assert op.result is not None
                before = self.left_before()
                self.line(f"{self.value(op.result)} = sub i64 {self.get(layout.END)}, {before}")
            case "put_bit":
                self.is_unwritten = False
                self._put_bit(args)
            case "poke4" | "poke8":
                self.is_unwritten = False
                self.poke(self.value(args[0]), int(op.code[4:]), self.value(args[1]))
            case "load_registers" | "store_registers":
                self.is_unwritten = False
                operands = ", ".join(f"i64 {self.value(arg)}" for arg in args)
                self.line(f"call void @{op.code}(ptr %s, {operands})")
            case "clear":
                self.is_unwritten = False
                count, place = args[1], self.assign(f"inttoptr i64 {self.value(args[0])} to ptr")
                assert isinstance(count, int)
                self.line(f"store <{count // 8} x i64> zeroinitializer, ptr {place}, align 1")
            case _:
                assert op.result is not None
                self.line(f"{self.value(op.result)} = {self.expression(op)}")

    def _put_bit(self, args: tuple[Arg, ...]) -> None:
        pointer, shift = self._bit_place(args[0])
        old = self.assign(f"load i64, ptr {pointer}")
        hole = self.assign(f"xor i64 {self.assign(f'shl i64 1, {shift}')}, -1")
        word = self.assign(f"zext i1 {self.operand(args[1], 1)} to i64")
        bit = self.assign(f"shl i64 {word}, {shift}")
        kept = self.assign(f"and i64 {old}, {hole}")
        self.line(f"store i64 {self.assign(f'or i64 {kept}, {bit}')}, ptr {pointer}")

    # What may stop.

    def _call(self, op: Op) -> None:
        assert op.result is not None
        is_rare = op.code == "call_if"
        helper, *values = op.args[2:] if is_rare else op.args
        slow, done, before = self.fresh("slow"), self.fresh("done"), self.block
        if is_rare:
            self.line(f"br i1 {self.value(op.args[0])}, label %{slow}, label %{done}, !prof !1")
            if self._restarts(slow):
                self.label(done)
                self.line(f"{self.value(op.result)} = or i64 {self.value(op.args[1])}, 0")
                return
            self.label(slow)
        result = self._call_python(helper, values)
        last = self._leave_if_raised(done)
        self.label(done)
        if is_rare:
            otherwise = self.value(op.args[1])
            self.line(f"{self.value(op.result)} = phi i64 [ {otherwise}, %{before} ], [ {result}, %{last} ]")
        else:
            self.line(f"{self.value(op.result)} = phi i64 [ {result}, %{last} ]")

    def _stop_if(self, op: Op) -> None:
        condition, helper, *values = op.args
        stop, go_on = self.fresh("stop"), self.fresh("go_on")
        self.line(f"br i1 {self.value(condition)}, label %{stop}, label %{go_on}, !prof !1")
        self.label(stop)
        if values:
            self._call_python(helper, values)
            self.line("ret void")
        else:
            # Everybody who stops for this reason goes the same way.
            assert callable(helper)
            self.stops[stop_name(helper)] = helper
            self.tail(f"@{stop_name(helper)}", self.record)
        self.label(go_on)

    def stop_handler(self, name: str, helper: Helper) -> str:
        """Return the definition of the handler that takes the interrupt that `helper` raises, or calls it."""
        if helper not in RAISED:
            self._call_python(helper, ())
            self.line("ret void")
            return self.define(name, "noinline")
        builder = Builder(True, has_host_units=True)
        take(builder, builder.pc(), *RAISED[helper], builder.condition(False), helper)
        for op in builder.trace:
            if op.code == "switch":
                self._switch(op)
            else:
                self._step(op)
        return self._finish(name, "noinline")

    def _instead_if(self, op: Op) -> None:
        condition, helper, *values = op.args
        slow, unless, done = self.fresh("slow"), self.fresh("unless"), self.fresh("done")
        self.line(f"br i1 {self.value(condition)}, label %{slow}, label %{unless}, !prof !1")
        if not self._restarts(slow):
            self.label(slow)
            result = self._call_python(helper, values)
            self._leave_if_raised(done)
            self.label(done)
            if op.code == "leave_instead_if":
                self._end_run(result)
            else:
                self.goto_next()
        self.label(unless)

    def _call_python(self, helper: Arg, values: Sequence[Arg]) -> str:
        """Call a helper and return its result, which is good unless it has raised."""
        self.is_unwritten = False
        self.store_place()
        assert callable(helper) and len(values) <= MAX_ARGUMENTS
        padded = [*map(self.value, values), *["0"] * MAX_ARGUMENTS][:MAX_ARGUMENTS]
        name = helper_name(helper)
        self.helpers.add(name)
        arguments = ", ".join(f"i64 {v}" for v in [helper_number(name), len(values), *padded])
        return self.assign(f"call i64 {self.get_pointer(layout.CALL)}({arguments})")
