"""What an instruction word becomes in a record, wherever it lies, and the handlers there are for it.

A form's handlers are looked up once, when a word of that form is first met; that may compile the group they
are in (engines/native).  Words are kept with what they become, up to MAX_PREPARED of each mode.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from emulator.engines import native
from emulator.engines.names import handler_name, is_direct_branch
from emulator.engines.pairs import Link, pairs_of
from emulator.isa.decode import Form, pack
from emulator.isa.values import Helper

#: Different instruction words whose decoding is kept.
MAX_PREPARED = 1 << 16
#: After one of these nothing follows in line.
_ENDS_LINE = frozenset({"b", "rfid", "illegal"})


class Prepared(NamedTuple):
    """What a word becomes in a record, wherever it lies; `near_handler` only for a direct branch."""

    handler: int
    immediate: int
    slots: int
    near_handler: int
    is_relative: bool
    ends_line: bool
    followers: Followers | None
    form: Form


class Fusion(NamedTuple):
    """Handlers of two forms in a row, if `link` holds (engines/pairs)."""

    link: Link | None
    handler: int
    near_handler: int


#: What can follow an instruction in a pair.
Followers = dict[Form, list[Fusion]]
#: Of a form: its handler and near handler, whether it ends a line, and its followers.
FormHandlers = tuple[int, int, bool, Followers | None]


class Preparer:
    """Prepares words for one engine; `helpers` gets those that the handlers call."""

    def __init__(self, helpers: dict[int, Helper]) -> None:
        self._helpers = helpers
        self._handlers: dict[Form, FormHandlers] = {}
        self._groups: set[native.Group] = set()
        self._words: tuple[dict[int, Prepared], dict[int, Prepared]] = ({}, {})
        #: Whose a handler is, and whether it is a near one.
        self.forms: dict[int, tuple[Form, bool]] = {}

    def prepare(self, word: int, is64: bool) -> Prepared:
        """Return what `word` becomes."""
        known = self._words[is64]
        entry = known.get(word)
        if entry is None:
            if len(known) >= MAX_PREPARED:
                known.clear()
            entry = known[word] = self._prepare(*pack(word, is64))
        return entry

    def _prepare(self, form: Form, slots: int, immediate: int, is_relative: bool) -> Prepared:
        handler, near, ends_line, followers = self._handlers.get(form) or self._find_handlers(form)
        return Prepared(handler, immediate, slots, near, is_relative, ends_line, followers, form)

    def _find_handlers(self, form: Form) -> FormHandlers:
        """Find out, once, what runs the instructions of a form."""
        group = native.group_of(form)
        handlers = native.handlers(group)
        if group not in self._groups:
            self._groups.add(group)
            self._helpers.update(handlers.helpers)
        near = handlers.address(handler_name(form, is_near=True)) if is_direct_branch(form) else 0
        name = form.instruction.name
        ends_line = name in _ENDS_LINE or (name == "bclr" and form.known[0] == 0b10100)
        handler = handlers.address(handler_name(form))
        self.forms[handler] = form, False
        if near:
            self.forms[near] = form, True
        found = self._handlers[form] = (handler, near, ends_line, _followers(form))
        return found


@cache
def _followers(first: Form) -> Followers | None:
    """Return the handlers of the pairs that `first` begins, by their second form."""
    pairs = pairs_of(first)
    if not pairs:
        return None
    handlers = native.handlers(native.PAIRS)
    found: Followers = {}
    for pair in pairs:
        far, near = handlers.address(handler_name(pair)), 0
        if is_direct_branch(pair.second):
            near = handlers.address(handler_name(pair, is_near=True))
        found.setdefault(pair.second, []).append(Fusion(pair.link, far, near))
    return found
