"""Symbols of compiled handlers, for who prints them and for who looks them up."""

from __future__ import annotations

from hashlib import sha256

from emulator.engines.pairs import Pair
from emulator.isa.decode import Form
from emulator.isa.values import Helper

#: Handlers that belong to no instruction.
COMMON = ("h_decode", "h_breakpoint", "h_stop", "h_near_end", "h_miss", "h_page_end")


def handler_name(entry: Form | Pair, is_near: bool = False) -> str:
    """Return the symbol of a handler; `is_near`: of a branch within its own page."""
    return f"h_{entry.name}{'_near' if is_near else ''}"


def variants(entry: Form | Pair) -> tuple[bool, ...]:
    """Return the values of `is_near` that `entry` has a handler for."""
    form = entry.second if isinstance(entry, Pair) else entry
    return (False, True) if is_direct_branch(form) else (False,)


def is_direct_branch(form: Form) -> bool:
    """Tell whether the record of `form` holds a branch target."""
    return "aa" in form.instruction.fields


def slow_name(form: Form) -> str:
    """Return the symbol of the handler that does what `form`'s other handlers leave to it."""
    return f"slow_{form.name}"


def stop_name(helper: Helper) -> str:
    """Return the symbol of the handler that stops by calling `helper`."""
    return f"stop_{helper.__module__}_{helper.__qualname__}"


def helper_name(helper: Helper) -> str:
    """Return where a helper is found again: module:function."""
    return f"{helper.__module__}:{helper.__qualname__}"


def helper_number(name: str) -> int:
    """Return the number by which handlers call a helper: a digest, the same in every module and process."""
    return int.from_bytes(sha256(name.encode()).digest()[:7], "big")
