"""The notation that the command table is written in: one pattern, a parser and a formatter derived from it.

A pattern is the packet as the GDB manual prints it, with fields in braces: `m{addr:x},{length:x}`.  The text
before the first field is the packet's name; a packet that has the name but not the shape is malformed.
Field kinds are the rows of `KINDS`: how the field looks on the wire, and the two ways between that and a
Python value.
"""

from __future__ import annotations

import re
from binascii import hexlify, unhexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gdbstub.target import Action, ActionKind

T = TypeVar("T")

# What a thread-id on the wire may say besides a thread (GDB manual, "Packets", thread-id).
ALL_THREADS = -1
ANY_THREAD = 0


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of field.  `pattern` is matched in full; `decode` raises ValueError for what it does not
    take.
    """

    pattern: bytes
    decode: Callable[[bytes], T]
    encode: Callable[[T], bytes]


def decode_thread(raw: bytes) -> int:
    """Return the thread of `p2.1`, `p1.-1`, `1f`, `-1`: the process, if any, is accepted and dropped."""
    if raw.startswith(b"p"):
        process, dot, thread = raw[1:].partition(b".")
        int(process, 16)
        raw = thread if dot else b"-1"
    return int(raw, 16)


def _encode_thread(thread: int) -> bytes:
    return b"%x" % thread if thread >= 0 else b"-%x" % -thread


def _decode_optional(raw: bytes) -> int | None:
    return int(raw, 16) if raw else None


def _encode_optional(value: int | None) -> bytes:
    return b"" if value is None else b"%x" % value


def _decode_actions(raw: bytes) -> tuple[Action | str, ...]:
    """Return the actions of a vCont; what is neither continue nor step stays its letter (`t`)."""
    actions: list[Action | str] = []
    for text in raw.split(b";"):
        verb, colon, thread_text = text.partition(b":")
        thread = decode_thread(thread_text) if colon else ALL_THREADS
        # Thread 0 is any thread; Segger's clients send it to mean all of them.
        named = thread if thread > 0 else None
        match verb[:1]:
            case b"c" | b"s":
                if len(verb) != 1:
                    raise ValueError(verb)
                actions.append(Action(_VERBS[verb], named))
            case b"C" | b"S":
                actions.append(Action(_VERBS[verb[:1].lower()], named, int(verb[1:], 16)))
            case b"r":
                start, end = (int(edge, 16) for edge in verb[1:].split(b","))
                actions.append(Action(ActionKind.RANGE_STEP, named, range=range(start, end)))
            case b"t":
                actions.append("t")
            case _:
                raise ValueError(verb)
    return tuple(actions)


_VERBS = {b"c": ActionKind.CONTINUE, b"s": ActionKind.STEP}
_LETTERS = {kind: letter for letter, kind in _VERBS.items()}


def _encode_action(action: Action | str) -> bytes:
    if isinstance(action, str):
        return action.encode()
    if action.kind is ActionKind.RANGE_STEP:
        verb = b"r%x,%x" % (action.range.start, action.range.stop)
    elif action.signal:
        verb = _LETTERS[action.kind].upper() + b"%02x" % action.signal
    else:
        verb = _LETTERS[action.kind]
    return verb if action.thread is None else verb + b":%x" % action.thread


def _encode_actions(actions: Sequence[Action | str]) -> bytes:
    return b";".join(map(_encode_action, actions))


@dataclass(frozen=True, slots=True)
class BreakpointExtras:
    """What a `Z` packet may carry beyond the place: agent expressions.

    The breakpoint counts if one of `conditions` is true, or there are none; `commands` run at a hit, and with
    `persist` also while no gdb is there.
    """

    conditions: tuple[bytes, ...] = ()
    commands: tuple[bytes, ...] = ()
    persist: bool = False


NO_EXTRAS = BreakpointExtras()


def _decode_extras(raw: bytes) -> BreakpointExtras:
    conditions: tuple[bytes, ...] = ()
    commands: tuple[bytes, ...] = ()
    persist = False
    for part in raw.split(b";")[1:]:
        if part.startswith(b"cmds:"):
            flag, _, code = part[5:].partition(b",")
            persist, commands = bool(int(flag, 16)), _decode_bytecodes(code)
        else:
            conditions += _decode_bytecodes(part)
    return BreakpointExtras(conditions, commands, persist)


def _encode_extras(extras: BreakpointExtras) -> bytes:
    text = b";" + _encode_bytecodes(extras.conditions) if extras.conditions else b""
    if extras.commands:
        text += b";cmds:%x,%b" % (extras.persist, _encode_bytecodes(extras.commands))
    return text


def _decode_bytecodes(raw: bytes) -> tuple[bytes, ...]:
    """Return agent expressions written `Xlen,hex` one after the other."""
    expressions = []
    while raw:
        head, comma, rest = raw.partition(b",")
        length = int(head[1:], 16) * 2
        if head[:1] != b"X" or not comma or len(rest) < length:
            raise ValueError(raw)
        expressions.append(bytes.fromhex(rest[:length].decode("ascii")))
        raw = rest[length:]
    return tuple(expressions)


def _encode_bytecodes(expressions: Sequence[bytes]) -> bytes:
    return b"".join(b"X%x,%b" % (len(code), code.hex().encode()) for code in expressions)


def _suffix(separator: bytes) -> Kind[str]:
    """Nothing, or `separator` and text: `D` and `D;1`."""
    return Kind(
        rb"(?:" + separator + rb".*)?",
        lambda raw: raw[1:].decode("latin-1"),
        lambda value: separator + value.encode("latin-1") if value else b"",
    )


_HEX = rb"[0-9a-fA-F]"

KINDS: dict[str, Kind[Any]] = {
    # A number in hex digits; gdb never sends more than 64 bits.
    "x": Kind(_HEX + rb"{1,16}", lambda raw: int(raw, 16), lambda value: b"%x" % value),
    "x?": Kind(_HEX + rb"{0,16}", _decode_optional, _encode_optional),
    "xx": Kind(_HEX + rb"{1,2}", lambda raw: int(raw, 16), lambda value: b"%02x" % value),
    # A packet may be all of it: the conversion itself is the quickest to say that it is none.
    "hex": Kind(rb".*", unhexlify, hexlify),
    "bytes": Kind(rb".*", bytes, bytes),
    # Names: gdb's own are ASCII, but a file name in hex-free annexes may be anything.
    "word": Kind(rb"[^:;,]*", lambda raw: raw.decode("latin-1"), lambda value: value.encode("latin-1")),
    "rest": Kind(rb".*", lambda raw: raw.decode("latin-1"), lambda value: value.encode("latin-1")),
    "thread": Kind(rb"p?-?[0-9a-fA-F]{1,16}(?:\.-?[0-9a-fA-F]{1,16})?", decode_thread, _encode_thread),
    "actions": Kind(rb"[^$#]+", _decode_actions, _encode_actions),
    "extras": Kind(rb"(?:;.*)?", _decode_extras, _encode_extras),
    "letter": Kind(rb"[a-zA-Z]", lambda raw: raw.decode(), lambda value: value.encode()),
    ":suffix": _suffix(b":"),
    ";suffix": _suffix(b";"),
}


class Syntax(Generic[T]):
    """One row of the command table: `pattern` on the wire, `make` the dataclass with the same fields."""

    def __init__(self, make: type[T], pattern: str) -> None:
        pieces = re.split(r"\{(\w+):([\w?:;]+)\}", pattern)
        self.make = make
        self.name = pieces[0].encode()
        self._fields = [(field, KINDS[kind]) for field, kind in zip(pieces[1::3], pieces[2::3], strict=True)]
        self._literals = [literal.encode() for literal in pieces[0::3]]
        expression = re.escape(self._literals[0]) + b"".join(
            b"(" + kind.pattern + b")" + re.escape(literal)
            for (_, kind), literal in zip(self._fields, self._literals[1:], strict=True)
        )
        self.has_fields = bool(self._fields)
        self._match = re.compile(expression, re.DOTALL).fullmatch

    def parse(self, body: bytes) -> T | None:
        """Return the command in `body`, or None if it does not have the shape."""
        found = self._match(body)
        if found is None:
            return None
        try:
            return self.make(
                **{
                    field: kind.decode(raw)
                    for (field, kind), raw in zip(self._fields, found.groups(), strict=True)
                }
            )
        except ValueError:
            return None

    def format(self, command: T) -> bytes:
        """Return the packet body of `command`."""
        parts = [self._literals[0]]
        for (field, kind), literal in zip(self._fields, self._literals[1:], strict=True):
            parts += (kind.encode(getattr(command, field)), literal)
        return b"".join(parts)
