"""What is known of a stub's stopped target, and what has yet to be sent to it before it runs.

Registers are `stub_registers`.  Memory comes in lines (`memory_cache`), and is kept and shown with the words
that our traps have replaced (`traps`).

It does not know why the target stopped nor how it will go on; `run_control` does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from gdbstub import replies
from gdbstub.link import Link, Silence
from gdbstub.memory_cache import LINE, MemoryCache
from gdbstub.ppc64 import INSTRUCTION_SIZE
from gdbstub.stub_registers import Missing, StubRegisters, decode
from gdbstub.target import MemoryFault, TargetError
from gdbstub.traps import TRAP, Traps

# Reads are cut at these boundaries, so that a hole in memory costs one failed read and not the bytes before
# it.
PAGE = 4096

# Places and functions where a planted trap has been seen to stick; bounded, since that only saves a read.
MAX_VERIFIED = 4096


class OwnCode(TargetError):
    """A stop there would be one inside the stub, and its end."""

    def __init__(self, place: str) -> None:
        super().__init__(errno.EACCES, f"{place} is the stub's own code; a trap there would kill it")


def _no_text(addr: int, length: int) -> bytes | None:
    return None


def _no_function(addr: int) -> range | None:
    return None


class StubState:
    """Registers, memory and planted traps of one stub.

    `forbidden` is the stub's own code, `candidates` where its registers may lie (`stub_registers`), `text`
    what a kernel's file says is at an address and never changes, `function` which function it has there.
    """

    def __init__(
        self,
        link: Link,
        describe: Callable[[int], str],
        forbidden: Sequence[range] = (),
        candidates: Sequence[int] = (),
        text: Callable[[int, int], bytes | None] = _no_text,
        function: Callable[[int], range | None] = _no_function,
    ) -> None:
        self.registers = StubRegisters(link, link.quirks.default, candidates, self._read_raw, self._write_raw)
        self.traps = Traps()
        self.max_read = link.quirks.max_read
        self.max_command = link.quirks.max_command
        self._link = link
        self._describe = describe
        self._forbidden = forbidden
        self._text = text
        self._function = function
        self._cache = MemoryCache()
        self._verified: set[int] = set()
        self._sticks_from: dict[int, int] = {}  # by the beginning of a function, the first such place in it

    def forget(self, *, has_stepped: bool = False) -> None:
        """Drop what was known: the target has run.

        A step leaves the kernel's text as it is; that much is kept, so that stepping need not fetch every
        instruction.
        """
        self.registers.forget()
        self._cache.clear(keep_text=has_stepped)

    # A condition's look at what is known: `target.Inspection`.

    def register(self, number: int) -> int:
        """Return a register by number.  Raises Missing, or TargetError if it is not in the block."""
        register = self.registers.description.by_number.get(number)
        if register is None or register.name not in self.registers.description.offsets:
            raise TargetError(errno.EINVAL, f"there is no register {number}")
        return self.registers.value(register.name)

    def memory(self, addr: int, length: int) -> bytes:
        """Return memory that has been fetched.  Raises Missing."""
        known = self._cache.lookup(addr, length)
        if known is None:
            raise Missing(lambda: self.read(addr, length))
        return known

    # Memory

    async def read(self, addr: int, length: int) -> bytes:
        """Return up to `length` bytes without our traps.  Raises MemoryFault if there are none."""
        pieces: list[bytes] = []
        end = addr + length
        while addr < end:
            size = min(end, (addr & -PAGE) + PAGE) - addr
            try:
                piece = await self._read_piece(addr, size)
            except MemoryFault:
                if pieces:
                    break
                raise
            pieces.append(piece)
            addr += size
        return b"".join(pieces)

    async def _read_piece(self, addr: int, length: int) -> bytes:
        """Read within one page, whole lines where that works."""
        # Twice where filling makes room in the cache by forgetting another part of this piece.
        while (known := self._cache.lookup(addr, length)) is None:
            try:
                start, size = self._cache.missing(addr, length)
                data = self.traps.show(start, await self._read_raw(start, size))
                self._cache.fill(start, data, self._text(start, size))
            except MemoryFault:
                return await self._read_what_is_there(addr, length)
        return known

    async def _read_what_is_there(self, addr: int, length: int) -> bytes:
        """Read up to where memory ends; the first piece must be there."""
        data = b""
        end = addr + length
        while addr + len(data) < end:
            start = addr + len(data)
            try:
                data += await self._read_raw(start, min(end, (start & -LINE) + LINE) - start)
            except MemoryFault:
                if not data:
                    raise
                break
        return self.traps.show(addr, data)

    async def _read_raw(self, addr: int, length: int) -> bytes:
        pieces = []
        for start in range(addr, addr + length, self.max_read):
            size = min(self.max_read, addr + length - start)
            body = await self._link.ask(b"m%x,%x" % (start, size))
            if body[:1] == b"E" and len(body) % 2:
                raise MemoryFault(start)
            piece = decode(body)
            if len(piece) > size:
                raise TargetError(errno.EPROTO, f"the stub sends {len(piece)} bytes instead of {size}")
            pieces.append(piece)
            if len(piece) < size:
                raise MemoryFault(start + len(piece))
        return b"".join(pieces)

    async def write(self, addr: int, data: bytes) -> None:
        """Write memory, leaving our traps in place.  Raises MemoryFault, or TargetError for a write that is
        ignored.
        """
        await self._write_raw(addr, self.traps.hide(addr, data))
        self._cache.write(addr, data)
        # Whether a write is ignored depends on the address it begins at, so one byte tells.
        if self._link.quirks.ignores_some_writes and data and not await self._holds(addr, data[:1]):
            self._cache.clear()
            raise self._ignored(addr)

    async def _holds(self, addr: int, data: bytes) -> bool:
        return self.traps.show(addr, await self._read_raw(addr, len(data))) == data

    async def _write_raw(self, addr: int, data: bytes) -> None:
        # `M`, two numbers of 16 digits, their separators, and the four bytes of the frame.
        room = (self.max_command - 40) // 2
        for offset in range(0, len(data), room):
            piece = data[offset : offset + room]
            reply = await self._link.ask(b"M%x,%x:%b" % (addr + offset, len(piece), piece.hex().encode()))
            if reply != replies.OK:
                raise MemoryFault(addr + offset)

    def _ignored(self, addr: int) -> TargetError:
        return TargetError(
            errno.EPERM, f"the stub needs {self._describe(addr)} itself and ignores writes there"
        )

    # Traps

    def is_own_code(self, addr: int) -> bool:
        """True where the stub itself runs."""
        return any(addr in code for code in self._forbidden)

    async def plant(self, addr: int) -> None:
        """Put a trap at `addr`, and see that it is there.  Raises TargetError."""
        if self.is_own_code(addr):
            raise OwnCode(self._describe(addr))
        original = await self.read(addr, INSTRUCTION_SIZE)
        if len(original) != INSTRUCTION_SIZE:
            raise MemoryFault(addr)
        # Noted before it is there: a stub that falls silent now may still plant it.
        self.traps.planted[addr] = original
        try:
            await self._write_raw(addr, TRAP)
            if not self._sticks(addr):
                if await self._read_raw(addr, INSTRUCTION_SIZE) != TRAP:
                    raise self._ignored(addr)
                self._verify(addr)
        except Silence:
            raise
        except TargetError:
            del self.traps.planted[addr]
            raise

    def _verify(self, addr: int) -> None:
        """Note that a trap at `addr` has been seen to stick."""
        if len(self._verified) >= MAX_VERIFIED:
            self._verified.clear()
            self._sticks_from.clear()
        self._verified.add(addr)
        if (function := self._known_function(addr)) is not None:
            self._sticks_from[function.start] = min(addr, self._sticks_from.get(function.start, addr))

    def _sticks(self, addr: int) -> bool:
        """True where a trap is known to be there once it is written.

        A stub that ignores writes does so in the first bytes of a function.  So what sticks at one place of a
        function sticks in all the rest of it, and behind those bytes anyway; where a function begins is known
        from the kernel's file.
        """
        quirks = self._link.quirks
        if not quirks.ignores_some_writes or addr in self._verified:
            return True
        function = self._known_function(addr)
        if function is None:
            return False
        first = min(function.start + quirks.vital_bytes, self._sticks_from.get(function.start, addr + 1))
        return addr >= first

    def _known_function(self, addr: int) -> range | None:
        """Return the function at `addr`, where the code has been seen to be that of the file."""
        return self._function(addr) if self._cache.is_text(addr) else None

    async def move(self, old: int, new: int) -> None:
        """Take the trap at `old` away and put one at `new`, by one write where that is the next word: most of
        what a single step sends.  Raises as `plant`.

        Only where a trap has been seen to stick: a stub that ignores some writes looks where they begin, so
        this one may reach words that must not be touched.
        """
        is_next = new == old + INSTRUCTION_SIZE and not self.is_own_code(new)
        original = await self.read(new, INSTRUCTION_SIZE) if is_next else b""
        if not is_next or not self._sticks(new):
            await self.restore(old)
            await self.plant(new)
            return
        if len(original) != INSTRUCTION_SIZE:
            raise MemoryFault(new)
        self.traps.planted[new] = original
        try:
            await self._write_raw(old, self.traps.planted[old] + TRAP)
        except Silence:
            raise
        except TargetError:
            # The trap at `old` counts as being there: it is taken away once more.
            del self.traps.planted[new]
            raise
        del self.traps.planted[old]

    async def restore(self, addr: int) -> None:
        """Take the trap at `addr` away."""
        await self._write_raw(addr, self.traps.planted[addr])
        del self.traps.planted[addr]

    async def bring_traps_up_to_date(self) -> None:
        """Plant the traps that are wanted and remove the others."""
        for addr in self.traps.to_restore():
            await self.restore(addr)
        for addr in self.traps.to_plant():
            await self.plant(addr)
