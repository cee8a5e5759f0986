"""The instruction table: patterns, encode and decode, and the written form of every row."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engines.llvm_module import print_module
from emulator.engines.names import handler_name
from emulator.engines.python_source import print_form
from emulator.isa import decode as table
from emulator.isa.bits import mask32, mask64, rotate_left, sign_extend
from emulator.isa.builder import Builder
from emulator.isa.decode import PatternError, decode, find, insn, instructions, pack
from emulator.isa.values import OPERATIONS

ROWS = instructions()


@pytest.mark.parametrize(
    ("first", "last", "mask"),
    [
        (0, 63, (1 << 64) - 1),
        (0, 0, 1 << 63),
        (63, 63, 1),
        (63, 0, 1 << 63 | 1),
        (5, 4, (1 << 64) - 1),
        (32, 31, (1 << 64) - 1),
    ],
)
def test_mask64(first, last, mask):
    assert mask64(first, last) == mask


@given(first=st.integers(0, 63), last=st.integers(0, 63))
def test_mask64_is_its_definition(first, last):
    bits = range(first, last + 1) if first <= last else [*range(first, 64), *range(last + 1)]
    assert mask64(first, last) == sum(1 << (63 - b) for b in bits)


def test_a_wrapping_word_mask_fills_the_high_half():
    assert mask32(24, 7) == 0xFFFF_FFFF_FF00_00FF


def test_sign_extend():
    assert (sign_extend(0x8000, 16), sign_extend(0x7FFF, 16), sign_extend(0x18000, 16)) == (
        -32768,
        32767,
        -32768,
    )


@given(value=st.integers(0, 2**64 - 1), amount=st.integers(0, 63))
def test_rotating_by_the_rest_restores(value, amount):
    assert rotate_left(rotate_left(value, amount, 64), (64 - amount) % 64, 64) == value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_instruction_says_its_name_and_section(row):
    text = row.effect.__doc__
    assert text and "\n" not in text
    assert re.search(r"(Book I{1,3} |AltiVec |K42 facts |970 user's manual )[\w.]+\.$", text), text


def test_names_are_unique():
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))


@given(data=st.data())
def test_encoded_fields_decode_to_themselves(data):
    row = data.draw(st.sampled_from(ROWS))
    fields = {
        name: data.draw(st.integers(0, (1 << sum(width for _, width in parts)) - 1))
        for name, parts in row.fields.items()
    }
    word = row.encode(**fields)
    found = find(word)
    assert found is row or found.is_special
    assert {name: row.field(name, word) for name in fields} == fields


@given(st.integers(0, 2**32 - 1))
def test_any_word_decodes_or_is_illegal(word):
    found = find(word)
    assert word & found.mask == found.bits


def test_reserved_bits_are_ignored():
    # add has none; sync is all reserved bits but its opcodes.
    assert find(0x7C00_04AC) is find(0x7FFF_FCAD)


@pytest.mark.parametrize(
    "pattern",
    ["011111 rt:5", "011111 rt:5 ra:5 rb:5 oe:1 100001010 rc:2", "01111 rt:6 ra:5 rb:5 oe:1 100001010 rc:1"],
)
def test_a_pattern_that_is_wrong_is_refused(pattern):
    with pytest.raises(PatternError):
        insn(pattern)(lambda t: None)


def test_overlapping_patterns_are_refused():
    def intruder(t, rt):
        """Overlap add."""

    with pytest.raises(PatternError, match="intruder and add overlap"):
        insn("011111 rt:5 ra:5 rb:5 0 100001010 0")(intruder)
    assert find(0x7C64_2A14).name == "add"


def test_an_unknown_operand_is_refused():
    def odd(t, nonsense):
        """Name a field that means nothing."""

    with pytest.raises(PatternError, match="nonsense"):
        insn("000000 nonsense:26")(odd)


def test_a_value_is_not_a_bool():
    t = Builder(True)
    with pytest.raises(TypeError, match="known when the instruction runs"):
        bool(t.get("lr").equals(0))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_effect_uses_listed_operations(row):
    forms = [*table.forms(row, True), *table.forms(row, False)]
    assert forms
    for form in forms:
        for op in table.operations(form):
            assert op.code in OPERATIONS
            assert (op.result is None) == (OPERATIONS[op.code] == 0)


@given(word=st.integers(0, 2**32 - 1), is64=st.booleans())
def test_a_decoded_form_is_one_of_the_listed_ones(word, is64):
    form = table.decode(word, is64).form
    assert form in table.forms(form.instruction, form.is64)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_form_can_be_printed_in_both_languages(row):
    for form in [*table.forms(row, True), *table.forms(row, False)]:
        assert "def step()" in print_form(form, {})
        assert handler_name(form) in print_module([form], set())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_packing_is_decoding(row):
    rng = random.Random(row.name)
    for _ in range(50):
        word = row.bits | rng.getrandbits(32) & ~row.mask
        for is64 in (True, False):
            decoded = decode(word, is64)
            slots = sum(number << 16 * n for n, number in enumerate(decoded.slots))
            assert pack(word, is64) == (decoded.form, slots, decoded.immediate, decoded.is_relative)
