"""What the debugger's `monitor` shows of a machine: pure functions from a parked machine to lines of text."""

from __future__ import annotations

from emulator.cpu import page_tables as pte
from emulator.cpu.page_tables import Page, Segment
from emulator.cpu.registers import SYSTEM, USER, Register
from emulator.cpu.state import MSR_DR, MSR_IR
from emulator.cpu.timers import INSTRUCTIONS_PER_SECOND, TIMEBASE_FREQUENCY
from emulator.machine import Machine

#: Registers in a line of `show_registers`.
_COLUMNS = 4
#: Longest list of page table entries `show_page_table` prints.
LONGEST_LIST = 64

_MSR_BITS = (
    ("SF", 63), ("ISF", 61), ("HV", 60), ("VMX", 25), ("POW", 18), ("EE", 15), ("PR", 14), ("FP", 13),
    ("ME", 12), ("FE0", 11), ("SE", 10), ("BE", 9), ("FE1", 8), ("IR", 5), ("DR", 4), ("PMM", 2), ("RI",
    1), ("LE", 0),
)  # fmt: skip


def show_registers(machine: Machine) -> str:
    """Return the general, special and system registers; floating point and vectors are gdb's to show."""
    scalars = [r for r in USER if r.bits <= 64 and not r.name.startswith("f")]
    lines = _table(machine, scalars) + _table(machine, list(SYSTEM))
    bits = " ".join(name for name, bit in _MSR_BITS if machine.state.msr >> bit & 1)
    return "\n".join([*lines, f"msr = {bits}"])


def _table(machine: Machine, registers: list[Register]) -> list[str]:
    cells = [f"{r.name:>6} {r.read(machine.state):0{r.bits // 4}x}" for r in registers]
    return [
        " ".join(f"{c:23}" for c in cells[i : i + _COLUMNS]).rstrip() for i in range(0, len(cells), _COLUMNS)
    ]


def show_slb(machine: Machine) -> str:
    """Return the valid entries of the segment lookaside buffer."""
    if not machine.mmu.tables.has_slb():
        table = machine.state.get("asr") & pte.PAGE_MASK
        return f"this processor has no SLB; its segment table is at {table:#x}"
    lines = [
        f"{index:2}  esid {high >> 28:09x}  vsid {low >> 12:013x}  {_segment_flags(low)}"
        for index, high, low in machine.mmu.tables.slb()
    ]
    return "\n".join(lines) if lines else "the SLB is empty"


def show_translation(machine: Machine, ea: int) -> str:
    """Return how `ea` becomes a real address, step by step, as a load or fetch at this moment."""
    tables = machine.mmu.tables
    if not machine.state.msr & (MSR_IR | MSR_DR):
        return f"{ea:#x}: translation is off, real {ea & pte.REAL_MASK:#x}"
    segment = tables.segment(ea)
    if segment is None:
        return f"{ea:#x}: no segment for esid {ea >> 28:#x}"
    lines = [f"{ea:#x}: {segment.source}, vsid {segment.vsid:#x}, {_segment_flags(segment.flags)}"]
    page = tables.page(segment, ea)
    if page is None:
        lines.append(f"no page table entry; groups {_groups(machine, segment, ea)}")
    else:
        lines.append(_page_line(page))
        lines.append(f"real {page.real:#x}")
    return "\n".join(lines)


def _groups(machine: Machine, segment: Segment, ea: int) -> str:
    primary, secondary = machine.mmu.tables.groups_of(segment, ea)
    return f"{primary:#x} and {secondary:#x}"


def show_page_table(machine: Machine, *, entries: bool = False) -> str:
    """Return the page table's place and fill; with `entries` its first entries as well."""
    origin, groups = machine.mmu.tables.page_table()
    valid = secondary = referenced = changed = large = 0
    fill = [0] * (pte.PTE_PER_GROUP + 1)
    of_group: dict[int, int] = {}
    shown: list[str] = []
    for page in machine.mmu.tables.entries():
        valid += 1
        secondary += page.is_secondary
        referenced += bool(page.low & pte.PTE_REFERENCED)
        changed += bool(page.low & pte.PTE_CHANGED)
        large += bool(page.high & pte.PTE_LARGE)
        of_group[page.group] = of_group.get(page.group, 0) + 1
        if entries and len(shown) < LONGEST_LIST:
            shown.append(_page_line(page))
    for count in of_group.values():
        fill[count] += 1
    fill[0] = groups - len(of_group)
    lines = [
        f"page table at {origin:#x}, {groups} groups, {valid} of {groups * pte.PTE_PER_GROUP} entries valid",
        f"{secondary} in their secondary group, {large} large, {referenced} referenced, {changed} changed",
        "groups with 0..8 entries: " + " ".join(str(n) for n in fill),
        *shown,
    ]
    if entries and valid > len(shown):
        lines.append(f"... and {valid - len(shown)} more")
    return "\n".join(lines)


def show_time(machine: Machine) -> str:
    """Return guest time by every clock."""
    timers, state = machine.timers, machine.state
    decrementer = timers.decrementer()
    signed = decrementer - (1 << 32) if decrementer >> 31 else decrementer
    return "\n".join(
        [
            f"{state.icount} instructions, {timers.elapsed() / INSTRUCTIONS_PER_SECOND:.6f} s of guest time",
            f"timebase {timers.timebase():#x} at {TIMEBASE_FREQUENCY} Hz",
            f"decrementer {signed} ({'pending' if decrementer >> 31 else 'counting'})",
        ]
    )


def _segment_flags(flags: int) -> str:
    names = (("Ks", pte.SLB_KS), ("Kp", pte.SLB_KP), ("N", pte.SLB_NO_EXECUTE), ("L", pte.SLB_LARGE))
    return " ".join(name for name, bit in names if flags & bit) or "-"


def _page_line(page: Page) -> str:
    vsid = page.high >> 12
    flags = " ".join(
        name
        for name, is_set in (
            ("R", page.low & pte.PTE_REFERENCED),
            ("C", page.low & pte.PTE_CHANGED),
            ("H", page.high & pte.PTE_SECONDARY),
            ("L", page.high & pte.PTE_LARGE),
            ("N", page.low & pte.PTE_NO_EXECUTE),
        )
        if is_set
    )
    return (
        f"pte {page.group:#x}[{page.slot}] vsid {vsid:#x} api {page.high >> 7 & 31:#x} "
        f"real page {page.low & pte.REAL_MASK & pte.PAGE_MASK:#x} pp {page.low & 3} "
        f"wimg {page.low >> 3 & 15:#x} {flags}".rstrip()
    )
