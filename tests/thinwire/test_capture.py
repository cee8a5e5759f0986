"""Recordings: written, read back, opened by tshark, replayed."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import thinwire
from thinwire import capture
from thinwire.capture import CaptureError, Packet, Recorder, cut_off, describe, read, show
from thinwire.line import LineError
from thinwire.mux import Rules
from thinwire.replay import Divergence, replay_mux, replay_side
from thinwire.server import InProcess, Options, serve
from thinwire.victim import Victim

packets = st.builds(Packet, st.integers(0, 2**63), st.booleans(), st.booleans(), st.binary(max_size=40))


def written(recorded: list[Packet]) -> bytes:
    out = io.BytesIO()
    recorder = Recorder(out)
    for packet in recorded:
        recorder.write(packet)
    return out.getvalue()


@given(st.lists(packets))
def test_what_is_written_is_read(recorded: list[Packet]) -> None:
    assert list(read(written(recorded))) == recorded


@given(st.lists(packets, min_size=1), st.integers(0, 10**6))
def test_a_cut_off_recording_gives_what_there_is(recorded: list[Packet], cut: int) -> None:
    data = written(recorded)
    header = len(written([]))
    found = list(read(data[: header + cut % (len(data) - header)]))
    assert found == recorded[: len(found)]


@given(
    st.binary()
    | st.tuples(st.lists(packets).map(written), st.integers(8, 200), st.binary(max_size=4)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
    )
)
def test_garbage_gives_the_one_error(data: bytes) -> None:
    try:
        found = list(read(data))
    except CaptureError:
        return
    assert all(isinstance(packet, Packet) for packet in found)


async def record_a_session(path: Path) -> None:
    """A handshake, typing, a debugger's packet, a speed change, text between frames, a reset."""
    ours, its = trio.testing.memory_stream_pair()

    async def line() -> trio.abc.Stream:
        return its

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            options = Options(capture=str(path))
            server = await nursery.start(serve, line, {0: InProcess(), 1: InProcess()}, options)
            console, gdb = server.attach(0), server.attach(1)
            victim = Victim(ours)
            await victim.say(b"firmware\r\n")
            await console.receive_some()
            await console.send_all(b"boot\n")
            assert await ours.receive_some() == b"boot\n\r"
            await victim.start()
            await victim.write(0, b"hello\n")
            await gdb.send_all(b"$g#67")
            assert await victim.select(0) == {1}
            assert await victim.read(1, 2046) == b"$g#67"
            await victim.say(b"printk")
            await victim.set_speed(115200)
            await victim.say(b"0  *!half")
            await victim.start()
            await console.send_all(b"x")
            assert await victim.read(0) == b"x"
            await victim.print("no answer")
            await victim.select(8)
            nursery.cancel_scope.cancel()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "session.pcapng"
    trio.run(record_a_session, path)
    return path


def test_a_session_reads_like_a_conversation(recording: Path) -> None:
    found = list(read(recording.read_bytes()))
    lines = [line[13:] for line in show(str(recording))]
    assert lines[:2] == ["> text 10 bytes 'firmware\\r\\n'", "< text 6 bytes 'boot\\n\\r'"]
    assert "> write 0 6 bytes 'hello\\n'" in lines
    assert lines[lines.index("> select 0") :][:4] == [
        "> select 0",
        "< ready from 0: 00000002",
        "> read 1 up to 2046",
        "< data 1 5 bytes '$g#67'",
    ]
    assert lines.count("< speed 115200") == 2
    assert "> text 6 bytes 'printk'" in lines
    assert "> write unacked 0 9 bytes 'no answer'" in lines
    whole = b"".join(packet.data for packet in found if not packet.to_victim)
    assert b"0  *!half" in whole


def dissected(path: Path) -> list[list[str]]:
    """Direction, kind, channel and length of every packet, as tshark has them from our dissector."""
    script = Path(thinwire.__file__).with_name("thinwire.lua")
    fields = [f"-ethinwire.{name}" for name in ("direction", "kind", "channel", "length")]
    done = subprocess.run(
        ["tshark", "-X", f"lua_script:{script}", "-r", path, "-T", "fields", *fields],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_opens_it_and_our_dissector_names_the_frames(recording: Path) -> None:
    rows = dissected(recording)
    assert len(rows) == len(list(read(recording.read_bytes())))
    assert ["0", "write", "0", "6"] in rows and ["1", "written", "0", "6"] in rows
    assert ["0", "read", "1", "2046"] in rows and ["1", "data", "1", "5"] in rows
    assert ["1", "speed", "0", "6"] in rows and ["1", "ready", "8", "4"] in rows


def test_a_recording_drives_the_multiplexer_again(recording: Path) -> None:
    found = list(read(recording.read_bytes()))
    assert replay_mux(found) is None
    answers = [number for number, packet in enumerate(found) if packet.to_victim and packet.is_frame]
    place = answers[1]
    changed = Packet(0, True, True, found[place].data[:-1] + b"?")
    divergence = replay_mux([*found[:place], changed, *found[place + 1 :]])
    assert divergence is not None and divergence.packet == place
    assert str(divergence).startswith(f"packet {place}: recorded ")


def test_a_recording_plays_either_side(recording: Path) -> None:
    found = list(read(recording.read_bytes()))

    async def main() -> None:
        with trio.fail_after(20):
            ours, its = trio.testing.memory_stream_pair()
            results: list[Divergence | None] = []

            async def play(stream: trio.abc.Stream, as_victim: bool) -> None:
                results.append(await replay_side(stream, found, as_victim=as_victim))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(play, ours, True)
                nursery.start_soon(play, its, False)
            assert results == [None, None]

    trio.run(main)


def test_a_recording_drives_a_live_victim() -> None:
    """The bug report is replayed against the victim; a victim that says something else is found out."""

    async def main() -> None:
        with trio.fail_after(20):
            for honest in (True, False):
                ours, its = trio.testing.memory_stream_pair()
                recorded = [
                    Packet(0, False, True, b"A  !!"),
                    Packet(1, True, True, b"1  !!x"),
                    Packet(2, False, True, b"0  !!" + (b"x" if honest else b"y")),
                    Packet(3, True, True, b"A  !!"),
                ]

                async def live(stream: trio.abc.Stream) -> None:
                    victim = Victim(stream)
                    await victim.write(1, await victim.read(1, 1))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(live, ours)
                    divergence = await replay_side(its, recorded, as_victim=False)
                    assert (divergence is None) is honest
                    nursery.cancel_scope.cancel()

    trio.run(main)


SECOND = 10**9
ASKED, ANSWERED = Packet(SECOND, False, True, b"!    "), Packet(SECOND, True, True, b"!  $ \0\0\0\1")
TYPED = Packet(0, True, False, b"boot\n\r")


@pytest.mark.parametrize(
    ("recorded", "live", "heard"),
    [
        ([ASKED, ANSWERED], b"", b""),  # a server that holds its answer
        ([ASKED, ANSWERED], ANSWERED.data[:7], ANSWERED.data[:7]),
        ([ASKED, ANSWERED], b"?????", b"?????"),
        ([ASKED, ANSWERED], ANSWERED.data, None),
        ([TYPED, ASKED, ANSWERED], ANSWERED.data, None),  # nobody types to the firmware this time
        ([TYPED, ASKED, ANSWERED], TYPED.data + ANSWERED.data, None),
        ([TYPED, ASKED, ANSWERED], TYPED.data[:3], TYPED.data[:3]),
        ([TYPED, ASKED, ANSWERED], TYPED.data[:3] + ANSWERED.data, TYPED.data[:3] + ANSWERED.data),
    ],
)
def test_a_live_server_is_waited_for_only_so_long(
    recorded: list[Packet], live: bytes, heard: bytes | None
) -> None:
    """A read may be held for ever now, because nobody types what somebody typed then."""

    async def main() -> Divergence | None:
        ours, its = trio.testing.memory_stream_pair()
        await its.send_all(live)
        return await replay_side(ours, recorded, as_victim=True)

    divergence = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert divergence == (None if heard is None else Divergence(len(recorded) - 1, ANSWERED.data, heard))


def test_a_live_victim_has_the_time_it_took_then() -> None:
    recorded = [Packet(0, False, True, b"!    "), Packet(0, True, True, b"!  $ \0\0\0\0")]
    recorded.append(Packet(3600 * SECOND, False, True, b"$    "))

    async def main() -> Divergence | None:
        ours, its = trio.testing.memory_stream_pair()

        async def live() -> None:
            await its.send_all(recorded[0].data)
            await trio.sleep(3600)
            await its.send_all(recorded[2].data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            return await replay_side(ours, recorded, as_victim=False)

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) is None


def test_rules_belong_to_the_replay() -> None:
    recorded = [Packet(0, False, True, b"?    "), Packet(0, True, True, b"?  (         ")]
    assert replay_mux(recorded, Rules(assume_framed=True)) is None
    assert replay_mux(recorded) is None, "a line that begins with a frame is framed"
    assert replay_mux(recorded, Rules()) is not None


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no pcapng file"):
        list(read(b"\x7fELF and so on and on"))


@given(st.lists(packets))
def test_any_recording_is_described_and_replayed_without_an_error(recorded: list[Packet]) -> None:
    for packet in recorded:
        assert describe(packet, 0)
    answer = replay_mux(recorded)
    assert answer is None or str(answer)


@given(st.lists(packets, min_size=1), st.integers(1, 20))
def test_a_cut_is_found_where_it_is(recorded: list[Packet], cut: int) -> None:
    data = written(recorded)
    assert cut_off(data) is None
    start = cut_off(data[:-cut])
    assert start is not None
    assert list(read(data[:start])) == recorded[:-1] == list(read(data[:-cut]))


def test_a_file_that_takes_no_more_ends_the_recording_with_a_whole_packet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Disk(io.BytesIO):
        room = 300

        def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
            taken = bytes(data)[: max(0, self.room - self.tell())]
            if not taken:
                raise OSError(errno.ENOSPC, "full")
            return super().write(taken)

    disk = Disk()
    recorder = Recorder(disk)
    for number in range(10):
        recorder.write(Packet(number, False, True, b"0  !!x"))
    assert cut_off(disk.getvalue()) is None
    assert 1 < len(list(read(disk.getvalue()))) < 10
    assert recorder.catch_up()
    assert [record.message for record in caplog.records] == [
        "the recording ends here: " + os.strerror(errno.ENOSPC)
    ]


def test_a_pipe_that_is_read_slowly_gets_whole_packets_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Pipe(io.BytesIO):
        room = 1000

        def write(self, data: bytes | memoryview, /) -> int | None:  # type: ignore[override]
            taken = bytes(data)[: self.room]
            self.room -= len(taken)
            return super().write(taken) if taken else None

    monkeypatch.setattr(capture, "LATE", 500)
    pipe = Pipe()
    recorder = Recorder(pipe)
    for number in range(100):
        recorder.write(Packet(number, False, True, b"0  !!x"))
    assert len(pipe.getvalue()) == 1000
    pipe.room = 100_000
    assert recorder.catch_up()
    recorder.write(Packet(100, False, True, b"0  !!x"))
    times = [packet.time for packet in read(pipe.getvalue())]
    assert times[:-1] == list(range(len(times) - 1)) and times[-1] == 100
    assert 15 < len(times) < 60
    assert [record.message for record in caplog.records] == [
        "the recording has a gap: its reader is too slow"
    ]


def test_a_recording_is_read_while_it_is_made(tmp_path: Path) -> None:
    """As Wireshark does it, through a pipe with a name; while it looks away the victim goes on."""
    path = tmp_path / "live"
    os.mkfifo(path)

    async def main() -> None:
        with trio.fail_after(30):
            ours, its = trio.testing.memory_stream_pair()

            async def line() -> trio.abc.Stream:
                return its

            options = Options(Rules(assume_framed=True), capture=str(path))
            with pytest.raises(LineError, match="live: nobody reads this pipe yet"):
                await serve(line, {1: InProcess()}, options)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            async with trio.open_nursery() as nursery, trio.lowlevel.FdStream(reader) as pipe:
                await nursery.start(serve, line, {1: InProcess()}, options)
                victim = Victim(ours)
                for _ in range(40):
                    await victim.write(1, bytes(10_000))
                data = b""
                while len(list(read(data))) < 80 if data else True:
                    data += bytes(await pipe.receive_some())
                assert sum(len(packet.data) for packet in read(data)) == 40 * (10_005 + 5)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_commands_recording_opens_in_tshark_and_replays(tmp_path: Path) -> None:
    """As a user does it: `thinwire --capture`, framed from the first byte, then tshark with our dissector."""
    path = tmp_path / "v1.pcapng"

    async def main() -> None:
        with trio.fail_after(60):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            place = f"localhost:{listener.socket.getsockname()[1]}"
            command = [Path(sys.executable).with_name("thinwire"), "--capture", path, place, "127.0.0.1:0"]
            process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL)
            async with listener, await listener.accept() as stream:
                victim = Victim(stream)
                await victim.write(0, b"hello")
                await victim.select(8)
                await victim.say(b"printk")
                assert await victim.read(5, 0) == b""
                await victim.set_speed(115200)
                await victim.exit()
                assert await process.wait() == 255

    trio.run(main)
    rows = dissected(path)
    assert rows[:4] == [
        ["0", "write", "0", "5"],
        ["1", "written", "0", "5"],
        ["0", "select", "8", "0"],
        ["1", "ready", "8", "4"],
    ]
    assert ["0", "end", "0", "0"] in rows and ["1", "data", "5", "0"] in rows
    assert rows.count(["1", "speed", "0", "6"]) == 2
    assert replay_mux(list(read(path.read_bytes()))) is None
