"""Our commands inside gdb: `source gdb_extension.py`, or let `k42 gdb` do it.

Runs in gdb's own Python, so it uses the standard library and the `gdb` module only, and imports nothing of
ours.  What a command needs from the machine it asks with `monitor`, which works through the bridge and on the
emulator's stub alike; a server that lacks an ability says so itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import gdb

#: Set by `k42 gdb`: the control socket of the multiplexer (thinwire/control.py has its few words).
CONTROL = "K42_CONTROL"

MODES = ("auto", "hardware", "software")

#: How gdb tells of a step that the server would not make; it does not count as an error.
REFUSED = "Remote failure reply: E."


def execute(command: str) -> str:
    """Return what a gdb command prints; its error is ours."""
    try:
        return str(gdb.execute(command, to_string=True))
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from None


def monitor(command: str) -> str:
    """Return what the server answers to `monitor COMMAND`; gdb.GdbError when nobody does."""
    if not is_connected():
        raise gdb.GdbError("not connected: `target remote HOST:PORT` first")
    return execute("monitor " + command)


def is_connected() -> bool:
    """True when gdb speaks to a remote target."""
    return gdb.selected_inferior().connection is not None


@contextmanager
def quiet() -> Iterator[None]:
    """Have gdb not show where it stops, which it does past `to_string`."""
    try:
        gdb.execute("set suppress-cli-notifications on")
    except gdb.error:  # older than gdb 12
        yield
        return
    try:
        yield
    finally:
        gdb.execute("set suppress-cli-notifications off")


@contextmanager
def last_stop() -> Iterator[list[gdb.StopEvent]]:
    """Keep the program's last stop in a list of one: after a Ctrl-C `stepi` returns as after a step."""
    last: list[gdb.StopEvent] = []

    def keep(stop: gdb.StopEvent) -> None:
        last[:] = [stop]

    gdb.events.stop.connect(keep)
    try:
        yield last
    finally:
        gdb.events.stop.disconnect(keep)


class SingleStepMode(gdb.Parameter):
    """How `stepi` and all that is built on it are carried out.

    auto      the stub's own step; else software; hardware where no trap can be planted
    hardware  the stub's own step, or the trace bit of the MSR (SE)
    software  a trap planted where the instruction leads to"""

    set_doc = "Set how single steps are carried out: auto, hardware or software."
    show_doc = "Show how single steps are carried out."

    def __init__(self) -> None:
        super().__init__("single-step-mode", gdb.COMMAND_RUNNING, gdb.PARAM_ENUM, MODES)
        self.value = "auto"

    def get_set_string(self) -> str:
        if is_connected():
            return monitor(f"single-step-mode {self.value}").rstrip("\n")
        return f"single-step-mode will be {self.value} after connecting"

    def get_show_string(self, value: str) -> str:
        if is_connected():
            return monitor("single-step-mode").rstrip("\n")
        return f"single-step-mode is {value} (not connected)"


class SingleStepModeCommand(gdb.Command):
    """Show or set how single steps are carried out: single-step-mode [auto|hardware|software]"""

    def __init__(self) -> None:
        super().__init__("single-step-mode", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, _from_tty: bool) -> None:
        mode = argument.strip()
        if mode and mode not in MODES:
            raise gdb.GdbError(f"single-step-mode {mode}: choose one of {', '.join(MODES)}")
        gdb.execute(f"set single-step-mode {mode}" if mode else "show single-step-mode")

    def complete(self, _text: str, word: str) -> list[str]:
        return [mode for mode in MODES if mode.startswith(word)]


class K42(gdb.Command):
    """What K42 people need beside gdb's own commands; `help k42` lists them."""

    def __init__(self) -> None:
        super().__init__("k42", gdb.COMMAND_USER, prefix=True)


class Console(gdb.Command):
    """Type a line on the kernel's console (channel 0): k42 console TEXT

    A carriage return is added.  A kernel that stands still reads it when it runs again; what it prints is
    seen where the console is."""

    def __init__(self) -> None:
        super().__init__("k42 console", gdb.COMMAND_USER)

    def invoke(self, argument: str, _from_tty: bool) -> None:
        text = argument.encode("latin-1", "replace") + b"\r"
        path = os.environ.get(CONTROL)
        if path is None:
            raise gdb.GdbError("no console is known here: start gdb with `k42 gdb` beside a running `k42 up`")
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(2.0)
                control.connect(path)
                control.sendall(f"inject 0 {len(text)}\n".encode() + text)
                answer = control.recv(200).decode("latin-1").strip()
        except OSError as error:
            raise gdb.GdbError(f"the multiplexer does not answer at {path}: {error}") from None
        if answer != "ok":
            raise gdb.GdbError(answer)


class Trace(gdb.Command):
    """Step and write down where: k42 trace STEPS [FILE]

    One line a step: number, pc, symbol and instruction.  Without FILE the lines are printed.  For millions of
    steps use `k42 trace record` in the shell."""

    def __init__(self) -> None:
        super().__init__("k42 trace", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, _from_tty: bool) -> None:
        words = gdb.string_to_argv(argument)
        if len(words) not in (1, 2) or not words[0].isdecimal() or int(words[0]) < 1:
            raise gdb.GdbError("k42 trace STEPS [FILE]: STEPS is a number from 1")
        if len(words) == 1:
            self.record(int(words[0]), gdb.write)
            return
        try:
            with open(words[1], "w", encoding="utf-8") as file:
                self.record(int(words[0]), file.write)
        except OSError as error:
            raise gdb.GdbError(f"cannot write {words[1]}: {error.strerror}") from None

    @staticmethod
    def record(steps: int, write) -> None:  # type: ignore[no-untyped-def]  # gdb.write has no type
        with quiet(), last_stop() as last:
            for number in range(steps):
                where = execute("x/i $pc").removeprefix("=> ").strip()
                write(f"{number:8} {where}\n")
                _, refused, why = execute("stepi").partition(REFUSED)
                if refused:
                    raise gdb.GdbError(why.splitlines()[0])
                if isinstance(last[0], gdb.SignalEvent):
                    raise gdb.GdbError(f"ended by {last[0].stop_signal} after {number} steps")


class Vectors(gdb.Command):
    """Show the first instruction of every exception vector."""

    #: Where K42-style kernels see physical memory (K42 facts E.6).
    VIRTUAL_TO_REAL = 0xC000_0000_0000_0000
    NAMES = (
        (0x100, "Reset"), (0x200, "Machine Check"), (0x300, "Data Storage"), (0x380, "Data Segment"),
        (0x400, "Instruction Storage"), (0x480, "Instruction Segment"), (0x500, "External"),
        (0x600, "Alignment"), (0x700, "Program"), (0x800, "Floating-point Unavailable"),
        (0x900, "Decrementer"), (0xC00, "System Call"), (0xD00, "Trace"), (0xF00, "Performance Monitor"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__("k42 vectors", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        if not is_connected():
            raise gdb.GdbError("not connected: `target remote HOST:PORT` first")
        for offset, name in self.NAMES:
            try:
                listing = gdb.execute(f"x/i {self.VIRTUAL_TO_REAL + offset:#x}", to_string=True)
            except gdb.MemoryError:
                listing = "unreadable"
            instruction = listing.removeprefix("=> ").split(":", 1)[-1].strip()
            gdb.write(f"{offset:#6x}  {name:28} {instruction}\n")


class Slb(gdb.Command):
    """Show the segment lookaside buffer (the emulator's stub knows it; a kernel's stub does not)."""

    def __init__(self) -> None:
        super().__init__("k42 slb", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        gdb.write(monitor("slb"))


class Tasks(gdb.Command):
    """Show the kernel's threads, read from its own table: name, turns, progress, and where each one stands.

    The table is our guest's `threads`; `*` marks the thread that has the processor."""

    def __init__(self) -> None:
        super().__init__("k42 tasks", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        try:
            self.show(gdb.parse_and_eval("threads"), gdb.parse_and_eval("current"))
        except gdb.error as error:
            raise gdb.GdbError(f"this kernel has no thread table that gdb can read ({error})") from None

    def show(self, table: gdb.Value, current: gdb.Value) -> None:
        first, last = table.type.range()
        for index in range(first, last + 1):
            thread = table[index]
            if not int(thread["name"]):
                raise gdb.GdbError("the kernel has not made all its threads yet")
            is_current = thread.address == current
            pc = gdb.parse_and_eval("$pc") if is_current else thread["frame"].dereference()["pc"]
            where = pc.cast(gdb.lookup_type("void").pointer()).format_string(symbols=True)
            mark = "*" if is_current else " "
            name = thread["name"].string()
            turns, progress = int(thread["turns"]), int(thread["progress"])
            gdb.write(f"{mark} {index}  {name:10} {turns:8} turns  {progress:8}  {where}\n")


for command in (SingleStepMode, SingleStepModeCommand, K42, Console, Trace, Vectors, Slb, Tasks):
    command()
