"""The lanes of a vector while an effect is recorded: what isa/lanes computes with in place of ints.

A lane function such as `lambda a, b: a + b + 1 >> 1` is Python on ints of any size.  Called with `Wide`
arguments it records the same computation for all lanes at once.  Lanes are held in more bits than they have
in the register, twice as many unless said otherwise, so that sums and products do not overflow; `join`
cuts them again.

Lane 0 is the most significant one, as in the manuals and in isa/lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.isa.values import Value

WIDTH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """Lanes as numbers of `bits` bits; `value` is those, or their conditions after a comparison."""

    value: Value
    bits: int

    @property
    def lanes(self) -> int:
        """How many there are; 0 is the whole vector as one number."""
        return self.value.lanes

    def _with(self, value: Value) -> Wide:
        return Wide(value, self.bits)

    def __add__(self, other: Wide | int) -> Wide:
        return self._with(self.value + _plain(other))

    __radd__ = __add__

    def __sub__(self, other: Wide | int) -> Wide:
        return self._with(self.value - _plain(other))

    def __rsub__(self, other: int) -> Wide:
        return self._with(other - self.value)

    def __neg__(self) -> Wide:
        return 0 - self

    def __mul__(self, other: Wide | int) -> Wide:
        return self._with(self.value * _plain(other))

    __rmul__ = __mul__

    def __and__(self, other: Wide | int) -> Wide:
        return self._with(self.value & _plain(other))

    def __or__(self, other: Wide | int) -> Wide:
        return self._with(self.value | _plain(other))

    def __xor__(self, other: Wide | int) -> Wide:
        return self._with(self.value ^ _plain(other))

    def __invert__(self) -> Wide:
        return self._with(~self.value)

    def __lshift__(self, amount: Wide | int) -> Wide:
        return self._with(self.value << _plain(amount))

    def __rshift__(self, amount: Wide | int) -> Wide:
        return self._with(self.value.shift_signed(_plain(amount)))

    def __mod__(self, power_of_two: int) -> Wide:
        return self & power_of_two - 1

    def __lt__(self, other: Wide | int) -> Wide:
        return self._with(self.value.less(_plain(other)))

    def __gt__(self, other: Wide | int) -> Wide:
        return other < self if isinstance(other, Wide) else ~(self < other + 1)

    def __ge__(self, other: Wide | int) -> Wide:
        return ~(self < other)

    def __eq__(self, other: object) -> Wide:  # type: ignore[override]
        assert isinstance(other, Wide | int)
        return self._with(self.value.equals(_plain(other)))

    def __ne__(self, other: object) -> Wide:  # type: ignore[override]
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]

    def choose(self, yes: Wide | int, no: Wide | int) -> Wide:
        """Return `yes` where this condition holds, `no` elsewhere."""
        return self._with(self.value.operate("select", _plain(yes), _plain(no), bits=self.bits))

    def any(self) -> Value:
        """Tell whether this condition holds in any lane."""
        return self.value.operate("any", bits=1, lanes=0)

    def pick(self, other: Wide, numbers: Sequence[int]) -> Wide:
        """Return lanes by number; those of `other` are counted after this one's."""
        return self._with(self.value.operate("shuffle", other.value, tuple(numbers), lanes=len(numbers)))

    def copy_lane(self, number: Value) -> Wide:
        """Return that lane (modulo their count) in all places."""
        return self._with(self.value.operate("copy_lane", number))

    def join(self, bits: int) -> Value:
        """Return the vector register of these lanes, each cut to `bits`."""
        return self.value.operate("join", bits, bits=64, lanes=2)

    # Single-precision lanes.

    def on_unit(self, code: str, *others: Wide) -> Wide:
        """Let the host's floating-point unit do `code`; conversions too, which change what the bits mean."""
        return self._with(self.value.operate(code, *(other.value for other in others)))


def _plain(operand: Wide | int) -> Value | int:
    return operand.value if isinstance(operand, Wide) else operand


def split(register: Value, bits: int, is_signed: bool, room: int) -> Wide:
    """Return the lanes of `bits` bits of a vector register, each extended to `room`."""
    lanes = WIDTH // bits if bits < WIDTH else 0
    return Wide(register.operate("split", bits, int(is_signed), bits=room, lanes=lanes), room)


def fill(number: Value, bits: int, lanes: int) -> Wide:
    """Return `lanes` copies of a 64-bit number, in `bits` bits each."""
    return Wide(number.operate("fill", bits=bits, lanes=lanes), bits)


def permute(a: Value, b: Value, choice: Value) -> Value:
    """Choose each byte of the register from the 32 of a and b."""
    return a.operate("permute", b, choice)
