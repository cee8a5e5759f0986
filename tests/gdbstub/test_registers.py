"""Register descriptions: the derived layout against the layout that K42's stub and stock gdb share."""

import xml.etree.ElementTree as ET

import pytest

from gdbstub import negotiation, ppc64
from gdbstub.registers import Description, Feature, Register
from gdbstub.target import TargetError

# Offsets of the 556-byte block as the kernel stub lays it out (K42 facts C.3), written down independently.
K42_BLOCK = (
    [(f"r{n}", 8 * n, 8) for n in range(32)]
    + [(f"f{n}", 256 + 8 * n, 8) for n in range(32)]
    + [("pc", 512, 8), ("msr", 520, 8), ("cr", 528, 4), ("lr", 532, 8)]
    + [("ctr", 540, 8), ("xer", 548, 4), ("fpscr", 552, 4)]
)


def test_the_block_is_the_one_the_kernel_stub_sends() -> None:
    assert ppc64.BASIC.g_size == 556
    spans = {name: ppc64.BASIC.span(name) for name in ppc64.BASIC.offsets}
    assert spans == {name: slice(offset, offset + size) for name, offset, size in K42_BLOCK}


def test_vectors_follow_in_the_block_and_system_registers_are_outside() -> None:
    full = ppc64.describe(ppc64.ALTIVEC, ppc64.spr_feature(("srr0", "srr1")))
    assert {name: span for name, span in full.spans.items() if name in ppc64.BASIC.spans} == ppc64.BASIC.spans
    assert (
        full.span("vr0") == slice(556, 572) and full.span("vrsave").stop == full.g_size == 556 + 32 * 16 + 8
    )
    assert full.register("vr5").size == 16
    assert full.numbers["srr1"] == ppc64.FIRST_SPR + 1


def test_pack_and_unpack_are_inverse() -> None:
    values = {
        name: (index * 0x0123456789ABCDEF) & 0xFFFFFFFF for index, name in enumerate(ppc64.BASIC.offsets)
    }
    block = ppc64.BASIC.pack(values)
    assert ppc64.BASIC.unpack(block) == values
    assert ppc64.BASIC.value(ppc64.BASIC.replace(block, {"lr": -1}), "lr") == 2**64 - 1


def test_the_document_names_every_register_with_its_number() -> None:
    description = ppc64.describe(ppc64.ALTIVEC)
    root = ET.fromstring(description.xml())
    assert root.findtext("architecture") == "powerpc:common64"
    read_back = negotiation.describe("powerpc:common64", list(root.iter("feature")))
    assert dict(read_back.numbers) == dict(description.numbers)
    assert [r.bits for r in read_back.registers] == [r.bits for r in description.registers]
    assert len(ppc64.BASIC.xml()) < 4096  # one piece for gdb


@pytest.mark.parametrize(
    "registers",
    [
        (Register(0, "a", 32), Register(0, "b", 32)),
        (Register(0, "a", 32), Register(1, "a", 32)),
        (Register(0, "a", 32, in_g=False), Register(1, "b", 32)),
    ],
)
def test_an_impossible_description_is_refused(registers: tuple[Register, ...]) -> None:
    with pytest.raises(ValueError):
        Description("test", (Feature("f", registers),), pc="a", sp="a")


def _elements(*registers: str) -> list[ET.Element]:
    return [ET.fromstring(f'<feature name="x">{"".join(registers)}</feature>')]


def test_a_foreign_description_may_use_a_name_twice_but_no_number() -> None:
    read = negotiation.describe("powerpc:common64", _elements('<reg name="a"/>', '<reg name="a"/>'))
    assert list(read.numbers) == ["a", "a_1"]
    with pytest.raises(TargetError, match="used twice"):
        negotiation.describe("powerpc:common64", _elements('<reg name="a"/>', '<reg name="b" regnum="0"/>'))
    with pytest.raises(TargetError, match="bitsize of a register is 'wide'"):
        negotiation.describe("powerpc:common64", _elements('<reg name="a" bitsize="wide"/>'))


def test_registers_behind_the_end_of_the_block_are_read_singly() -> None:
    registers = negotiation.cut(ppc64.BASIC, ppc64.BASIC.g_size - 4)
    assert [r.name for r in registers.registers if not r.in_g] == ["fpscr"]
    assert registers.g_size == ppc64.BASIC.g_size - 4
