"""The options of a multiplexer and what they choose."""

import argparse
import math

import pytest

from thinwire.arguments import add_arguments, choose, separate
from thinwire.endpoints import Listen, ListenUnix
from thinwire.mux import Protocol, Rules
from thinwire.serial_line import Manners
from thinwire.server import Options


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(words)


def test_nothing_given_is_the_default() -> None:
    assert choose(parse()) == Options()


def test_every_option_has_its_place() -> None:
    words = (
        "--protocol 2 --assume-framed --empty-reads 50 --bug-compatible --fixed-speed=57600 --rts-toggle --hw"
    )
    words += (
        " --dtr keep --observe 0=2202 --observe 1=listen-unix:/tmp/x --when-full block --buffer 8 --history 4"
    )
    words += " --capture f --low-latency"
    assert choose(parse(*words.split())) == Options(
        rules=Rules(
            protocol=Protocol.V2,
            assume_framed=True,
            empty_reads=0.05,
            lossy_nibbles=True,
            patience=math.inf,
            output_limit=8192,
            history=4096,
        ),
        manners=Manners(57600, 57600, fixed_speed=True, rts_toggle=True, hardware=True, dtr=None),
        observe=((0, Listen("127.0.0.1", 2202)), (1, ListenUnix("/tmp/x"))),
        capture="f",
        low_latency=True,
    )


def test_the_commands_own_defaults() -> None:
    chosen = choose(parse(), protocol=Protocol.V3, speeds=(1200, 2400), replay=False, end_on_exit=True)
    assert chosen.rules.protocol is Protocol.V3
    assert (chosen.manners.first_speed, chosen.manners.second_speed) == (1200, 2400)
    assert chosen.end_on_exit and not chosen.replay
    assert choose(parse("--fixed-speed")).manners.fixed_speed


def test_version_one_has_the_second_speed_from_the_start() -> None:
    manners = choose(parse(), protocol=Protocol.V1, speeds=(1200, 2400)).manners
    assert (manners.first_speed, manners.second_speed) == (2400, 2400)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--observe", "2202"], "'2202' is not CHANNEL=PORT"),
        (["--observe", "95=2202"], "is not CHANNEL=PORT"),
        (["--observe", "0=pty"], "nothing to listen on"),
        (["--observe", "0=x"], "no port number"),
        (["--buffer", "much"], "'much' is no number of KiB"),
        (["--buffer", "\u00b2"], "'\u00b2' is no number of KiB"),
        (["--fixed-speed=1234567890"], "no number of bits a second"),
        (["--observe", "\u00b2=0"], "is not CHANNEL=PORT"),
        (["--empty-reads", "-1"], "no number of milliseconds"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=message):
        parse(*words)


def test_a_history_that_is_asked_for_is_shown_to_later_writers_too() -> None:
    assert not choose(parse(), replay=False).replay
    chosen = choose(parse("--history", "2"), replay=False)
    assert chosen.replay and chosen.rules.history == 2048


def test_a_fixed_speed_without_a_number_leaves_the_next_word_alone() -> None:
    assert separate(["--fixed-speed", "VICTIM", "2102"]) == ["--fixed-speed=0", "VICTIM", "2102"]
    assert separate(["--fixed-speed", "57600", "VICTIM"]) == ["--fixed-speed", "57600", "VICTIM"]
    assert separate(["VICTIM", "--fixed-speed"]) == ["VICTIM", "--fixed-speed=0"]
    assert separate([]) == []
    chosen = choose(parse(*separate(["--fixed-speed", "--hw"])))
    assert chosen.manners.fixed_speed and chosen.manners.first_speed == 9600
