"""Replies that have an inside: errors, stops, and the documents that `qXfer` reads.

Stops are written and read here, one place for both directions (GDB manual, "Stop Reply Packets").  The
registers' document is `registers.Description`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from xml.sax.saxutils import quoteattr

from gdbstub.syntax import decode_thread
from gdbstub.target import MemoryRegion, StopKind, StopReason, TargetError, Thread

OK = b"OK"
EMPTY = b""
NOTHING: Mapping[int, bytes] = {}

_WATCH_NAMES = {StopKind.WATCH: b"watch", StopKind.RWATCH: b"rwatch", StopKind.AWATCH: b"awatch"}
_WATCH_KINDS = {name: kind for kind, name in _WATCH_NAMES.items()}
# Sent only to a client that announced them: an old gdb takes an unknown name for a register number.
_BREAK_NAMES = {StopKind.SWBREAK: b"swbreak", StopKind.HWBREAK: b"hwbreak"}
_BREAK_KINDS = {name: kind for kind, name in _BREAK_NAMES.items()}


def error(problem: TargetError, features: Collection[str] = ()) -> bytes:
    """Return the `E` reply; with text only for a client that announced `error-message+`."""
    if "error-message" in features:
        return b"E." + str(problem).encode("utf-8", "replace")
    return b"E%02x" % problem.code


def format_stop(
    reason: StopReason, features: Collection[str] = (), expedited: Mapping[int, bytes] = NOTHING
) -> bytes:
    """Return the stop reply that tells a client of `reason`; its registers count for more than those of the
    same numbers in `expedited`.
    """
    if reason.kind is StopKind.EXITED:
        return b"W%02x" % (reason.status & 0xFF)
    if reason.kind is StopKind.TERMINATED:
        return b"X%02x" % reason.signal
    known = {**expedited, **reason.registers} if reason.registers else expedited
    registers = "".join([f"{number:02x}:{raw.hex()};" for number, raw in known.items()])
    parts = [b"T%02x" % reason.signal, registers.encode()]
    if reason.kind is StopKind.SIGNAL:
        pass
    elif reason.kind in _WATCH_NAMES and reason.addr is not None:
        parts.append(b"%b:%x;" % (_WATCH_NAMES[reason.kind], reason.addr))
    elif reason.kind in _BREAK_NAMES and _BREAK_NAMES[reason.kind].decode() in features:
        parts.append(_BREAK_NAMES[reason.kind] + b":;")
    parts.append(b"thread:%x;" % reason.thread)
    if reason.core is not None:
        parts.append(b"core:%x;" % reason.core)
    return b"".join(parts)


def parse_stop(body: bytes) -> StopReason | None:
    """Return the stop in a reply, or None if it is not a stop reply (console output, an error, garbage)."""
    try:
        match body[:1]:
            case b"S" if len(body) == 3:
                return StopReason(signal=int(body[1:], 16))
            case b"T":
                return _parse_fields(int(body[1:3], 16), body[3:].split(b";"))
            case b"W":
                return StopReason(StopKind.EXITED, status=int(body[1:3], 16))
            case b"X":
                return StopReason(StopKind.TERMINATED, signal=int(body[1:3], 16))
            case _:
                return None
    except ValueError:
        return None


def _parse_fields(signal: int, fields: Iterable[bytes]) -> StopReason:
    kind = StopKind.SIGNAL
    thread = 1
    core: int | None = None
    addr: int | None = None
    registers: dict[int, bytes] = {}
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon:
            continue
        if name in _WATCH_KINDS:
            kind, addr = _WATCH_KINDS[name], int(value, 16)
        elif name in _BREAK_KINDS:
            kind = _BREAK_KINDS[name]
        elif name == b"thread":
            thread = decode_thread(value)
        elif name == b"core":
            core = int(value, 16)
        elif all(digit in b"0123456789abcdefABCDEF" for digit in name):
            # Anything else with a name of hex digits is a register; other names are for newer clients than
            # us.
            registers[int(name, 16)] = bytes.fromhex(value.decode("latin-1"))
    return StopReason(kind, signal, thread, core, addr, 0, registers)


# gdb reads 64-bit numbers: the whole address space is one byte too long for a length.
LONGEST_REGION = 1 << 63


def thread_list(threads: Iterable[Thread]) -> str:
    """Return the document `threads` (GDB manual, "Thread List Format")."""
    rows = []
    for thread in threads:
        core = "" if thread.core is None else f' core="{thread.core}"'
        name = f" name={quoteattr(thread.name)}" if thread.name else ""
        rows.append(f'<thread id="{thread.id:x}"{core}{name}>{thread.state}</thread>\n')
    return f'<?xml version="1.0"?>\n<threads>\n{"".join(rows)}</threads>\n'


def memory_map(regions: Iterable[MemoryRegion]) -> str:
    """Return the document `memory-map` (GDB manual, "Memory Map Format")."""
    rows = []
    for region in regions:
        kind, end = region.kind.value, region.start + region.length
        for start in range(region.start, end, LONGEST_REGION):
            length = min(LONGEST_REGION, end - start)
            rows.append(f'<memory type="{kind}" start="{start:#x}" length="{length:#x}"/>\n')
    return f'<?xml version="1.0"?>\n<memory-map>\n{"".join(rows)}</memory-map>\n'


def chunk(document: bytes, offset: int, length: int) -> bytes:
    """Return a piece of an object as `qXfer` sends it: `m` with more to come, `l` with the last."""
    piece = document[offset : offset + length]
    return (b"l" if offset + length >= len(document) else b"m") + piece


def parse_features(text: str) -> frozenset[str]:
    """Return the names a client announced with `+` or a value in qSupported."""
    names = set()
    for item in text.split(";"):
        if item.endswith("+"):
            names.add(item[:-1])
        elif "=" in item:
            names.add(item.partition("=")[0])
    return frozenset(names)
