"""Whatever arrives, the guest stays what it is: properties of the two readers, checked on our own machine."""

from __future__ import annotations

import pytest
from driven_guest import CONSOLE, PROMPT, Guest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.config import MachineKind

EXAMPLES = settings(max_examples=50, deadline=None)

#: Bytes that matter to the stub, and any other.
TOKENS = [b"$", b"#", b"+", b"-", b"?", b":", b"0", b"3f", b"\x03"]
stub_chunks = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3)).map(b"".join)
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def machine() -> str:
    return MachineKind.HARDWARE.value


def is_packet(chunk: bytes) -> bool:
    return len(chunk) >= 4 and chunk[:1] == b"$" and chunk[-3:-2] == b"#"


@EXAMPLES
@given(chunk=stub_chunks)
def test_the_stub_refuses_what_is_no_packet(held: Guest, chunk: bytes) -> None:
    if not chunk or is_packet(chunk):
        return
    assert held.raw(chunk) == b"-" * -(-len(chunk) // 2046)
    assert held.ask(b"?") == b"S05"


@EXAMPLES
@given(body=st.binary(max_size=40).filter(lambda body: body[:1] not in b"cCDGMdkgm?" and b"#" not in body))
def test_the_stub_answers_what_it_does_not_know_with_nothing(held: Guest, body: bytes) -> None:
    if body[2:3] != b":":
        assert held.ask(body) == b""


@EXAMPLES
@given(keys=st.binary(max_size=40))
def test_the_shell_survives_any_keys(shared: Guest, keys: bytes) -> None:
    shared.offer(CONSOLE, keys)
    # End an escape sequence that may be open, drop the line, and see that the next one is read as it is.
    shared.offer(CONSOLE, b"~~\x03")
    shared.expect(b"^C\r\n" + PROMPT)
    assert shared.command("echo alive").endswith("alive\r\n")


@EXAMPLES
@given(said=st.lists(words, max_size=7))
def test_echo_says_what_it_is_told(shared: Guest, said: list[str]) -> None:
    assert shared.command(" ".join(["echo", *said])) == " ".join(said) + "\r\n"


@EXAMPLES
@given(n=st.integers(0, 16))
def test_fib_is_fib(shared: Guest, n: int) -> None:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    assert shared.command(f"fib {n}") == f"fib({n}) = {a}\r\n"
