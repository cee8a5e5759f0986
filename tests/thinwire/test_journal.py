"""Messages: bounded, and nobody who does not read them stops the wire."""

import logging
import os

import pytest

from thinwire.journal import BURST, PAUSE, Handler, Journal, Throttle


def record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("thinwire", level, "", 0, message, (), None)


def test_a_kind_of_message_is_said_some_times_and_then_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("thinwire.journal.time.monotonic", lambda: now)
    throttle = Throttle()
    assert sum(throttle.filter(record("again")) for _ in range(1000)) == BURST
    assert throttle.filter(record("another kind"))
    assert all(throttle.filter(record("detail", logging.DEBUG)) for _ in range(1000))
    now += PAUSE
    late = record("again")
    assert throttle.filter(late)
    assert late.msg == f"again ({1000 - BURST} more like it)"
    assert not throttle.filter(record("again"))
    now += PAUSE * BURST * 2
    assert sum(throttle.filter(record("again")) for _ in range(1000)) == BURST


def test_kinds_are_not_collected_without_limit() -> None:
    throttle = Throttle()
    assert all(throttle.filter(record(f"kind {number}")) for number in range(10_000))
    assert len(throttle._last) < 1000


def test_a_full_pipe_loses_lines_and_says_how_many() -> None:
    read_end, write_end = os.pipe()
    journal = Journal(write_end)
    line = "x" * 999 + "\n"
    for _ in range(200):
        journal.write(line)
    seen = b""
    while len(seen) < 60_000:
        seen += os.read(read_end, 65_536)
    journal.write("the end\n")
    seen += os.read(read_end, 65_536)
    text = seen.decode()
    whole = text.count(line)
    assert 60 <= whole < 100
    assert f"[{200 - whole} lines are missing: nobody read them]\nthe end\n" in text
    os.close(read_end)
    journal.write("nobody will ever read this\n")
    os.close(write_end)


def test_log_records_go_to_it() -> None:
    read_end, write_end = os.pipe()
    handler = Handler(Journal(write_end))
    handler.setFormatter(logging.Formatter("k42: %(message)s"))
    handler.handle(record("hello"))
    assert os.read(read_end, 100) == b"k42: hello\n"
    os.close(read_end)
    os.close(write_end)
