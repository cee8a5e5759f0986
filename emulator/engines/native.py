"""Handlers as machine code: the only file that knows llvmlite.

The instruction set is compiled in groups, one module each (a file of the ISA in one mode), when an
instruction of the group is first met, and kept in the object cache under a key that covers everything the
code depends on: the sources that generate it, LLVM's version, and the processor of this host.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

import emulator
from emulator.engines import object_cache
from emulator.engines.loops import Loop
from emulator.engines.names import helper_number
from emulator.engines.object_cache import Compiled
from emulator.engines.pairs import Pair, pairs
from emulator.isa.decode import ILLEGAL, Form, forms, instructions
from emulator.isa.values import Helper

log = logging.getLogger("emulator")

#: How many loops are kept, of all guests together.
_LOOP_FILES = 1024
#: What the code generator is made of.
_SOURCES = (
    "isa/*.py",
    "engines/layout.py",
    "engines/llvm_*.py",
    "engines/names.py",
    "engines/pairs.py",
    "engines/native.py",
    "cpu/state.py",
    "cpu/processor.py",
    "cpu/timers.py",
    "devices/port.py",
    "devices/uart16550.py",
)


@dataclass(frozen=True, slots=True)
class Group:
    """What is compiled together: the forms of a section of the ISA in a mode, the pairs, or the UART."""

    section: str
    is64: bool

    @property
    def name(self) -> str:
        return f"{self.section}{'' if self.is64 else '32'}.o"

    def entries(self) -> Sequence[Form | Pair]:
        if self == PAIRS:
            return pairs()
        rows = [row for row in instructions() if row.section == self.section]
        if self.section == "branch":
            rows.append(ILLEGAL)
        return [form for row in rows for form in forms(row, self.is64)]


#: No instructions, but what they come to for the registers of the UART.
UART = Group("uart", True)
#: A pair is made of what does not depend on the mode, or is of 64-bit mode.
PAIRS = Group("pairs", True)


def group_of(form: Form) -> Group:
    """Return the group a form is compiled in."""
    row = form.instruction
    return Group("branch" if row is ILLEGAL else row.section, form.is64)


@dataclass(frozen=True, slots=True)
class Handlers:
    """A compiled group, and what its code calls by number."""

    engine: Any
    helpers: dict[int, Helper]
    kept_alive: Any

    def address(self, symbol: str) -> int:
        """Return where the function called `symbol` is; 0 if there is none."""
        address: int = self.engine.get_function_address(symbol)
        return address


@cache
def handlers(group: Group) -> Handlers:
    """Return the handlers of `group`, compiling them unless the cache has them."""
    key = _key()
    compiled = object_cache.fetch(group.name, key)
    if compiled is None:
        compiled = _compile(group)
        object_cache.keep(group.name, key, compiled)
    return _link(compiled)


@cache
def _key() -> str:
    """Digest everything that the object code depends on."""
    digest = hashlib.sha256()
    root = Path(emulator.__file__).parent
    for pattern in _SOURCES:
        for path in sorted(root.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    host = (llvmlite.__version__, llvm.get_default_triple(), llvm.get_host_cpu_name())
    digest.update(repr((*host, llvm.get_host_cpu_features().flatten())).encode())
    return digest.hexdigest()


@cache
def _start_llvm() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target_machine(effort: int = 2) -> Any:
    _start_llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=effort, jit=True
    )


def _compile(group: Group) -> Compiled:
    # Not needed where the cache has everything.
    from emulator.engines.llvm_module import print_module
    from emulator.engines.llvm_uart import print_uart

    _announce()
    machine = _target_machine()
    helpers: set[str] = set()
    source = print_uart() if group == UART else print_module(group.entries(), helpers)
    module = llvm.parse_assembly(source)
    # Elsewhere LLVM's passes cost a third more time, and code generation alone comes to the same code.
    if group.section == "vector":
        _simplify(module, machine)
    return Compiled(machine.emit_object(module), tuple(sorted(helpers)))


@cache
def _announce() -> None:
    """Tell somebody who sits there why nothing happens for a while, once."""
    if sys.stderr.isatty():
        log.warning(
            "compiling the processor for this host, a few seconds in all; the result is kept in %s",
            object_cache.cache_folder(),
        )


def _simplify(module: Any, machine: Any) -> None:
    """Undo the widening of lanes (isa/wide) where nothing needs it."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_instruction_combine_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))


def kept_loop(loop: Loop) -> Handlers | None:
    """Return the compiled function `loop` if the cache has it."""
    key = f"{_key()} {loop.name}"
    compiled = object_cache.fetch(_loop_file(key), key)
    return _link(compiled) if compiled else None


def compile_loop(loop: Loop) -> Handlers:
    """Compile the function `loop`."""
    from emulator.engines.llvm_loop import print_loop

    machine = _target_machine(effort=1)
    text, helpers = print_loop(loop)
    module = llvm.parse_assembly(text)
    passes = llvm.create_new_module_pass_manager()
    passes.add_simplify_cfg_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    compiled = Compiled(machine.emit_object(module), tuple(sorted(helpers)))
    key = f"{_key()} {loop.name}"
    object_cache.keep(_loop_file(key), key, compiled)
    return _link(compiled)


def _loop_file(key: str) -> str:
    """Return the name of the file for a loop: there are so many, whatever guests there will be."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % _LOOP_FILES
    return f"loop{number}.o"


def _link(compiled: Compiled) -> Handlers:
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, _target_machine())
    object_file = llvm.ObjectFileRef.from_data(compiled.object_code)
    engine.add_object_file(object_file)
    engine.finalize_object()
    helpers = {helper_number(name): _resolve(name) for name in compiled.helpers}
    return Handlers(engine, helpers, (object_file, empty))


def _resolve(name: str) -> Helper:
    module, _, function = name.partition(":")
    helper: Helper = getattr(import_module(module), function)
    return helper
