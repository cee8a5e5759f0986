"""Engines: what executes the instruction set on a processor.

`reference` prints effects as Python: slow, needs nothing, judges the others.  `threaded` prints them as
LLVM IR. `auto` is the fastest that this host can run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec

from emulator.cpu.processor import Engine, Processor

log = logging.getLogger("emulator")

NAMES = ("auto", "reference", "threaded")


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
