"""What a laboratory does to a multiplexer in a year, as processes: a table of cases, played against each of
our commands.

The cases follow the faults of the original servers (docs/wire-protocol.md lists where we differ) and what
else a line, a client, a shell or a disk can do.  By default most cases run, each on one command and one kind
of line; `long` has the whole table.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cases_clients as clients
import cases_line as line
import cases_process as process
import cases_wire as wire
import pytest
from _pytest.mark import ParameterSet
from rig import FACES, Case, rigged

EVERY = tuple(FACES)
ORIGINALS = ("thinwire3", "thinwire", "thinwire2")
WITH_HANDSHAKE = ("thinwire3", "thinwire2", "mux")
TCP, UNIX, PTY = "tcp", "unix", "pty"
SOCKETS = (TCP, UNIX)
ANY = (TCP, UNIX, PTY)


@dataclass(frozen=True)
class Row:
    """A case, and where it makes sense."""

    name: str
    case: Case
    faces: tuple[str, ...] = EVERY
    lines: tuple[str, ...] = SOCKETS
    is_quick: bool = True


CASES = (
    Row("cut at random", wire.cut_at_random, lines=ANY),
    Row("byte by byte", wire.byte_by_byte, lines=ANY),
    Row("all at once", wire.all_at_once, lines=ANY, is_quick=False),
    Row("20 x 16 KiB", wire.twenty_of_the_largest, lines=ANY),
    Row("stray x", wire.stray(b"x"), lines=ANY),
    Row("stray NUL", wire.stray(b"\0"), lines=ANY),
    Row("stray NULs", wire.stray(b"\0" * 20), lines=ANY, is_quick=False),
    Row("kernel printf", wire.stray(b"panic #1: A0 is 0xdeadbeef!? S$ /dev/console\r\n"), lines=ANY),
    Row("gdb packet", wire.stray(b"$g#67"), lines=ANY),
    Row("path", wire.stray(b"/dev/console"), is_quick=False),
    Row("bytes above 127", wire.stray(bytes(range(128, 256))), lines=ANY, is_quick=False),
    Row("almost an end", wire.stray(b"$   x$$$$$    "[:9]), is_quick=False),
    Row("every stray byte", wire.every_single_stray_byte),
    Row("length beyond 16384", wire.length_beyond_the_largest, lines=ANY),
    Row("rejected header and exit", wire.rejected_header_hides_no_exit),
    Row("length below space", wire.length_bytes_below_space),
    Row("channel out of range", wire.channel_out_of_range),
    Row("unconfigured channel", wire.unconfigured_channel, lines=ANY),
    Row("skipped channel", wire.skipped_channel, is_quick=False),
    Row("select at 0..94", wire.select_at_every_base),
    Row("nibble select", wire.nibbles_show_every_channel),
    Row("lossy nibbles", wire.nibbles_as_the_original, is_quick=False),
    Row("reads of any size", wire.reads_of_any_size, is_quick=False),
    Row("speed request", wire.speed_request),
    Row("bad speed request", wire.speed_requests_that_are_none, is_quick=False),
    Row("speed request storm", wire.speed_request_storm, is_quick=False),
    Row("reads nobody waits for", wire.requests_nobody_waits_for),
    Row("garbage storm", wire.garbage_storm),
    Row("random storm", wire.random_storm),
    Row("storm of sentinels", wire.storm_of_sentinels, WITH_HANDSHAKE),
    Row("storm of announcements", wire.storm_of_announcements_in_payloads, WITH_HANDSHAKE, is_quick=False),
    Row("sentinel after NUL", wire.sentinel_behind(b"\0"), WITH_HANDSHAKE),
    Row("sentinel after star", wire.sentinel_behind(b"*"), WITH_HANDSHAKE, is_quick=False),
    Row("sentinel after a partial one", wire.sentinel_behind(b"\0**thin"), WITH_HANDSHAKE),
    Row(
        "sentinel of stars after a star",
        wire.sentinel_behind(b"*", b"***thinwire***"),
        WITH_HANDSHAKE,
        is_quick=False,
    ),
    Row(
        "mixed sentinel",
        wire.sentinel_behind(b"\0**thinwireX", b"\0**thinwire***"),
        WITH_HANDSHAKE,
        is_quick=False,
    ),
    Row(
        "sentinel after binary noise",
        wire.sentinel_behind(bytes(range(256)) * 9),
        WITH_HANDSHAKE,
        is_quick=False,
    ),
    Row("sentinel byte by byte", wire.sentinel_byte_by_byte, WITH_HANDSHAKE, ANY),
    Row("frames behind the sentinel", wire.frames_behind_the_sentinel_in_one_piece, WITH_HANDSHAKE),
    Row("typing before the handshake", wire.typing_before_the_handshake, WITH_HANDSHAKE, ANY),
    Row("long text before it", wire.long_text_before_the_handshake, WITH_HANDSHAKE, is_quick=False),
    Row("console leaves before it", wire.console_leaves_before_the_handshake, WITH_HANDSHAKE),
    Row(
        "nobody at the console",
        wire.nobody_at_the_console_before_the_handshake,
        WITH_HANDSHAKE,
        is_quick=False,
    ),
    Row("second handshake", wire.second_handshake, lines=ANY),
    Row("second handshake in a payload", wire.second_handshake_in_a_payload),
    Row("dump", wire.dump_is_text),
    Row("end", wire.end),
    Row("client replaced between writes", clients.replaced_between_writes, lines=ANY),
    Row("client typed and left", clients.typed_and_left),
    Row("RST while streaming", clients.reset_while_the_victim_streams, lines=ANY),
    Row("two writes after a close", clients.two_writes_after_the_client_left),
    Row("read on a closed client", clients.read_on_a_closed_client),
    Row("successor answers a read", clients.successor_answers_a_pending_read, is_quick=False),
    Row("absent client", clients.absent_client),
    Row("first words", clients.first_words_wait_for_the_first_client, is_quick=False),
    Row("pending read", clients.pending_read_on_a_silent_channel, lines=ANY),
    Row("slow reader", clients.slow_reader),
    Row("slow reader, acknowledged", clients.slow_reader_of_acknowledged_writes, is_quick=False),
    Row("second client", clients.second_client_of_a_protocol),
    Row("second console client", clients.second_client_of_the_console),
    Row("300 reconnects", clients.hundreds_of_reconnects),
    Row("2000 reconnects", partial(clients.hundreds_of_reconnects, turns=2000), is_quick=False),
    Row("500 silent reconnects", clients.reconnects_without_a_word),
    Row("half-closed client", clients.half_closed_client),
    Row("10 MB nobody reads", clients.client_floods_a_victim_that_never_reads),
    Row("out of descriptors", clients.more_clients_than_descriptors),
    Row("crowd that watches", clients.crowd_that_watches, is_quick=False),
    Row("observers", clients.observers_cannot_type),
    Row("rude first words", clients.rude_first_words, is_quick=False),
    Row("leaves while answered", clients.leaves_while_its_read_is_answered, is_quick=False),
    Row("unlucky crowd", clients.unlucky_crowd, is_quick=False),
    Row("victim comes back", line.victim_comes_back),
    Row("victim resets by RST", line.victim_reset_by_rst, lines=(TCP,), is_quick=False),
    Row("victim vanishes in mid-frame", line.victim_vanishes_in_mid_frame),
    Row("200 lives of the line", line.hundreds_of_lives),
    Row("victim hangs up at once", line.victim_hangs_up_at_once),
    Row("victim reads no answers", line.victim_does_not_read_its_answers),
    Row("victim comes later", line.victim_listens_later, lines=(TCP,)),
    Row("stream into nothing", line.streams_into_nothing, is_quick=False),
    Row("idle", line.idle_costs_nothing, lines=ANY),
    Row("raw device", line.on_a_terminal_the_device_is_raw, lines=(PTY,), is_quick=False),
    Row("unplugged device", line.unplugged_device, lines=(PTY,)),
    Row("no arguments", process.no_arguments),
    *(
        Row(f"refuses {' '.join(words)[:40]}", process.refused(*words), lines=(TCP,), is_quick=False)
        for words in (
            ("--no-such-option", "localhost:1", "2102"),
            ("localhost:1", "99999999"),
            ("localhost:notaport", "2102"),
            ("localhost:1", "pty:/no/such/directory/link"),
            ("localhost:1", "listen-unix:/no/such/directory/socket"),
            ("localhost:1", "listen-unix:" + "/x" * 100),
            ("localhost:1", "log:/no/such/directory/file"),
            ("localhost:1", "rfc2217://localhost:1"),
            ("localhost:1", *["127.0.0.1:0"] * 96),
            ("--capture", "/no/such/directory/file", "localhost:1", "127.0.0.1:0"),
            ("--control", "/no/such/directory/file", "localhost:1", "127.0.0.1:0"),
            ("localhost:1", "192.0.2.1:0"),
            ("--observe", "1", "localhost:1", "127.0.0.1:0"),
            ("--observe", "7=0", "localhost:1", "127.0.0.1:0"),
            ("--buffer", "-1", "localhost:1", "127.0.0.1:0"),
            ("--fixed-speed=-5", "localhost:1", "127.0.0.1:0"),
            ("--protocol", "4", "localhost:1", "127.0.0.1:0"),
        )
    ),
    Row("refuses what is no device", process.victims_that_are_none),
    Row("port in use", process.port_in_use),
    Row("long paths", process.long_paths),
    Row("SIGTERM", process.leaves_nothing(signal.SIGTERM)),
    Row("SIGINT", process.leaves_nothing(signal.SIGINT), is_quick=False),
    Row("SIGHUP", process.leaves_nothing(signal.SIGHUP), is_quick=False),
    Row("SIGTERM in mid-stream", process.ends_in_mid_stream, is_quick=False),
    Row("background of a script", process.started_in_the_background_of_a_script),
    Row("nohup", process.under_nohup),
    Row("SIGPIPE", process.pipe_signal, is_quick=False),
    Row("stdin closed", process.closed_at_start(0), is_quick=False),
    Row("stdout closed", process.closed_at_start(0, 1, 2)),
    Row("output pipe broken", process.output_pipe_broken),
    Row("messages nobody reads", process.messages_that_nobody_reads, ORIGINALS),
    Row("full disk", process.full_disk),
    Row("disk full from the start", process.disk_full_from_the_start, is_quick=False),
    Row("link in the way", process.link_in_the_way),
    Row("socket in the way", process.socket_in_the_way),
    Row("killed and started again", process.killed_and_started_again, is_quick=False),
    Row("input ended", process.input_ended),
    Row("bare surroundings", process.started_as_a_script_would, is_quick=False),
)


def plays() -> Iterator[ParameterSet]:
    """Every case on every command and line it is for. One of them is quick, mostly `thinwire3` on TCP."""
    for number, row in enumerate(CASES):
        every = [(face, kind) for face in row.faces for kind in row.lines]
        usual = ("thinwire3", row.lines[0])
        chosen = usual if number % 3 else every[number // 3 % len(every)]
        for play in every:
            marks = () if row.is_quick and play == chosen else (pytest.mark.long,)
            yield pytest.param(*play, row.case, marks=marks, id=f"{'-'.join(play)}-{row.name}")


@pytest.mark.parametrize(("face", "kind", "case"), list(plays()))
def test_it_is_survived(face: str, kind: str, case: Case, tmp_path: Path) -> None:
    with rigged(face, kind, tmp_path) as rig:
        case(rig)
