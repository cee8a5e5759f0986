"""One grammar for the names of streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwire.endpoints import (
    ChannelSpec,
    Connect,
    ConnectUnix,
    Control,
    Device,
    Endpoint,
    EndpointError,
    Exec,
    Foreign,
    Listen,
    ListenUnix,
    LogFile,
    Output,
    Pty,
    Rfc2217,
    Stdio,
    assign_channels,
    parse_channel,
    parse_endpoint,
)

NAMES: list[tuple[str, Endpoint]] = [
    ("localhost:2101", Connect("localhost", 2101)),
    ("[::1]:2101", Connect("::1", 2101)),
    ("listen:127.0.0.1:2101", Listen("127.0.0.1", 2101)),
    ("unix:/tmp/x:y", ConnectUnix("/tmp/x:y")),
    ("listen-unix:/tmp/x", ListenUnix("/tmp/x")),
    ("pty", Pty()),
    ("pty:/tmp/console", Pty("/tmp/console")),
    ("rfc2217://terminal.server:4001", Rfc2217("terminal.server", 4001)),
    ("/dev/serial/by-id/usb-A:B", Device("/dev/serial/by-id/usb-A:B")),
    ("stdio", Stdio()),
    ("control:/run/k42/mux#1", Control("/run/k42/mux", 1)),
]

CHANNELS: list[tuple[str, ChannelSpec]] = [
    ("2102", Listen("127.0.0.1", 2102)),
    ("0.0.0.0:2102", Listen("0.0.0.0", 2102)),
    ("stdout", Output(1)),
    ("stderr", Output(2)),
    ("stdin", Stdio()),
    ("log:/tmp/console.log", LogFile("/tmp/console.log")),
    ("log+time:x", LogFile("x", timestamps=True)),
    ("exec:simip 1 2", Exec("simip 1 2")),
    ("gdb:2103", Foreign("gdb", "2103")),
]


@pytest.mark.parametrize(("text", "endpoint"), NAMES)
def test_names_are_parsed_and_printed(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


def test_short_forms() -> None:
    assert parse_endpoint("listen:2101") == Listen("127.0.0.1", 2101)
    assert parse_endpoint(":2101") == Connect("127.0.0.1", 2101)
    assert parse_endpoint("control:/run/mux") == Control("/run/mux", 0)
    assert parse_endpoint("2101", listens=True) == Listen("127.0.0.1", 2101)
    assert parse_endpoint("2101", listens=True, bind="0.0.0.0") == Listen("0.0.0.0", 2101)


@pytest.mark.parametrize(("text", "spec"), CHANNELS)
def test_channels_have_more_forms(text: str, spec: ChannelSpec) -> None:
    assert parse_channel(text, ["gdb"]) == spec


def test_sets_of_eight_begin_at_a_colon() -> None:
    channels = assign_channels(["1", "2", ":", "3", ":", ":", "4"])
    assert {number: str(spec).rpartition(":")[2] for number, spec in channels.items()} == {
        0: "1",
        1: "2",
        8: "3",
        24: "4",
    }
    assert list(assign_channels(["1"] * 8 + [":", "2"])) == [*range(8), 16]
    assert len(assign_channels(["1"] * 95)) == 95


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2101", "names no port"),
        ("host:http", "no port number"),
        ("host:65536", "no port number"),
        ("host:", "no port number"),
        ("host:0", "no port number"),
        ("host..name:1", "no host name"),
        (64 * "x" + ":1", "no host name"),
        ("rfc2217://\udcff:1", "no host name"),
        ("host:" + 5000 * "9", "no port number"),
        ("control:/x#\u00b2", "channel number, 0 to 94"),
        ("control:/x#95", "channel number, 0 to 94"),
        ("", "names no port"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(EndpointError, match=message):
        parse_endpoint(text)


def test_lines_are_no_channels() -> None:
    with pytest.raises(EndpointError, match="cannot be a channel"):
        parse_channel("rfc2217://h:1")
    with pytest.raises(EndpointError, match="would be channel 95"):
        assign_channels(["1"] * 96)


@given(st.text())
def test_any_text_is_an_endpoint_or_the_one_error(text: str) -> None:
    for parse in (parse_endpoint, parse_channel):
        try:
            assert parse(text) is not None
        except EndpointError as error:
            assert "\n" not in str(error)
