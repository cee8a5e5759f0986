"""Loading programs, and the state a program is entered in.

Two steps.  `load_elf` and `load_raw` read a file into a `Program` and find everything that is wrong with the
file; `enter` puts the program into a machine, as often as the machine is reset, and finds what does not fit
into its memory.  Both report by `LoadError`, one line for the user.

Two ways in (docs/design.md, Entry).  *Bare*: real mode, MSR = SF, all registers zero, segments at their
physical addresses.  *Kernel*, for an ELF linked at 0xC000000000000000 and up: what K42's boot program leaves
behind when it jumps to the kernel (K42 facts E.4), laid out like this:

    0x2000000 - 24 pages   boot stack, 20 pages
    0x2000000 -  4 pages   BootInfo
    0x2000000              the kernel: text at the beginning, everything else at its distance from it
    0x2000000 + 48 MB      hashed page table, then one page of segment table
    end - 32 MB            room for the image a fast reboot starts from; the device tree below it

with the stack, BootInfo, the kernel's 48 MB and the first three real pages mapped at 0xC000000000000000 +
real address, one SLB entry for the kernel's segment, and on hardware the serial port's page.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from emulator.bootinfo import BOOT_INFO_SIZE, Layout, boot_info
from emulator.config import MachineConfig, MachineKind
from emulator.cpu import page_tables as pte
from emulator.cpu.mmu import Mmu
from emulator.cpu.state import (
    INDEX,
    MSR_DR,
    MSR_HV,
    MSR_IDENTITY,
    MSR_IR,
    MSR_ISF,
    MSR_ME,
    MSR_SF,
    CpuState,
)
from emulator.memory import PAGE_SIZE, Memory, NoMemory

#: ELFs linked from here on are kernels, entered with translation on.
KERNEL_SPACE = 0xC000_0000_0000_0000
IO_SPACE = 0xFFFF_0000_0000_0000

LOAD_ADDRESS = 0x200_0000
KERNEL_SIZE = 48 << 20
STACK_PAGES = 20
STACK_GAP = 0x100
REBOOT_SPACE = 32 << 20
DEVICE_TREE_SPACE = 1 << 20
#: log2 of the page table's entries, and so the architecture's smallest table (HTABSIZE 0).
PAGE_TABLE_ENTRIES_LOG2 = 14
PAGE_TABLE_SIZE = 16 << PAGE_TABLE_ENTRIES_LOG2
# The table comes right behind the kernel, where its own size aligns it, and the segment table's page
# behind it.
_PAGE_TABLE_END = LOAD_ADDRESS + KERNEL_SIZE + PAGE_TABLE_SIZE + PAGE_SIZE
PAGE_TABLE_GROUPS = PAGE_TABLE_SIZE // pte.PTE_GROUP_SIZE
LOW_PAGES = 3
#: Where the UART answers on hardware.
SERIAL_PORT = 0xF800_03F8

#: K42's boot VSIDs are the ESID with this in front (K42 facts E.4).
VSID_PREFIX = 0x1_0000_0000_0
WIMG_MEMORY = 0x2
WIMG_DEVICE = 0xD
PP_READ_WRITE = 2

_ENTRY = struct.Struct(">QQ")
_EM_PPC64 = "EM_PPC64"
_ELF_HEADER_SIZE = 64
_PF_X = 1


class LoadError(Exception):
    """The program cannot be loaded; the text is one line that names the file and the mend."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes at an address, zero-filled up to `size`."""

    address: int
    data: bytes
    size: int
    executable: bool = False

    @property
    def end(self) -> int:
        return self.address + self.size


class Entry(Enum):
    """How a program is entered."""

    BARE = "bare"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Program:
    """A file ready to be entered: real addresses of its segments, first pc, table of contents pointer."""

    path: str
    entry: Entry
    segments: tuple[Segment, ...]
    pc: int
    toc: int = 0
    is_elf: bool = True
    #: K42 boot parameters, NAME=VALUE (K42 facts G.1).
    parameters: Mapping[str, str] = field(default_factory=dict)


def load_raw(path: str, address: int, entry: int | None = None) -> Program:
    """Read a flat image that belongs at real `address`; it is entered at `entry`, or at its beginning."""
    data = _read(path)
    if not data:
        raise LoadError(f"{path}: the file is empty")
    if address < 0:
        raise LoadError(f"{path}: --raw {address:#x} is no address; give one from 0 on")
    pc = address if entry is None else entry
    if pc % 4 or pc < 0:
        raise LoadError(f"{path}: no instruction begins at {pc:#x}; give --entry a multiple of 4")
    segment = Segment(address, data, len(data), executable=True)
    return Program(path, Entry.BARE, (segment,), pc, is_elf=False)


def load_elf(path: str, parameters: Mapping[str, str] | None = None) -> Program:
    """Read a big-endian 64-bit PowerPC ELF executable.  Raises LoadError."""
    data = _read(path)
    if data[:4] != b"\x7fELF":
        raise LoadError(f"{path}: not an ELF file; a flat image needs --raw ADDRESS")
    if len(data) < _ELF_HEADER_SIZE:
        raise LoadError(f"{path}: the file is truncated: an ELF header has {_ELF_HEADER_SIZE} bytes")
    if data[4:5] != b"\x02":
        raise LoadError(f"{path}: a 32-bit ELF; this machine takes 64-bit ones (compile with -m64)")
    if data[5:6] != b"\x02":
        raise LoadError(
            f"{path}: a little-endian ELF; this machine is big-endian (compile with -mbig-endian)"
        )
    try:
        elf = ELFFile(io.BytesIO(data))
        machine, kind, entry = elf["e_machine"], elf["e_type"], elf["e_entry"]
        headers = [
            (h["p_vaddr"], h) for h in elf.iter_segments() if h["p_type"] == "PT_LOAD" and h["p_memsz"]
        ]
        opd = elf.get_section_by_name(".opd")
        descriptors = range(opd["sh_addr"], opd["sh_addr"] + opd["sh_size"]) if opd else range(0)
    except (ELFError, ValueError, KeyError, OSError) as error:
        raise LoadError(f"{path}: the ELF headers are damaged ({error})") from error
    if machine != _EM_PPC64:
        raise LoadError(f"{path}: an ELF for {machine}, not for PowerPC64 (EM_PPC64)")
    if kind != "ET_EXEC":
        raise LoadError(
            f"{path}: an ELF of type {kind}; link an executable at a fixed address (no -pie, no -r)"
        )
    if not headers:
        raise LoadError(f"{path}: there is nothing to load in this ELF")
    for _, header in headers:
        if header["p_filesz"] > header["p_memsz"] or header["p_offset"] + header["p_filesz"] > len(data):
            raise LoadError(
                f"{path}: the file is truncated: segment at {header['p_vaddr']:#x} is not all there"
            )
    headers.sort(key=lambda pair: pair[0])
    virtual = tuple(
        Segment(
            address,
            data[h["p_offset"] : h["p_offset"] + h["p_filesz"]],
            h["p_memsz"],
            bool(h["p_flags"] & _PF_X),
        )
        for address, h in headers
    )
    pc, toc = _entry_point(path, entry, virtual, descriptors)
    if entry >= KERNEL_SPACE:
        how, segments = Entry.KERNEL, _kernel_segments(path, virtual)
    else:
        how = Entry.BARE
        segments = tuple(
            Segment(h["p_paddr"], s.data, s.size, s.executable)
            for s, (_, h) in zip(virtual, headers, strict=True)
        )
        toc = 0
    _refuse_overlap(path, segments)
    return Program(path, how, segments, pc, toc, parameters=dict(parameters or {}))


def enter(program: Program, config: MachineConfig, state: CpuState, memory: Memory, mmu: Mmu) -> None:
    """Put `program` into memory and the processor at its first instruction.

    Memory is all zero and the registers are as after power-on.  Raises LoadError for what does not fit.
    """
    for segment in program.segments:
        if not memory.is_ram(segment.address, segment.size):
            raise LoadError(
                f"{program.path}: segment at {segment.address:#x} with {segment.size:#x} bytes lies outside "
                f"the {_megabytes(memory.size)} MB of memory; give --memory SIZE"
            )
        memory.write(segment.address, segment.data)
    state.pc = program.pc
    identity = MSR_IDENTITY if config.kind is MachineKind.MAMBO else 0
    if program.entry is Entry.BARE:
        if not memory.is_ram(program.pc, 4):
            raise LoadError(
                f"{program.path}: the entry {program.pc:#x} lies outside the {_megabytes(memory.size)} MB of "
                f"memory; give another --entry, or --memory SIZE"
            )
        state.msr = MSR_SF | identity
        return
    hypervisor = 0 if config.kind is MachineKind.LPAR else MSR_HV
    state.msr = MSR_SF | MSR_ISF | MSR_ME | MSR_IR | MSR_DR | hypervisor | identity
    try:
        _enter_kernel(program, config, state, memory, mmu)
    except NoMemory as error:
        least = _round_up(_PAGE_TABLE_END + DEVICE_TREE_SPACE + REBOOT_SPACE, 1 << 20) >> 20
        raise LoadError(
            f"{program.path}: a kernel needs {least} MB of memory; give --memory {least}M or more"
        ) from error


def _enter_kernel(program: Program, config: MachineConfig, state: CpuState, memory: Memory, mmu: Mmu) -> None:
    info = LOAD_ADDRESS - _round_up(BOOT_INFO_SIZE, PAGE_SIZE)
    stack_top = info
    stack = stack_top - STACK_PAGES * PAGE_SIZE
    table = _PAGE_TABLE_END - PAGE_SIZE - PAGE_TABLE_SIZE
    segment_table = table + PAGE_TABLE_SIZE
    reboot = memory.size - REBOOT_SPACE
    device_tree = reboot - DEVICE_TREE_SPACE
    if device_tree < _PAGE_TABLE_END:
        raise NoMemory(memory.size)

    on_hardware = config.kind is MachineKind.HARDWARE
    layout = Layout(
        real=info,
        virtual=KERNEL_SPACE + info,
        kernel=LOAD_ADDRESS,
        kernel_size=KERNEL_SIZE,
        page_table_log2=PAGE_TABLE_ENTRIES_LOG2 + 4,
        reboot=reboot,
        reboot_size=REBOOT_SPACE,
        device_tree=device_tree,
        device_tree_size=DEVICE_TREE_SPACE,
        serial_port=SERIAL_PORT if on_hardware else 0,
    )
    memory.write(info, boot_info(config, layout, program.parameters))

    entries = bytearray(PAGE_TABLE_SIZE)

    def map_pages(real: int, pages: int, base: int = KERNEL_SPACE, wimg: int = WIMG_MEMORY) -> None:
        for page in range(real, real + pages * PAGE_SIZE, PAGE_SIZE):
            _enter_page(entries, base | page, page, wimg)

    map_pages(LOAD_ADDRESS, KERNEL_SIZE // PAGE_SIZE)
    map_pages(0, LOW_PAGES)
    map_pages(info, (LOAD_ADDRESS - info) // PAGE_SIZE)
    map_pages(stack, STACK_PAGES)
    if on_hardware:
        map_pages(SERIAL_PORT & ~(PAGE_SIZE - 1), 1, IO_SPACE, WIMG_DEVICE)

    memory.write(table, entries)

    kernel_segment = KERNEL_SPACE + LOAD_ADDRESS & pte.SLB_ESID
    vsid = kernel_segment >> pte.SEGMENT_BITS | VSID_PREFIX
    _enter_segment(memory, segment_table, kernel_segment, vsid)
    state.put("sdr1", table | PAGE_TABLE_ENTRIES_LOG2 - 14)
    state.put("asr", segment_table | pte.ASR_VALID)
    if mmu.tables.has_slb():
        mmu.slbmte(vsid << 12 | pte.SLB_KP, kernel_segment | pte.SLB_VALID)
    gpr = INDEX["gpr"]
    state.words[gpr + 1] = KERNEL_SPACE + stack_top - STACK_GAP
    state.words[gpr + 2] = program.toc
    state.words[gpr + 3] = KERNEL_SPACE + info


def _enter_page(entries: bytearray, ea: int, real: int, wimg: int) -> None:
    """Put one 4 KB page into the first free slot of its primary group, as the boot program does."""
    vsid = ea >> pte.SEGMENT_BITS | VSID_PREFIX
    index = ea >> pte.SMALL_PAGE_BITS & 0xFFFF
    group = ((vsid ^ index) & PAGE_TABLE_GROUPS - 1) * pte.PTE_GROUP_SIZE
    high = vsid << 12 | (ea >> 23 & 0x1F) << 7 | pte.PTE_VALID
    for slot in range(group, group + pte.PTE_GROUP_SIZE, 16):
        if not entries[slot + 7] & pte.PTE_VALID:
            _ENTRY.pack_into(entries, slot, high, real | wimg << 3 | PP_READ_WRITE)
            return
    raise AssertionError(f"no free slot for {ea:#x}: the boot mappings spread evenly over the groups")


def _enter_segment(memory: Memory, table: int, ea: int, vsid: int) -> None:
    """Put one segment into the segment table, for processors that read it (K42 facts E.4)."""
    group = table + (ea >> pte.SEGMENT_BITS & 31) * 128
    first = ea & pte.SLB_ESID | pte.STE_VALID | pte.STE_KP
    memory.write(group, first.to_bytes(8, "big") + (vsid << 12).to_bytes(8, "big"))


def _kernel_segments(path: str, virtual: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Move the segments to real memory: text to LOAD_ADDRESS, the others at the same distance."""
    text = next((s for s in virtual if s.executable), None)
    if text is None:
        raise LoadError(f"{path}: a kernel needs an executable segment")
    delta = text.address - LOAD_ADDRESS
    moved = tuple(Segment(s.address - delta, s.data, s.size, s.executable) for s in virtual)
    for old, new in zip(virtual, moved, strict=True):
        if new.address < LOAD_ADDRESS or new.end > LOAD_ADDRESS + KERNEL_SIZE:
            raise LoadError(
                f"{path}: segment at {old.address:#x} is not within 48 MB after the text at {text.address:#x}"
            )
    return moved


def _entry_point(path: str, entry: int, segments: tuple[Segment, ...], descriptors: range) -> tuple[int, int]:
    """Return pc and TOC pointer: `entry` is code in an executable segment, a descriptor elsewhere (ELFv1).

    What lies in `descriptors` is one, whatever else its segment holds (`ld -N` makes a single one).
    """
    for segment in segments:
        if not segment.address <= entry < segment.end:
            continue
        if segment.executable and entry not in descriptors:
            return entry, 0
        at = entry - segment.address
        if at + 16 > len(segment.data):
            break
        pc, toc = (int.from_bytes(segment.data[at + i : at + i + 8], "big") for i in (0, 8))
        if any(s.executable and s.address <= pc < s.end for s in segments):
            return pc, toc
        raise LoadError(f"{path}: the entry descriptor at {entry:#x} names {pc:#x}, which is not code")
    raise LoadError(f"{path}: the entry point {entry:#x} lies in no segment")


def _refuse_overlap(path: str, segments: tuple[Segment, ...]) -> None:
    ordered = sorted(segments, key=lambda s: s.address)
    for low, high in zip(ordered, ordered[1:], strict=False):
        if low.end > high.address:
            raise LoadError(f"{path}: segments at {low.address:#x} and {high.address:#x} overlap")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror or error}") from error


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.4g}"


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
