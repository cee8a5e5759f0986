"""A stub's registers: what is known of them since the last stop, and what has yet to be sent before the next
run.

Every stub gives all of them at once, `g`, and over a slow line that is most of what a step costs (K42 facts
C.9).  K42's stub answers `g` from a variable of the kernel, and runs the kernel on with what is in there;
where the variable's place is known (`candidates`, from the kernel's file), `m` and `M` move only the
registers that somebody wants.  The file may be another kernel's, so a place is believed once `m` has brought
the same bytes as `g`.

Somebody who wanted everything at one stop will want it at the next: then `g` is the cheaper way again.

A stub whose block differs from the description (`Quirks.wire`) is translated here, and what it lacks comes
from where the interrupt saved it (`Quirks.saved`, `kernel_stack`).

MSR[SE] is ours where the stub steps by it (`is_traced`): set in what is sent, hidden in what is shown.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from gdbstub import replies
from gdbstub.kernel_stack import WORD, Saved, find_saved
from gdbstub.link import Link
from gdbstub.ppc64 import MSR_SE
from gdbstub.registers import Description
from gdbstub.target import MemoryFault, TargetError

log = logging.getLogger("gdbstub")

# What is looked at after every stop: where it is, and all that a branch depends on.
ALWAYS = ("pc", "msr", "cr", "lr", "ctr")

# Bytes that are fetched in vain rather than asking twice: a question and its answer carry 83 more than their
# content, which is two digits for each byte.
WORTHWHILE_GAP = 32

# More changed registers than this are sent as a whole block.
MANY = 8

Read = Callable[[int, int], Awaitable[bytes]]
Write = Callable[[int, bytes], Awaitable[None]]


class Missing(Exception):
    """Somebody who cannot wait looks at what has not been fetched: `fetch` it and let him look again."""

    def __init__(self, fetch: Callable[[], Awaitable[object]]) -> None:
        super().__init__("not fetched yet")
        self.fetch = fetch


class StubRegisters:
    """The registers of one stub's stopped target.  `read` and `write` are its memory as it is."""

    def __init__(
        self, link: Link, description: Description, candidates: Sequence[int], read: Read, write: Write
    ) -> None:
        self.description = description
        self.is_traced = False
        self._link = link
        self._read = read
        self._write = write
        self._candidates = tuple(candidates)
        self._place: int | None = None
        self._saved: dict[str, tuple[int, int]] = {}
        self._block = b""
        self._block_size = 0
        self._known: set[str] = set()
        self._changed: set[str] = set()
        self._asks_for_all = self._asked_for_all = False

    @property
    def come_singly(self) -> bool:
        """True where a register can be had without the others."""
        return self._place is not None

    def forget(self) -> None:
        """Drop what was known: the target has run."""
        if self._known:
            self._asks_for_all, self._asked_for_all = self._asked_for_all, False
        self._known.clear()
        self._changed.clear()

    # Looking

    async def block(self) -> bytes:
        """Return the `g` block."""
        self._asked_for_all = True
        if len(self._known) < len(self.description.offsets):
            await self._fetch_all()
        return self._block

    async def fetch(self, names: Collection[str]) -> None:
        """See that these registers are known."""
        missing = [name for name in names if name not in self._known]
        if not missing:
            return
        if self._place is None or self._asks_for_all:
            await self._fetch_all()
            return
        for span in self._spans(missing, across_unknown=True):
            self._take(span.start, await self._read(self._place + span.start, span.stop - span.start))

    def value(self, name: str) -> int:
        """Return a register.  Raises Missing."""
        if name not in self._known:
            raise Missing(lambda: self.fetch((name,)))
        return self.description.value(self._block, name)

    async def raw(self, name: str) -> bytes:
        """Return a register as it travels."""
        await self.fetch((name,))
        return self._block[self.description.span(name)]

    async def pc(self) -> int:
        """Return the program counter."""
        # Another description than ours may lack some of them.
        await self.fetch([name for name in ALWAYS if name in self.description.offsets])
        return self.value(self.description.pc)

    async def block_size(self) -> int:
        """Return how much of the `g` block the stub has."""
        await self.block()
        return self._block_size

    async def _fetch_all(self) -> None:
        quirks, size = self._link.quirks, self.description.g_size
        raw = decode((await self._link.ask(b"g")).replace(b"x", b"0"))
        raw = standard(raw, quirks.wire, self.description)
        # An old stub's block may end early; what it leaves out reads as zero and is not written.
        self._block_size = min(len(raw), size)
        if self._block_size not in {self.description.span(name).stop for name in self.description.offsets}:
            raise TargetError(errno.EPROTO, f"the stub sends {len(raw)} bytes of registers")
        whole = raw[: self._block_size].ljust(size, b"\0")
        self._take(0, whole)
        if quirks.saved is not None:
            await self._fetch_saved(quirks.saved, whole)
        if self._candidates and self._link.quirks.answers_g_from_memory and self._block_size == size:
            candidates, self._candidates = self._candidates, ()
            self._place = await self._find(candidates, whole)

    async def _fetch_saved(self, saved: Saved, block: bytes) -> None:
        """Take what the block lacks from where it was saved."""
        self._saved = await find_saved(saved, block, self.description, self._read)
        if not self._saved:
            log.info("there are no registers under the stack pointer: %s unknown", ", ".join(saved.wanted))
        for name, (_, value) in self._saved.items():
            self._take(self.description.span(name).start, self.description.encode(name, value))

    async def _find(self, candidates: Sequence[int], block: bytes) -> int | None:
        for place in candidates:
            try:
                if await self._read(place, len(block)) == block:
                    return place
            except MemoryFault:
                continue
        return None

    def _take(self, start: int, raw: bytes) -> None:
        """Note the registers that lie within `raw`, which begins at `start` of the block; but what has been
        changed stays.
        """
        description = self.description
        size = description.g_size
        old = self._block if len(self._block) == size else bytes(size)
        new = old[:start] + raw + old[start + len(raw) :]
        kept = {name: description.value(old, name) for name in self._changed}
        for name, span in description.spans.items():
            if start <= span.start and span.stop <= start + len(raw):
                self._known.add(name)
        if self.is_traced and "msr" in self._known:
            kept.setdefault("msr", description.value(new, "msr") & ~MSR_SE)
        self._block = description.replace(new, kept) if kept else new

    # Changing

    async def set_block(self, block: bytes) -> None:
        """Change the whole block; what differs is sent before the target runs."""
        old = await self.block()
        self._change({name for name, span in self.description.spans.items() if old[span] != block[span]})
        self._block = block

    def _change(self, names: Collection[str]) -> None:
        """Note what is to be sent.  Raises TargetError for what the stub will not take."""
        saved = self._link.quirks.saved
        for name in names:
            if saved is not None and name in saved.wanted and name not in self._saved:
                raise TargetError(errno.ENOTSUP, f"this stub has no way to set {name} here")
        self._changed.update(names)

    async def change(self, values: Mapping[str, int]) -> None:
        """Change some registers; they are sent before the target runs."""
        await self.fetch(values)
        new = self.description.replace(self._block, values)
        spans = {name: self.description.span(name) for name in values}
        self._change({name for name, span in spans.items() if new[span] != self._block[span]})
        self._block = new

    @property
    def changed_pc(self) -> int | None:
        """Where the target is to go on, if that is not where it stands."""
        pc = self.description.pc
        return self.value(pc) if pc in self._changed else None

    async def set_trace(self, on: bool) -> None:
        """Have MSR[SE] set, or not, when the target runs next."""
        await self.fetch(("msr",))
        self.is_traced = on
        self._changed.add("msr")

    async def flush(self, *, but: frozenset[str] = frozenset()) -> None:
        """Send what has been changed, all `but` these."""
        if self._changed <= but:
            return
        if self._place is None or len(self._changed) > MANY:
            await self.block()
            sent = self._on_the_wire(self._sent())
            if await self._link.ask(b"G" + sent.hex().encode()) != replies.OK:
                raise TargetError(errno.EPROTO, "the stub refuses the registers")
            for name in self._changed & self._saved.keys():
                value = self.description.value(self._block, name)
                await self._write(self._saved[name][0], value.to_bytes(WORD, "big"))
        else:
            sent = self._sent()
            for span in self._spans(self._changed - but, across_unknown=False):
                await self._write(self._place + span.start, sent[span])
        self._changed &= but

    def _on_the_wire(self, block: bytes) -> bytes:
        """Return a block as the stub takes it."""
        wire = self._link.quirks.wire
        if wire is None:
            return block[: self._block_size]
        values = self.description.unpack(block)
        return wire.pack({**values, "ctr_upper": values["ctr"] >> 32})

    def _sent(self) -> bytes:
        if not self.is_traced:
            return self._block
        msr = self.description.value(self._block, "msr")
        return self.description.replace(self._block, {"msr": msr | MSR_SE})

    def _spans(self, names: Iterable[str], *, across_unknown: bool) -> list[slice]:
        """Return the parts of the block that hold these registers, joined where that is worthwhile."""
        known = [self.description.span(name) for name in self._known]
        spans: list[slice] = []
        for span in sorted((self.description.span(name) for name in names), key=lambda span: span.start):
            if spans and span.start - spans[-1].stop <= WORTHWHILE_GAP:
                gap = range(spans[-1].stop, span.start)
                if across_unknown or all(any(k.start <= at < k.stop for k in known) for at in gap):
                    spans[-1] = slice(spans[-1].start, span.stop)
                    continue
            spans.append(span)
        return spans


def standard(raw: bytes, wire: Description | None, description: Description) -> bytes:
    """Return a stub's block, which `wire` describes, as `description` has it; what it lacks is zero."""
    if wire is None:
        return raw
    values = wire.unpack(raw.ljust(wire.g_size, b"\0"))
    return description.pack({**values, "ctr": values["ctr_upper"] << 32})


def decode(body: bytes) -> bytes:
    """Return the bytes of a hex reply.  Raises TargetError for anything else."""
    try:
        return bytes.fromhex(body.decode("ascii"))
    except ValueError:
        raise TargetError(errno.EIO, f"the stub answers {body[:40].decode('latin-1')!r}") from None
