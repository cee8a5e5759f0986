"""Every instruction form meets QEMU in some record, or is named here with the reason why not."""

import random

import test_isa_float_oracle
import test_isa_interrupts
import test_isa_oracle
import test_isa_vector_oracle

from emulator.isa.decode import decode, forms, instructions

#: Instructions no record runs, and who looks after them.
ELSEWHERE = {
    "attn": "stops the machine: test_isa_system",
    "simos_call": "ours: test_isa_system",
    "mambo_call": "ours: test_isa_system",
    "rtas_call": "ours: test_isa_system",
    "simulator_breakpoint": "ours: test_isa_system",
    "mftb": "a clock: test_isa_system",
    "icbi": "no effect on data: test_engine_threaded",
    "dst": "unknown to QEMU's 970: a hint without effect",
    "dstst": "unknown to QEMU's 970: a hint without effect",
    **dict.fromkeys(
        ("mtmsr", "slbmte", "slbie", "slbia", "slbmfev", "slbmfee", "mtsr", "mtsrin", "mfsr", "mfsrin")
        + ("tlbie", "tlbiel", "tlbia", "tlbsync"),
        "privileged, and belongs to translation: test_isa_system",
    ),
}
#: Forms of instructions that have records otherwise.
FORMS_ELSEWHERE = {
    "b_idle1_lk0": "a branch to itself: test_isa_system",
    "b_idle1_lk1": "a branch to itself that links: test_engine_agreement",
    "mfspr_how1": "a privileged register: the driver of test_isa_interrupts reads some",
    "mfspr_how2": "DEC, the performance monitor: test_isa_system",
    "mfspr_how3": "never decoded: reading changes nothing",
    "mfspr_how5": "a clock: test_isa_system",
    "mtspr_how1": "a privileged register: the driver of test_isa_interrupts writes some",
    "mtspr_how5": "never decoded: the timebase is written at other numbers",
    "mtspr_how3": "SDR1, ASR, DEC, timebase: test_isa_system",
    **{
        f"bcctr_bo{bo}_lk{lk}": "an invalid form, asking to decrement CTR; it does what its valid twin does"
        for bo in (0, 2, 8, 10, 16, 18)
        for lk in (0, 1)
    },
}


def words():
    """Return every instruction word of every record, and of the drivers around them."""
    records = [
        *test_isa_oracle.make_records(970, test_isa_oracle.PER_ROW),
        *test_isa_float_oracle.make_records(1970, test_isa_float_oracle.PER_ROW),
    ]
    rng = random.Random(128)
    for row in test_isa_vector_oracle.ROWS:
        records += [test_isa_vector_oracle.make_record(rng, row, 0) for _ in range(24)]
    for record in records:
        yield from record.code
    for _, code, *_ in test_isa_interrupts.cases():
        yield from code
    for piece in test_isa_interrupts.driver().values():
        yield from piece


def test_every_form_has_a_record():
    covered = {decode(word).form.name for word in words()}
    missing = [
        form.name
        for row in instructions()
        if row.name not in ELSEWHERE
        for form in forms(row, True)
        if form.name not in covered and form.name not in FORMS_ELSEWHERE
    ]
    assert not missing, f"forms without a record: {', '.join(missing)}"


def test_the_reasons_are_about_forms_that_exist():
    names = {row.name for row in instructions()}
    assert set(ELSEWHERE) <= names
    assert set(FORMS_ELSEWHERE) <= {form.name for row in instructions() for form in forms(row, True)}
