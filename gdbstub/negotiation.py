"""What a client finds out about a stub before it uses it.

`identify` tells what kind of stub it is, when nobody said so, by what it answers.  `negotiate` is for stubs
that follow the manual (`Quirks.negotiates`): qSupported, no-ack mode, the target description.  What they find
is data for `client`.
"""

from __future__ import annotations

import dataclasses
import errno
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gdbstub import commands, replies
from gdbstub.link import Link
from gdbstub.quirks import K42, KNOWN_BY_ANSWER, PLAIN, SUPPORTED, Quirks
from gdbstub.registers import Description, Feature, Register
from gdbstub.target import TargetError, TargetLost

# A description longer than this is no description.
MAX_DOCUMENT = 1 << 20
CHUNK = 0xFF0

# XInclude, of which gdb takes exactly one element; it does not ask for the namespace, and QEMU does not
# declare it.
INCLUDE = "xi-include"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a stub can do.  `features` are the names it announced."""

    features: frozenset[str]
    packet_size: int
    description: Description


async def identify(link: Link, block_size: Callable[[], Awaitable[int]]) -> Quirks:
    """Return what kind of stub has answered for the first time; `block_size` asks for its `g` block.

    Raises TargetError, Silence.
    """
    for question, row in KNOWN_BY_ANSWER:
        answer = await link.ask(commands.format(question))
        if answer and answer[:1] != b"E":
            return row
    # Whatever knows none of these but has registers like K42's has to be treated as gently.
    try:
        return K42 if await block_size() == K42.default.g_size else PLAIN
    except TargetLost:
        raise
    except TargetError:
        return PLAIN


async def negotiate(link: Link, quirks: Quirks) -> Findings:
    """Ask the stub at the other end of `link`.  Raises TargetError, Silence."""
    body = await link.ask(commands.format(SUPPORTED))
    text = body.decode("latin-1") if body[:1] != b"E" else ""
    features = replies.parse_features(text)
    sizes = [item[len("PacketSize=") :] for item in text.split(";") if item.startswith("PacketSize=")]
    packet_size = int(sizes[0], 16) if sizes else quirks.max_command
    if "QStartNoAckMode" in features and await link.ask(b"QStartNoAckMode") == replies.OK:
        link.dialogue.is_acknowledging = False
    description = quirks.default
    if "qXfer:features:read" in features:
        description = cut(await _fetch_description(link), len(await link.ask(b"g")) // 2)
    return Findings(features, packet_size, description)


async def _fetch_description(link: Link) -> Description:
    root = _parse(await _fetch(link, "target.xml"))
    elements: list[ET.Element] = []
    for element in root:
        if element.tag == INCLUDE:
            elements.append(_parse(await _fetch(link, element.get("href", ""))))
        else:
            elements.append(element)
    architecture = root.findtext("architecture") or "powerpc:common64"
    return describe(architecture, [element for element in elements if element.tag == "feature"])


def _parse(document: bytes) -> ET.Element:
    try:
        return ET.fromstring(document.replace(b"<xi:include", b"<" + INCLUDE.encode()))
    except ET.ParseError as problem:
        raise TargetError(errno.EPROTO, f"the stub's description is no XML: {problem}") from None


def describe(architecture: str, features: list[ET.Element]) -> Description:
    """Return the description that the `feature` elements of a document make.  Raises TargetError.

    Numbers that are not given follow the last one (GDB manual, "Registers" in "Target Description Format").
    All registers count as part of the `g` block.  A name used twice, as QEMU does for the 970, is told apart
    by its number; a number used twice is nonsense.
    """
    number = 0
    names: set[str] = set()
    parsed = []
    for feature in features:
        registers = []
        for element in feature.iter("reg"):
            number = _attribute(element, "regnum", number)
            bits = _attribute(element, "bitsize", 64)
            name = element.get("name", "")
            if name in names:
                name = f"{name}_{number}"
            names.add(name)
            registers.append(Register(number, name, bits, element.get("type", "int")))
            number += 1
        parsed.append(Feature(feature.get("name", ""), tuple(registers)))
    try:
        return Description(architecture, tuple(parsed), pc="pc", sp="r1")
    except ValueError as problem:
        raise TargetError(errno.EPROTO, f"the stub's description: {problem}") from None


def _attribute(element: ET.Element, name: str, default: int) -> int:
    try:
        return int(element.get(name, default))
    except ValueError:
        raise TargetError(
            errno.EPROTO, f"the stub's description: {name} of a register is {element.get(name)!r}"
        ) from None


def cut(description: Description, size: int) -> Description:
    """Return the description of a stub whose `g` block has `size` bytes: what lies behind is read singly."""
    inside = {name for name, span in description.spans.items() if span.stop <= size}
    features = tuple(
        dataclasses.replace(
            feature,
            registers=tuple(
                dataclasses.replace(register, in_g=register.name in inside) for register in feature.registers
            ),
        )
        for feature in description.features
    )
    return dataclasses.replace(description, features=features)


async def _fetch(link: Link, annex: str) -> bytes:
    """Return a document of the `features` object.  Raises TargetError."""
    document = b""
    while len(document) < MAX_DOCUMENT:
        request = commands.ReadObject("features", annex, len(document), CHUNK)
        body = await link.ask(commands.format(request))
        if body[:1] not in (b"l", b"m"):
            break
        document += body[1:]
        if body[:1] == b"l":
            return document
    raise TargetError(errno.EPROTO, f"the stub does not give its description {annex}")
