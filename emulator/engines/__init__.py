"""Engines: what executes the instruction set on a processor.

`reference` prints effects as Python: slow, needs nothing, judges the others.  `threaded` prints them as
LLVM IR. `auto` is the fastest that this host can run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from emulator.cpu.processor import Engine, Processor

log = logging.getLogger("emulator")

NAMES = ("auto", "reference", "threaded")
#: The sections of the instruction set that the start of a kernel executes.
EVERYDAY = (
    "branch", "arithmetic", "logic", "load_store", "storage_control", "float_move", "system", "translation",
)  # fmt: skip


def engine_named(name: str) -> Callable[[Processor], Engine]:
    """Return the maker of the engine called `name`.  Raises ValueError, in words for the user."""
    has_llvm = find_spec("llvmlite") is not None
    if name == "auto":
        name = "threaded" if has_llvm else "reference"
        if not has_llvm:
            log.warning("llvmlite is not installed: the slow reference engine runs (pip install llvmlite)")
    match name:
        case "reference":
            from emulator.engines.reference import ReferenceEngine

            return ReferenceEngine
        case "threaded" if has_llvm:
            from emulator.engines.threaded import ThreadedEngine

            return ThreadedEngine
        case "threaded":
            raise ValueError("engine threaded needs llvmlite: pip install llvmlite")
        case _:
            raise ValueError(f"engine {name!r}: there are {', '.join(NAMES)}")


def preparations(name: str) -> list[Callable[[], object]]:
    """Return what the engine called `name` has to compile for nearly every kernel, in pieces of a second.

    It compiles whatever it meets at that moment, in whoever's thread; who has others to serve meanwhile does
    this before, in another thread.
    """
    if name == "reference" or find_spec("llvmlite") is None:
        return []
    from emulator.engines import native

    groups = [native.Group(section, True) for section in EVERYDAY]
    return [partial(native.handlers, group) for group in (*groups, native.PAIRS)]
