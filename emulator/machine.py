"""The machine: processor, memory and devices wired together, run a bounded piece at a time.

Synchronous and without a clock of its own.  `run(budget)` runs for exactly `budget` instructions' time unless
something ends it earlier, and everything that happens between two instructions happens here: asynchronous
interrupts (external, decrementer, performance monitor, in that order and only with MSR[EE]), the trace
interrupt of MSR[SE] and MSR[BE], and the debugger's breakpoints.

Guest time is counted in instructions (cpu/timers).  A guest with nothing to do ends the run as IDLE; whoever
drives the machine then decides how much of `idle_limit` passes by `sleep`: `run_until` passes all of it at
once, the runner waits for the host's clock.  Input is what the driver puts into `wire` and `console` between
two runs.  The same input at the same guest times gives the same run, to the last register.

One thread at a time.  Only `request_stop` may be called from another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from emulator.boot import SERIAL_PORT, Program, enter
from emulator.config import MachineConfig, MachineKind
from emulator.cpu import performance
from emulator.cpu.exits import Exit, ExitKind
from emulator.cpu.interrupts import Interrupt, Vector, deliver
from emulator.cpu.mmu import Access, Mmu, Watch
from emulator.cpu.processor import SIMULATOR_BREAK, Engine, Processor
from emulator.cpu.registers import REGISTERS
from emulator.cpu.state import INDEX, MSR_BE, MSR_EE, MSR_HV, MSR_SE, CpuState
from emulator.cpu.timers import Timers
from emulator.cpu.watch import IABR_ENABLE, is_iabr_match
from emulator.devices import uart16550
from emulator.devices.hvterm import HypervisorTerminal
from emulator.devices.port import Port
from emulator.devices.simcalls import SimulatorCalls
from emulator.devices.uart16550 import Uart16550
from emulator.engines import engine_named
from emulator.memory import PAGE_SIZE, Memory, NoMemory

#: Instructions' time that a debugger's step waits for an interrupt's handler to return: 5 ms.
LONGEST_SERVICE = 500_000

#: An engine is let go this far before a stop request is looked at.
SLICE = 100_000

_RFID = 0x4C00_0024
_BRANCH_TO_SELF = 0x4800_0000
#: Primary opcodes of branches; 19 is shared (bclr 16, bcctr 528).
_BRANCHES = frozenset({16, 18})
_BRANCHES_19 = frozenset({16, 528})
_FIRST_ENGINE_WORD = INDEX["engine"]
_IABR = INDEX["iabr"]


class Machine:
    """One machine with one processor."""

    def __init__(
        self, config: MachineConfig, program: Program, engine: Callable[[Processor], Engine] | None = None
    ) -> None:
        """Build the machine and put `program` at its first instruction.  Raises LoadError.

        `engine` makes the engine; None: the one that `config.engine` names.
        """
        self.config = config
        self.program = program
        self.state = CpuState()
        self.memory = Memory(config.memory)
        self.mmu = Mmu(self.state, self.memory)
        self.timers = Timers(self.state)
        #: The line thinwire runs over: the UART on hardware, calls 61 and 62 on a simulator.
        self.wire = Port()
        #: The console beside it: calls 0 and 60 on a simulator, the terminal of a partition.
        self.console = Port()
        self.processor = Processor(self.state, self.memory, self.mmu, self.timers)
        self.uart: Uart16550 | None = None
        #: The external interrupt line, a level.  No device here raises it: K42 polls.
        self.external_interrupt = False
        self._add_devices()
        make = engine or engine_named(config.engine)
        self.engine = make(self.processor)
        self.memory.on_write.append(self.engine.invalidate)
        self.breakpoints: frozenset[int] = frozenset()
        self._stop_requested = False
        #: The last run ended in handlers that raise their own interrupt.
        self._is_caught = False
        self.reset()

    def _add_devices(self) -> None:
        match self.config.kind:
            case MachineKind.HARDWARE:
                self.uart = Uart16550(self.wire, self.timers.elapsed)
                self.memory.add_device(SERIAL_PORT, uart16550.REGISTERS, self.uart, self.uart.address)
                self.processor.takes_vmx_assist = True
            case MachineKind.MAMBO:
                calls = SimulatorCalls(self.console, self.wire, self.config.epoch)
                self.processor.simulator_call = calls.call
            case MachineKind.LPAR:
                self.processor.hypervisor_call = HypervisorTerminal(self.console).call

    def reset(self) -> None:
        """Power off and on: memory, registers, time and ports as at the beginning, the program entered again.

        Breakpoints and watches stay, and so does whoever is connected.
        """
        self.memory.clear()
        for index in range(_FIRST_ENGINE_WORD):
            self.state.words[index] = 0
        self.state.put("pvr", self.config.pvr)
        if self.config.kind is not MachineKind.LPAR:
            self.state.put("interrupt_msr", MSR_HV)
        self.timers.reset()
        self.mmu.flush()
        self.engine.flush_translations()
        self.engine.invalidate(0, self.memory.size)
        self.wire.clear()
        self.console.clear()
        if self.uart is not None:
            self.uart.reset()
        self.external_interrupt = False
        self._stop_requested = False
        enter(self.program, self.config, self.state, self.memory, self.mmu)

    # Running ---------------------------------------------------------------------------------------------

    def run(self, budget: int, *, resume: bool = False) -> Exit:
        """Run for `budget` instructions' time, or less if something else ends the run; say which.

        An interrupt taken counts like an instruction, so that a guest that does nothing else gets no further.

        `resume` is for the debugger's own resumption: a breakpoint where pc stands already does not count.
        """
        state, elapsed = self.state, self.timers.elapsed
        start = state.icount
        end = elapsed() + budget
        passed = state.pc if resume else None
        while True:
            if self._stop_requested:
                self._stop_requested = False
                return Exit(ExitKind.STOP_REQUEST, state.icount - start)
            if elapsed() >= end:
                return Exit(ExitKind.BUDGET, state.icount - start)
            if not self._take_interrupt():
                self._take_instruction_breakpoint()
            if state.pc in self.breakpoints and state.pc != passed and self.processor.is_wanted():
                return Exit(ExitKind.BREAKPOINT, state.icount - start)
            passed = None
            limit = min(end - elapsed(), SLICE)
            if limit <= 0:  # the interrupt was all there was time for
                continue
            # While IABR is armed the machine looks at every instruction: engines know nothing of it.
            limit = 1 if state.words[_IABR] & IABR_ENABLE else min(limit, performance.next_event(state))
            if state.msr & MSR_EE:
                # Not 0: the decrementer is not pending, or the interrupt would have cleared EE.
                limit = min(limit, self.timers.next_event())
            before = state.icount, state.pc, state.get("srr0")
            self._is_caught = False
            exit_ = self._execute(limit)
            if exit_ is not None:
                return Exit(exit_.kind, state.icount - start, exit_.detail)
            if before == (state.icount, state.pc, state.get("srr0")):
                # Only interrupts, each raised by the first instruction of the last one's handler: with EE off
                # nothing will ever change, and nobody need spin for it.
                self._is_caught = True
                return Exit(ExitKind.IDLE, state.icount - start)

    def request_stop(self) -> None:
        """Make the run under way, or the next one, end with STOP_REQUEST.  For other threads."""
        self._stop_requested = True

    @property
    def now(self) -> int:
        """Guest time since power-on, in instructions."""
        return self.timers.elapsed()

    def idle_limit(self, exit_: Exit) -> int | None:
        """Return how much time the guest may sleep after an IDLE exit; None: until there is input."""
        limits = [exit_.detail] if exit_.detail else []
        performance.settle(self.state)
        if self.state.msr & MSR_EE:
            if self.external_interrupt or performance.is_alert(self.state):
                return 0
            limits += [self.timers.next_event(), performance.next_event(self.state)]
        return min(limits, default=None)

    def is_hung(self) -> bool:
        """Tell whether an idle guest will never do anything again: only a debugger can help it.

        With MSR[EE] off it stands on a branch to itself, or on a handler that raises its own interrupt.
        """
        if self.state.msr & MSR_EE:
            return False
        return self._is_caught or self.next_word() == _BRANCH_TO_SELF

    def sleep(self, instructions: int) -> None:
        """Let guest time pass for an idle guest."""
        self.timers.sleep(instructions)

    def run_until(self, time: int) -> Exit:
        """Run, and pass idle time at once, until guest time is `time` (BUDGET) or something else comes up."""
        while self.now < time:
            exit_ = self.run(time - self.now)
            if exit_.kind is ExitKind.IDLE:
                limit = self.idle_limit(exit_)
                left = time - self.now
                self.sleep(left if limit is None else min(limit, left))
            elif exit_.kind is not ExitKind.BUDGET:
                return exit_
        return Exit(ExitKind.BUDGET)

    def step(self, *, resume: bool = True) -> Exit:
        """Complete one instruction or take one interrupt; BUDGET unless something else came up.

        An idle guest's instruction counts like any other, and no idle time passes.
        """
        state = self.state
        if self._take_interrupt() or self._take_instruction_breakpoint():
            return Exit(ExitKind.BUDGET)
        if state.pc in self.breakpoints and not resume and self.processor.is_wanted():
            return Exit(ExitKind.BREAKPOINT)
        start = state.icount
        while True:
            exit_ = self._execute(1)
            if exit_ is None or (exit_.kind is ExitKind.IDLE and exit_.instructions):
                return Exit(ExitKind.BUDGET, state.icount - start)
            # An IDLE exit with nothing done is a device that makes the guest wait: it gets its chance again.
            if exit_.kind is not ExitKind.IDLE:
                return exit_

    def serve_interrupt(self) -> Exit:
        """If an asynchronous interrupt is due, take it and run until the guest is back where it was.

        For a debugger that steps through a program and not through what interrupts it.  BUDGET when there is
        nothing (more) to serve; another exit if the guest stops on the way, or is not back within
        `LONGEST_SERVICE` (STOP_REQUEST; it may have gone on to another thread).
        """
        state, stack = self.state, INDEX["gpr"] + 1
        at = state.pc, state.words[stack]
        if not self._take_interrupt():
            return Exit(ExitKind.BUDGET)
        breakpoints, is_wanted = self.breakpoints, self.processor.is_wanted

        def is_back() -> bool:
            return at == (state.pc, state.words[stack])

        self.set_breakpoints(breakpoints | {at[0]})
        self.processor.is_wanted = lambda: is_back() or (state.pc in breakpoints and is_wanted())
        try:
            exit_ = self.run(LONGEST_SERVICE, resume=is_back())
            if exit_.kind is ExitKind.BREAKPOINT and is_back():
                return Exit(ExitKind.BUDGET)
            return exit_ if exit_.kind is not ExitKind.BUDGET else Exit(ExitKind.STOP_REQUEST)
        finally:
            self.set_breakpoints(breakpoints)
            self.processor.is_wanted = is_wanted

    def _take_interrupt(self) -> bool:
        """Deliver the asynchronous interrupt of the highest priority, if MSR[EE] lets one in; say if so."""
        performance.settle(self.state)
        if not self.state.msr & MSR_EE:
            return False
        if self.external_interrupt:
            deliver(self.state, Interrupt(Vector.EXTERNAL))
        elif self.timers.is_decrementer_pending():
            deliver(self.state, Interrupt(Vector.DECREMENTER))
        elif performance.is_alert(self.state):
            deliver(self.state, Interrupt(Vector.PERFORMANCE_MONITOR))
        else:
            return False
        return True

    def _take_instruction_breakpoint(self) -> bool:
        """Take the interrupt before an instruction that the guest watches by IABR; say if so."""
        state = self.state
        iabr = state.words[_IABR]
        if not iabr & IABR_ENABLE or not is_iabr_match(iabr, state.pc, state.msr):
            return False
        deliver(state, Interrupt(Vector.INSTRUCTION_BREAKPOINT))
        return True

    def _execute(self, limit: int) -> Exit | None:
        """Let the engine complete up to `limit` instructions, one if they are traced (see Engine.run)."""
        if self.state.msr & (MSR_SE | MSR_BE):
            return self._run_traced()
        return self.engine.run(limit)

    def _run_traced(self) -> Exit | None:
        """Run one instruction with MSR[SE] or MSR[BE] on and take the trace interrupt it causes.

        The bits of before the instruction decide, so one that clears them is still traced.  An
        instruction that causes another interrupt does not complete and is not traced; nor is rfid
        (Book III 2.01, 5.5.11).
        """
        state = self.state
        word = self.next_word()
        traced = bool(state.msr & MSR_SE) or _is_branch(word)
        before = state.icount
        exit_ = self.engine.run(1)
        if state.icount != before and traced and word != _RFID:
            deliver(state, Interrupt(Vector.TRACE))
        return exit_

    # Debugging -------------------------------------------------------------------------------------------

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Replace the effective addresses where a run stops before the instruction."""
        self.breakpoints = frozenset(addresses)
        self.engine.set_breakpoints(self.breakpoints)

    def set_watches(self, watches: Iterable[Watch]) -> None:
        """Replace the effective addresses where a run stops before a load or store."""
        self.mmu.set_watches(watches)
        self.engine.flush_translations()

    def next_word(self) -> int:
        """Return the instruction at pc, which is about to be executed; 0 if it cannot be fetched.

        Sets the page's R bit, as the fetch will.
        """
        try:
            real = self.mmu.translate(self.state.pc & ~3, Access.FETCH)
        except Interrupt:
            return 0
        return self.memory.load(real, 4) if self.memory.is_ram(real, 4) else 0

    def pass_simulator_break(self) -> None:
        """Move pc past a simulator breakpoint, if it still stands on one: the debugger has seen it."""
        if self.processor.simulator_call is not None and self.next_word() == SIMULATOR_BREAK:
            self.state.pc += 4

    def set_registers(self, values: Mapping[str, int]) -> None:
        """Set registers by name (cpu/registers), and forget what translation has derived from them."""
        for name, value in values.items():
            REGISTERS[name].write(self.state, value)
        self.mmu.flush()
        self.engine.flush_translations()

    def _probe(self, ea: int) -> int | None:
        """Return the real address that a debugger means by `ea`; None: nothing.

        Where nothing is mapped, the addresses a program was loaded at are real ones: a debugger's `load` and
        `compare-sections` go by the physical addresses of the ELF.
        """
        real = self.mmu.probe(ea)
        if real is None and any(segment.address <= ea < segment.end for segment in self.program.segments):
            return ea
        return real

    def read_memory(self, ea: int, length: int) -> bytes:
        """Return up to `length` bytes at effective address `ea`, fewer where RAM or translation ends."""
        data = bytearray()
        while len(data) < length:
            at = ea + len(data)
            piece = min(length - len(data), PAGE_SIZE - at % PAGE_SIZE)
            real = self._probe(at)
            if real is None:
                break
            try:
                data += self.memory.read(real, piece)
            except NoMemory:
                break
        return bytes(data)

    def write_memory(self, ea: int, data: bytes) -> int:
        """Write at effective address `ea` whatever its protection; return how many bytes could be written."""
        done = 0
        while done < len(data):
            at = ea + done
            piece = min(len(data) - done, PAGE_SIZE - at % PAGE_SIZE)
            real = self._probe(at)
            if real is None:
                break
            try:
                self.memory.write(real, data[done : done + piece])
            except NoMemory:
                break
            done += piece
        return done


def _is_branch(word: int) -> bool:
    opcode = word >> 26
    return opcode in _BRANCHES or (opcode == 19 and (word >> 1 & 0x3FF) in _BRANCHES_19)
