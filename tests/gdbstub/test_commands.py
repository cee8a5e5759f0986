"""The command table: every row parses what it formats, and no body of any kind makes it raise."""

import dataclasses
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub import commands
from gdbstub.commands import Malformed, Unknown, format, parse
from gdbstub.syntax import BreakpointExtras, Syntax
from gdbstub.target import Action, ActionKind

number = st.integers(0, 2**64 - 1)
expressions = st.lists(st.binary(min_size=1, max_size=5), max_size=3).map(tuple)
threads = st.none() | st.integers(1, 2**31)
actions = st.one_of(
    st.builds(Action, st.sampled_from([ActionKind.CONTINUE, ActionKind.STEP]), threads, st.integers(0, 255)),
    st.builds(Action, st.just(ActionKind.RANGE_STEP), threads, range=st.builds(range, number, number)),
    st.just("t"),
)
# What each kind of field may hold, where its Python type alone does not say it.
FIELDS: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("Resume", "actions"): st.lists(actions, min_size=1, max_size=4).map(tuple),
    ("InsertBreakpoint", "extras"): st.builds(BreakpointExtras, expressions, st.just(())),
    ("SelectThread", "operation"): st.sampled_from("gcGC"),
    ("SelectThread", "thread"): st.integers(-1, 2**31),
    ("ReadObject", "object"): st.text(alphabet="abc-", max_size=8),
    ("ReadObject", "annex"): st.text(alphabet="abc./", max_size=8),
    ("FileOther", "operation"): st.sampled_from(["unlink:2f", "readlink:2f"]),
}
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: number,
    int | None: st.none() | number,
    bytes: st.binary(max_size=40),
    str: st.text(alphabet="abc;:,+=", max_size=20),
}


def field_of(row: Syntax[Any], name: str, type_: Any) -> st.SearchStrategy[Any]:
    if (row.make.__name__, name) in FIELDS:
        return FIELDS[row.make.__name__, name]
    return st.integers(0, 255) if name == "signal" else BY_TYPE[type_]


def command_of(row: Syntax[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(row.make)
    names = [field.name for field in dataclasses.fields(row.make)]
    return st.builds(row.make, **{name: field_of(row, name, hints[name]) for name in names})


@pytest.mark.parametrize("row", commands.TABLE, ids=lambda row: row.make.__name__)
@given(data=st.data())
def test_parse_undoes_format(row: Syntax[Any], data: st.DataObject) -> None:
    command = data.draw(command_of(row))
    assert parse(format(command)) == command


@given(
    st.binary(max_size=60)
    | st.sampled_from([row.name for row in commands.TABLE]).flatmap(
        lambda name: st.binary(max_size=30).map(lambda rest: name + rest)
    )
)
def test_any_body_parses_to_something(body: bytes) -> None:
    command = parse(body)
    if isinstance(command, Unknown | Malformed):
        assert format(command) == body


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (b"?", commands.QueryStop()),
        (b"mdeadBEEF,4", commands.ReadMemory(0xDEADBEEF, 4)),
        (b"X10,0:", commands.WriteBinary(0x10, 0, b"")),
        (b"X10,3:\n;:", commands.WriteBinary(0x10, 3, b"\n;:")),
        (b"c", commands.Continue(None)),
        (b"c100", commands.Continue(0x100)),
        (b"C05;100", commands.ContinueWithSignalAt(5, 0x100)),
        (b"Hgp0.0", commands.SelectThread("g", 0)),
        (b"Hc-1", commands.SelectThread("c", -1)),
        (b"Hgp1.-1", commands.SelectThread("g", -1)),
        (b"Tp1.2", commands.IsThreadAlive(2)),
        (b"D;1", commands.Detach("1")),
        (b"qC", commands.CurrentThread()),
        (b"vCont;s:1;c", commands.Resume((Action(ActionKind.STEP, 1), Action()))),
        (b"vCont;s:0", commands.Resume((Action(ActionKind.STEP),))),
        (b"vCont;r100,120:p1.1", commands.Resume((Action(ActionKind.RANGE_STEP, 1, range=range(256, 288)),))),
        (b"vCont;C0f;c", commands.Resume((Action(signal=15), Action()))),
        (b"Z0,100,4;X3,220127", commands.InsertBreakpoint(0, 256, 4, BreakpointExtras((b"\x22\x01\x27",)))),
        (
            b"Z0,100,4;X1,27X1,27;cmds:1,X2,2227",
            commands.InsertBreakpoint(0, 256, 4, BreakpointExtras((b"'", b"'"), (b"\x22\x27",), True)),
        ),
        (b"vFile:open:2f61,0,1c0", commands.FileOpen(b"/a", 0, 0x1C0)),
        (b"m", Malformed(b"m")),
        (b"m12", Malformed(b"m12")),
        (b"m-1,4", Malformed(b"m-1,4")),
        (b"m11112222333344445,4", Malformed(b"m11112222333344445,4")),
        (b"G0", Malformed(b"G0")),
        (b"M0,1:0g", Malformed(b"M0,1:0g")),
        (b"vCont;", Malformed(b"vCont;")),
        (b"vCont;x", Malformed(b"vCont;x")),
        (b"vCont;r1", Malformed(b"vCont;r1")),
        (b"Z0,100,4;X9,22", Malformed(b"Z0,100,4;X9,22")),
        (b"vMustReplyEmpty", Unknown(b"vMustReplyEmpty")),
        (b"qCatch", Unknown(b"qCatch")),
        (b"", Unknown(b"")),
    ],
)
def test_literal_packets(body: bytes, command: object) -> None:
    assert parse(body) == command
