"""Conditions and commands of breakpoints, as functions: what a target asks a hundred thousand times a second.

`judge` makes one function of what a `Z` packet carries.  An agent expression of the plain kind that gdb makes
of a condition becomes a Python function of its own (`compile_expression`); `agent.evaluate` runs the others
and is the judge of these.

A plain expression has no printf and no jump backwards, and its stack is as deep on every way to the same
operation.  So the stack need not be there: place n of it is the local variable `sn`, a block of operations
is a block of assignments, and one pass over the blocks is enough; `at` says which one is next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from gdbstub import agent
from gdbstub.agent import AgentError, evaluate
from gdbstub.target import Condition, Inspection

Expression = Callable[[Inspection], int]

# Expressions kept compiled: gdb sends the same ones with every resumption.
MAX_COMPILED = 256

# What a binary operation is, where that is one expression of Python; values are 0 to 2^64 - 1.
_BINARY = {
    0x02: "{0} + {1} & 0xFFFFFFFFFFFFFFFF",
    0x03: "{0} - {1} & 0xFFFFFFFFFFFFFFFF",
    0x04: "{0} * {1} & 0xFFFFFFFFFFFFFFFF",
    0x0F: "{0} & {1}",
    0x10: "{0} | {1}",
    0x11: "{0} ^ {1}",
    0x13: "+({0} == {1})",
    0x14: "+({0} ^ 0x8000000000000000 < {1} ^ 0x8000000000000000)",
    0x15: "+({0} < {1})",
}
_CALLED: dict[str, Any] = {
    "binary": agent.BINARY,
    "extend": agent.extend,
    "from_bytes": int.from_bytes,
}


def judge(conditions: Sequence[bytes], commands: Sequence[bytes], show: Callable[[str], None]) -> Condition:
    """Return what a target shall ask at a hit: does it stop the target?

    It does if one of `conditions` is true or there are none, unless there are `commands`: those are run
    instead.
    """
    expressions = [compile_expression(code) or partial(evaluate, code) for code in conditions]

    def condition(look: Inspection) -> bool:
        try:
            if expressions:
                for expression in expressions:
                    if expression(look):
                        break
                else:
                    return False
            for code in commands:
                evaluate(code, look, show)
        except AgentError as problem:
            show(f"{problem}\n")
            return True
        return not commands

    return condition


class _NotPlain(Exception):
    """The expression needs the interpreter."""


@lru_cache(MAX_COMPILED)
def compile_expression(code: bytes) -> Expression | None:
    """Return a function that does what `agent.evaluate(code, look)` does, or None if `code`, which
    `agent.check` has passed, is not plain.
    """
    try:
        source = "\n".join(("def expression(look):", " at = 0", *_lines(code)))
    except _NotPlain:
        return None
    names = dict(_CALLED)
    exec(source, names)
    expression: Expression = names["expression"]
    return expression


def _lines(code: bytes) -> Iterator[str]:
    """Return the function's lines.  Raises _NotPlain."""
    operations = list(agent.operations(code))
    jumps = (agent.IF_GOTO, agent.GOTO)
    if len(operations) > agent.MAX_STEPS:
        raise _NotPlain
    starts = {0, *(operand for _, operation, operand, _ in operations if operation in jumps)}
    starts |= {end for _, operation, _, end in operations if operation in jumps}
    depths = {0: 0}  # of the stack, where a block begins
    depth: int | None = None  # None: nobody comes here
    for at, operation, operand, end in operations:
        if at in starts:
            depth = depths.get(at)
            yield f" if at == {at}:"
            yield "  pass"
        if depth is None:
            continue
        if operation in jumps:
            if operand <= at:
                raise _NotPlain
            if operation == agent.GOTO:
                yield f"  at = {operand}"
            else:
                depth -= 1
                yield f"  at = {operand} if s{depth} else {end}"
                _arrive(depths, end, depth)
            _arrive(depths, operand, depth)
        elif operation == agent.END:
            yield f"  return s{depth - 1}" if depth else "  return 0"
        else:
            needed, change, statement = _statement(operation, operand, depth)
            if depth < needed or depth + change > agent.MAX_STACK:
                raise _NotPlain
            yield "  " + statement
            depth += change
            if end in starts:
                yield f"  at = {end}"
                _arrive(depths, end, depth)
        if operation in (*jumps, agent.END):
            depth = None
    if depth is not None:
        raise _NotPlain


def _arrive(depths: dict[int, int], at: int, depth: int) -> None:
    if depth < 0 or depths.setdefault(at, depth) != depth:
        raise _NotPlain


def _statement(operation: int, operand: int, depth: int) -> tuple[int, int, str]:
    """Return how deep the stack must be for an operation, by how much it grows, and what it does."""
    top, below, third, new = (f"s{depth - n}" for n in (1, 2, 3, 0))
    if operation in agent.BINARY:
        expression = _BINARY.get(operation, f"binary[{operation}]({{0}}, {{1}}) & 0xFFFFFFFFFFFFFFFF")
        return 2, -1, f"{below} = {expression.format(below, top)}"
    if operation in agent.CONSTANTS:
        return 0, 1, f"{new} = {operand}"
    if operation in agent.REFERENCES:
        return 1, 0, f"{top} = from_bytes(look.memory({top}, {agent.REFERENCES[operation]}), 'big')"
    match operation:
        case agent.REGISTER:
            return 0, 1, f"{new} = look.register({operand}) & 0xFFFFFFFFFFFFFFFF"
        case agent.EXTEND:
            return 1, 0, f"{top} = extend({top}, {operand})"
        case agent.ZERO_EXTEND:
            return 1, 0, f"{top} &= {(1 << min(operand, 64)) - 1:#x}"
        case agent.LOG_NOT:
            return 1, 0, f"{top} = +(not {top})"
        case agent.BIT_NOT:
            return 1, 0, f"{top} ^= 0xFFFFFFFFFFFFFFFF"
        case agent.DUP:
            return 1, 1, f"{new} = {top}"
        case agent.POP:
            return 1, -1, "pass"
        case agent.SWAP:
            return 2, 0, f"{top}, {below} = {below}, {top}"
        case agent.PICK:
            return operand + 1, 1, f"{new} = s{depth - 1 - operand}"
        case agent.ROT:
            return 3, 0, f"{third}, {below}, {top} = {top}, {third}, {below}"
    raise _NotPlain
