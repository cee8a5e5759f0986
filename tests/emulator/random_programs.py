"""Random C programs without undefined behaviour, all of them functions of one file.

Each function computes on its own variables and arrays, of every integer type, double and float, for some
statements and loops, and prints a checksum.  What C leaves undefined is kept out by construction: shifts
are masked, divisors are made odd and never meet the smallest number, doubles become integers only after
`bounded`, signed overflow is defined by -fwrapv, every loop counts.
"""

from __future__ import annotations

import random

INTEGERS = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")
REALS = ("double", "float")
ARRAY = 16

PRELUDE = """\
#include "program.h"

static inline i64 bounded(double x)
{
    return x > -1e15 && x < 1e15 ? (i64)x : (i64)(bits_of(x + 0.0) >> 60);
}
/* Every NaN is the same; which one comes of two is left open. */
static u64 mix(u64 h, double x)
{
    return h * 31 + (x != x ? 0x7ff8UL << 48 : bits_of(x));
}
static i64 divide(i64 a, i64 b) { return b == 0 || b == -1 ? a : a / b; }
static i64 rest(i64 a, i64 b) { return b == 0 || b == -1 ? b : a % b; }
"""


class _Function:
    """One random function."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.rng = rng
        self.number = number
        self.integers = [(f"x{n}", rng.choice(INTEGERS)) for n in range(rng.randrange(3, 9))]
        self.reals = [(f"r{n}", rng.choice(REALS)) for n in range(rng.randrange(1, 5))]
        self.arrays = [(f"a{n}", rng.choice(INTEGERS + REALS)) for n in range(rng.randrange(1, 4))]
        self.loops = 0

    def text(self) -> str:
        body = [self._declaration(name, kind) for name, kind in self.integers + self.reals]
        body += [f"static {kind} {name}[{ARRAY}];" for name, kind in self.arrays]
        body += [
            f"for (int i = 0; i < {ARRAY}; i++) {name}[i] = i * {self.rng.randrange(1, 90)} - 40;"
            for name, _ in self.arrays
        ]
        body += [self._statement(3) for _ in range(self.rng.randrange(4, 12))]
        body.append("u64 h = 0;")
        body += [f"h = h * 31 + (u64){name};" for name, _ in self.integers]
        body += [f"h = mix(h, {name});" for name, _ in self.reals]
        for name, kind in self.arrays:
            step = f"mix(h, {name}[i])" if kind in REALS else f"h * 31 + (u64){name}[i]"
            body.append(f"for (int i = 0; i < {ARRAY}; i++) h = {step};")
        body.append('print("%016lx\\n", h);')
        lines = "\n    ".join(body)
        arguments = "u64 p0, i32 p1, double p2, u8 p3"
        return f"static NOINLINE void f{self.number}({arguments})\n{{\n    {lines}\n}}\n"

    def _declaration(self, name: str, kind: str) -> str:
        value = self._constant() if kind in INTEGERS else self._real_constant()
        return f"{kind} {name} = {self.rng.choice([value, 'p0', 'p1', 'p3'])};"

    def _constant(self) -> str:
        rng = self.rng
        value = rng.choice(
            [rng.getrandbits(64), rng.randrange(256), rng.getrandbits(32), 1 << rng.randrange(64)]
        )
        return f"{value}UL" if rng.random() < 0.5 else f"(i64){value}UL"

    def _real_constant(self) -> str:
        rng = self.rng
        return rng.choice(
            [f"{rng.uniform(-9, 9)!r}", f"{rng.randrange(-99, 99)}.0", f"1e{rng.randrange(-30, 30)}"]
        )

    def _element(self, kinds: tuple[str, ...]) -> str | None:
        fitting = [name for name, kind in self.arrays if kind in kinds]
        return f"{self.rng.choice(fitting)}[({self._integer(1)}) & {ARRAY - 1}]" if fitting else None

    def _integer(self, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            simple = [name for name, _ in self.integers]
            return rng.choice([*simple, *simple, "p0", "p1", "p3", self._constant()])
        a, b = self._integer(depth - 1), self._integer(depth - 2)
        match rng.randrange(12):
            case 0 | 1 | 2:
                return f"({a} {rng.choice('+-*&|^')} {b})"
            case 3:
                kind, bits = rng.choice([("u32", 31), ("i32", 31), ("u64", 63), ("i64", 63)])
                return f"(({kind})({a}) {rng.choice(['<<', '>>'])} (({b}) & {bits}))"
            case 4:
                return f"{rng.choice(['divide', 'rest'])}({a}, {b})"
            case 5:
                kind = rng.choice(["u8", "u16", "u32", "u64"])
                return f"(({kind})({a}) {rng.choice('/%')} ({kind})(({b}) | 1))"
            case 6:
                return f"(({a}) {rng.choice(['<', '<=', '==', '!=', '>', '>='])} ({b}))"
            case 7:
                return f"(({rng.choice(INTEGERS)})({a}))"
            case 8:
                return f"({self._condition(depth - 1)} ? {a} : {b})"
            case 9:
                return f"bounded({self._real(depth - 1)})"
            case 10:
                return self._element(INTEGERS) or f"(~{a})"
            case _:
                return f"({rng.choice('-~!')}({a}))"

    def _real(self, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            return rng.choice([*[name for name, _ in self.reals], "p2", self._real_constant()])
        a, b = self._real(depth - 1), self._real(depth - 2)
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                return f"({a} {rng.choice('+-*/')} {b})"
            case 4:
                return f"((double)({self._integer(depth - 1)}))"
            case 5:
                return f"((float){a})"
            case 6:
                return self._element(REALS) or f"(-({a}))"
            case _:
                return rng.choice(
                    [f"__builtin_fabs({a})", f"(-({a}))", f"({self._condition(1)} ? {a} : {b})"]
                )

    def _condition(self, depth: int) -> str:
        if self.rng.random() < 0.3:
            return f"({self._real(depth)} {self.rng.choice(['<', '<=', '==', '>'])} {self._real(depth)})"
        return f"({self._integer(depth)} {self.rng.choice(['<', '==', '!=', '>='])} {self._integer(depth)})"

    def _assignment(self) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            target = rng.choice([self._element(REALS), None]) or rng.choice(self.reals)[0]
            return f"{target} {rng.choice(['=', '+=', '-=', '*='])} {self._real(3)};"
        target = rng.choice([self._element(INTEGERS), None]) or rng.choice(self.integers)[0]
        return f"{target} {rng.choice(['=', '+=', '-=', '*=', '^=', '|=', '&='])} {self._integer(3)};"

    def _statement(self, depth: int) -> str:
        rng = self.rng
        if depth == 0:
            return self._assignment()
        match rng.randrange(6):
            case 0:
                other = f" else {{ {self._statement(depth - 1)} }}" if rng.random() < 0.5 else ""
                return f"if ({self._condition(2)}) {{ {self._statement(depth - 1)} }}{other}"
            case 1 if depth > 1:
                self.loops += 1
                n, inner = f"n{self.loops}", self._statement(depth - 1)
                head = f"for (int {n} = 0; {n} < {rng.randrange(2, 9)}; {n}++)"
                return f"{head} {{ {inner} {self._assignment()} }}"
            case 2:
                cases = " ".join(f"case {n}: {self._statement(0)} break;" for n in range(rng.randrange(3, 7)))
                return f"switch (({self._integer(2)}) & 7) {{ {cases} default: {self._statement(0)} }}"
            case _:
                return self._assignment()


def source(seed: int, count: int) -> str:
    """Return a C file of `count` random programs, each in a section `NUMBER` of the output."""
    rng = random.Random(seed)
    parts = [PRELUDE]
    rows = []
    for number in range(count):
        parts.append(_Function(rng, number).text())
        arguments = f"{rng.getrandbits(64)}UL, {rng.randrange(-(1 << 31), 1 << 31)}, {rng.uniform(-99, 99)!r}"
        parts.append(f"static void run{number}(void) {{ f{number}({arguments}, {rng.randrange(256)}); }}\n")
        rows.append(f'    {{"{number}", run{number}}},\n')
    parts.append("const struct program programs[] = {\n" + "".join(rows) + "    {0, 0},\n};\n")
    return "\n".join(parts)
