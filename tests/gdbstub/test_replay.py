"""Recorded sessions of the real gdb, played to our server and to gdb itself."""

import re
from pathlib import Path

import golden
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gdbstub.packet import INTERRUPT, frame
from gdbstub.replay import ClientPlayer, Difference, Exchange, ServerPlayer, read_conversations
from gdbstub.server import serve
from gdbstub.transcript import FROM_STUB, TO_STUB, escape
from k42.cli import main as k42
from k42.rsp import play_client

PATIENCE = 60


def read_session(name: str) -> list[Exchange]:
    with (golden.FOLDER / f"{name}.rsp").open() as file:
        return read_conversations(file)["gdb"]


@pytest.mark.parametrize("name", [*golden.SESSIONS, golden.LLDB])
def test_our_server_answers_gdb_as_it_did(name: str) -> None:
    player = ClientPlayer(read_session(name))
    target = golden.make_target()

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, theirs, target)
                await play_client(ours, player)
                await ours.aclose()

    trio.run(main)
    assert player.is_done and player.differences == []
    assert (target.detached, target.killed) == (name != "kill", name == "kill")
    assert not target.breakpoints


@pytest.mark.parametrize("name", ["breakpoint", "step", "watch"])
def test_a_recorded_session_is_server_enough_for_gdb(name: str, tmp_path: Path) -> None:
    async def main() -> str:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            player = ServerPlayer(read_session(name))

            async def answer(stream: trio.SocketStream) -> None:
                while data := await stream.receive_some():
                    await stream.send_all(player.receive(bytes(data)))

            nursery.start_soon(trio.serve_listeners, answer, listeners)
            port = listeners[0].socket.getsockname()[1]
            output = await golden.run_gdb(port, name)
            nursery.cancel_scope.cancel()
            assert player.unknown == []
            return output

    output = trio.run(main)
    expected = {"breakpoint": "#5 .* in main", "step": "62\tin program.c", "watch": "New value = 2"}[name]
    assert re.search(expected, output), output


body = st.binary(max_size=20)


@given(st.lists(st.tuples(body, st.lists(body, max_size=3)), max_size=6))
def test_what_is_written_is_read(talk: list[tuple[bytes, list[bytes]]]) -> None:
    lines = ["# a comment"]
    for request, answers in talk:
        lines += [f"gdb {TO_STUB} {escape(frame(request))}\t; a gloss", f"gdb {FROM_STUB} +"]
        lines += [f"2026-01-01T00:00:00.000 gdb {FROM_STUB} {escape(frame(answer))}" for answer in answers]
    expected = [Exchange(request, tuple(answers)) for request, answers in talk]
    assert read_conversations(lines).get("gdb", []) == expected


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.lists(body, max_size=2)), max_size=6))
def test_the_two_players_agree(talk: list[tuple[bytes, list[bytes]]]) -> None:
    exchanges = [Exchange(request, tuple(answers)) for request, answers in dict(talk).items()]
    client, server = ClientPlayer(exchanges), ServerPlayer(exchanges)
    while data := client.take_outgoing():
        client.receive(server.receive(data))
    assert client.is_done and client.differences == [] and server.unknown == []


def test_a_reply_that_differs_is_told() -> None:
    player = ClientPlayer([Exchange(b"?", (b"S05",)), Exchange(INTERRUPT, ())])
    player.receive(b"+" + frame(b"S02"))
    assert player.differences == [Difference(b"?", b"S05", b"S02")]
    assert str(player.differences[0]) == "to `?` was recorded `S05`, came `S02`"
    assert player.take_outgoing() == frame(b"?") + b"+" + INTERRUPT


def test_silence_is_told() -> None:
    player = ClientPlayer([Exchange(b"?", (b"S05",))])
    player.give_up()
    assert str(player.differences[0]) == "to `?` was recorded `S05`, came nothing"


def test_an_unknown_request_gets_the_empty_reply() -> None:
    player = ServerPlayer([Exchange(b"?", (b"S05",))])
    assert player.receive(frame(b"g")) == b"+" + frame(b"")
    assert player.unknown == [b"g"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nothing here\n", "no packets in it"),
        ("a -> $?#3f\nb -> $?#3f\n", "has the conversations a, b: choose one"),
    ],
)
def test_a_log_that_cannot_be_played(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    assert k42(["rsp", "replay", str(path), "--to", "127.0.0.1:1"]) == 2
    assert complaint in capsys.readouterr().err
