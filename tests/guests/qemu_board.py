"""mini on QEMU: an independent judge of the guest, and through it of the emulator's idea of the entry state.

QEMU has no K42 boot program, so this builds by hand what one leaves behind (K42 facts E.4): the kernel at
32 MB, BootInfo and a stack below it, a hashed page table above its 48 MB, and a few instructions at the reset
vector that set SDR1, the SLB and the registers.  The machine is a mac99 with a 970 and a 16550 on a PCI card.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile

PAGE = 4096
V_MAPS_R = 0xC000_0000_0000_0000
KERNEL = 0x0200_0000
KERNEL_SIZE = 48 << 20
BOOT_INFO_SIZE = 0x3560
BOOT_INFO = KERNEL - 4 * PAGE
STACK_PAGES = 20
STACK_TOP = BOOT_INFO
PAGE_TABLE = KERNEL + KERNEL_SIZE
PAGE_TABLE_SIZE = 1 << 18
#: QEMU's timebase for a 970 mac99, Hz.
TIMEBASE = 25_000_000

PCI_SLOT = 0x0E
PCI_IO_WINDOW = 0xF200_0000
UART_PORT = 0x1000
UART = PCI_IO_WINDOW + UART_PORT

MSR_ENTRY = 0xB000_0000_0000_1030  # SF, ISF, HV as this machine has it, ME, IR, DR
MEMORY_COHERENT = 0x2
GUARDED_DEVICE = 0xD


def virtual_segment(address: int) -> int:
    """0x0001 in front of the segment number."""
    return 1 << 36 | address >> 28


@dataclass
class PageTable:
    """A hashed page table of 2^14 entries in which only the primary hash is used."""

    image: bytearray = field(default_factory=lambda: bytearray(PAGE_TABLE_SIZE))

    def map(self, virtual: int, physical: int, attributes: int) -> None:
        segment = virtual_segment(virtual)
        index = virtual >> 12 & 0xFFFF
        group = (segment ^ index) % (PAGE_TABLE_SIZE // 128)
        first = segment << 12 | (index >> 11) << 7 | 1
        second = physical & ~(PAGE - 1) | attributes << 3 | 2
        for slot in range(8):
            at = group * 128 + slot * 16
            if not self.image[at + 7] & 1:
                self.image[at : at + 16] = struct.pack(">QQ", first, second)
                return
        raise AssertionError(f"the group of page {virtual:#x} is full")

    def map_range(self, physical: int, size: int) -> None:
        for page in range(physical, physical + size, PAGE):
            self.map(V_MAPS_R + page, page, MEMORY_COHERENT)


def boot_info(parameters: dict[str, str]) -> bytes:
    block = bytearray(BOOT_INFO_SIZE)
    block[0:16] = b"SYSTEMCFG:PPC64\0"

    def doubleword(offset: int, value: int) -> None:
        block[offset : offset + 8] = struct.pack(">Q", value)

    doubleword(0x28, 128 << 20)
    doubleword(0x360, TIMEBASE)
    doubleword(0x1CB0, UART)
    if parameters:
        texts = ["KBootParms", *(f"{name}={value}" for name, value in parameters.items())]
        part = b"".join(text.encode() + b"\0" for text in texts)
        data = struct.pack(">II", 1, 4 + len(part)) + part
        block[0xC10 : 0xC10 + len(data)] = data
    return bytes(block)


def reset_code(entry: int, toc: int) -> str:
    """Assembly for the reset vector: the PCI card's port, the MMU, the registers, and off."""

    def load(register: int, value: int) -> str:
        return f"""
        lis     {register}, {value >> 48 & 0xFFFF}
        ori     {register}, {register}, {value >> 32 & 0xFFFF}
        sldi    {register}, {register}, 32
        oris    {register}, {register}, {value >> 16 & 0xFFFF}
        ori     {register}, {register}, {value & 0xFFFF}
        """

    def configure(register: int, value: int) -> str:
        # The bridge wants the slot as one bit, the register's low bits in the data address, and all of it
        # little-endian.
        return f"""
        {load(5, 1 << PCI_SLOT | register)}
        stwbrx  5, 0, 3
        {load(5, value)}
        li      6, {register & 7}
        stwbrx  5, 4, 6
        """

    slb_rb = 0xC000_0000_0800_0000
    slb_rs = virtual_segment(V_MAPS_R) << 12 | 0x400
    return f"""
        .org    0x100
        li      5, 0
        mtspr   311, 5
        {load(3, 0xF080_0000)}
        {load(4, 0xF0C0_0000)}
        {configure(0x10, UART_PORT)}
        {configure(0x04, 1)}
        {load(5, PAGE_TABLE)}
        mtsdr1  5
        slbia
        {load(5, slb_rs)}
        {load(6, slb_rb)}
        slbmte  5, 6
        {load(1, V_MAPS_R + STACK_TOP - 0x100)}
        {load(2, toc)}
        {load(5, entry)}
        mtsrr0  5
        {load(5, MSR_ENTRY)}
        mtsrr1  5
        {load(3, V_MAPS_R + BOOT_INFO)}
        rfid
    """


@contextmanager
def running(kernel: Path, scratch: Path, wire: Path, parameters: dict[str, str]) -> Iterator[None]:
    """Run `kernel` on QEMU; its line is a connection that QEMU makes to the unix socket `wire`."""
    table = PageTable()
    table.map_range(0, 3 * PAGE)
    table.map_range(BOOT_INFO - STACK_PAGES * PAGE, STACK_PAGES * PAGE)
    table.map_range(BOOT_INFO, 4 * PAGE)
    table.map_range(KERNEL, KERNEL_SIZE)
    table.map(UART | 0xFFFF_0000_0000_0000, UART, GUARDED_DEVICE)

    pieces = [(PAGE_TABLE, bytes(table.image)), (BOOT_INFO, boot_info(parameters))]
    with kernel.open("rb") as stream:
        elf = ELFFile(stream)
        for segment in elf.iter_segments("PT_LOAD"):
            pieces.append((segment["p_paddr"], segment.data()))
        opd = elf.get_section_by_name(".opd")
        assert opd is not None
        entry, toc = struct.unpack_from(">QQ", opd.data(), elf["e_entry"] - opd["sh_addr"])

    source = scratch / "reset.s"
    source.write_text(reset_code(entry, toc))
    rom = scratch / "reset.bin"
    subprocess.run(
        ["powerpc64-linux-gnu-as", "-a64", "-mbig", "-mpower4", source, "-o", scratch / "reset.o"], check=True
    )
    copy = ["powerpc64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(scratch / "reset.o"), str(rom)]
    subprocess.run(copy, check=True)

    loaders = []
    for number, (address, data) in enumerate(pieces):
        file = scratch / f"piece{number}.bin"
        file.write_bytes(data)
        loaders += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
    command = ["qemu-system-ppc64", "-M", "mac99", "-cpu", "970fx", "-m", "128", "-display", "none"]
    command += ["-nodefaults", "-bios", str(rom), *loaders]
    command += ["-chardev", f"socket,id=wire,path={wire}"]
    command += ["-device", f"pci-serial,chardev=wire,addr={PCI_SLOT:#x}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()
