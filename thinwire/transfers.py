"""The original servers' -verbose listing: one line for each transfer and select.

    01 > 0005 a.b..             |  61 00 62 ff 0a

Channel, direction (> to the client, < from it), length, up to sixteen characters with dots for what does not
print, and the same bytes in hex; further lines of a transfer are indented. A select shows its set and the
mask. With -debug the line's own bytes are listed too, a frame a line, marked with arrows:

    -> 30 20 20 23 21 68 65 6c
    <- 41 20 20 23 21
"""

from thinwire.journal import Journal
from thinwire.mux import Direction, Passage, Transfer

_WIDTH = 16
_INDENT = " " * 10
_PRINTABLE = range(0x20, 0x7F)


class Transfers:
    """Writes the listing."""

    def __init__(self, out: Journal) -> None:
        self._out = out

    def show(self, transfer: Transfer) -> None:
        """Add one transfer."""
        self._out.write("".join(line + "\n" for line in describe(transfer)))

    def show_raw(self, passage: Passage) -> None:
        """Add what was on the line."""
        arrow = "->" if passage.direction is Direction.FROM_VICTIM else "<-"
        self._out.write(f"{arrow} {passage.data.hex(' ')}\n")


def describe(transfer: Transfer) -> list[str]:
    """The lines for one transfer."""
    if transfer.mask is not None:
        return [f"   !({transfer.channel // 8}) {transfer.mask:02x}"]
    data = transfer.data
    lines = []
    for start in range(0, len(data) or 1, _WIDTH):
        row = data[start : start + _WIDTH]
        text = "".join(chr(byte) if byte in _PRINTABLE else "." for byte in row)
        head = f"{transfer.channel:02d} {'>' if transfer.to_client else '<'} {len(data):04d} "
        lines.append(f"{head if not start else _INDENT}{text:17} |  {row.hex(' ')}")
    return lines
