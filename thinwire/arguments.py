"""The options of a multiplexer, for every command that runs one: their names, their help, what they make.

`add_arguments` adds them to a parser, `choose` makes `Options` of what was given. Both faces, `thinwire` and
`k42 mux`, take all of them.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from typing import NoReturn

from thinwire.endpoints import LOOPBACK, EndpointError, Listen, ListenUnix, is_number, parse_endpoint
from thinwire.frames import CHANNELS
from thinwire.mux import Protocol, Rules
from thinwire.serial_line import Manners
from thinwire.server import Options

WHEN_FULL = {"drop-oldest": Rules().patience, "block": math.inf}


_MOST = 10**9 - 1
"""Larger numbers are mistakes, and more than the system takes for a speed."""


class Parser(argparse.ArgumentParser):
    """Names a mistake in one line; the usage is what --help is for."""

    def error(self, message: str) -> NoReturn:
        """See argparse: exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` tells more\n")


def separate(words: Sequence[str]) -> list[str]:
    """The words of a command line with `--fixed-speed` cut off from a next word that is no speed: argparse
    would give it VICTIM.
    """
    following = [*words[1:], ""]
    return [
        f"{word}=0" if word == "--fixed-speed" and not after.isdigit() else word
        for word, after in zip(words, following, strict=False)
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `choose` understands."""
    protocol = parser.add_argument_group("protocol")
    protocol.add_argument(
        "--protocol",
        choices=[version.value for version in Protocol],
        help="version of the wire protocol; auto is text until the sentinel, then frames",
    )
    protocol.add_argument(
        "--assume-framed",
        action="store_true",
        help="the target is framed already (a kernel that restarts without a sentinel)",
    )
    protocol.add_argument(
        "--empty-reads",
        type=_milliseconds,
        metavar="MS",
        help="answer a read without data after so long with nothing, instead of holding the answer",
    )
    protocol.add_argument(
        "--bug-compatible", action="store_true", help="answer '?' in the original's lossy form"
    )
    serial = parser.add_argument_group("serial lines")
    serial.add_argument(
        "--fixed-speed",
        nargs="?",
        type=_speed,
        const=0,
        metavar="N",
        help="never change the line's speed [from N bits a second]",
    )
    serial.add_argument(
        "--rts-toggle", action="store_true", help="drop RTS while busy, as the original servers do"
    )
    serial.add_argument("--hw", action="store_true", help="wait for CTS before every write")
    serial.add_argument("--dtr", choices=["on", "off", "keep"], default="on", help="DTR when the line opens")
    channels = parser.add_argument_group("channels")
    channels.add_argument(
        "--observe",
        action="append",
        default=[],
        type=_observed,
        metavar="CH=PORT",
        help="a further port where channel CH can be seen and nothing typed; may be repeated",
    )
    channels.add_argument(
        "--when-full",
        choices=list(WHEN_FULL),
        default="drop-oldest",
        help="what a channel does whose client does not read (default %(default)s)",
    )
    channels.add_argument(
        "--buffer",
        type=_kibibytes,
        default=Rules().output_limit,
        metavar="KIB",
        help="output kept for a client",
    )
    channels.add_argument(
        "--history",
        type=_kibibytes,
        metavar="KIB",
        help="output shown again to whoever joins late",
    )
    parser.add_argument(
        "--capture", metavar="FILE", help="record every frame to a pcapng file for Wireshark and replay"
    )
    parser.add_argument(
        "--low-latency", action="store_true", help="spend CPU time on quicker answers while the line is busy"
    )
    channels.add_argument(
        "--bind",
        default=LOOPBACK,
        metavar="HOST",
        help="address that bare ports listen on (default %(default)s; 0.0.0.0 opens them to the network)",
    )


def choose(
    arguments: argparse.Namespace,
    *,
    protocol: Protocol = Protocol.AUTO,
    speeds: tuple[int, int] = (Manners().first_speed, Manners().second_speed),
    replay: bool = True,
    end_on_exit: bool = False,
) -> Options:
    """The options that were given; the keywords are the defaults of the command."""
    first, second = speeds
    chosen = Protocol(arguments.protocol) if arguments.protocol else protocol
    if chosen is Protocol.V1:
        first = second  # there is no handshake after which to change
    if arguments.fixed_speed:
        first = second = arguments.fixed_speed
    return Options(
        rules=Rules(
            protocol=chosen,
            assume_framed=arguments.assume_framed,
            lossy_nibbles=arguments.bug_compatible,
            output_limit=arguments.buffer,
            history=Rules().history if arguments.history is None else arguments.history,
            patience=WHEN_FULL[arguments.when_full],
            empty_reads=arguments.empty_reads,
        ),
        manners=Manners(
            first_speed=first,
            second_speed=second,
            fixed_speed=arguments.fixed_speed is not None,
            rts_toggle=arguments.rts_toggle,
            hardware=arguments.hw,
            dtr={"on": True, "off": False, "keep": None}[arguments.dtr],
        ),
        observe=tuple(arguments.observe),
        capture=arguments.capture,
        low_latency=arguments.low_latency,
        replay=replay or arguments.history is not None,
        end_on_exit=end_on_exit,
    )


def warn_if_open(program: str, bind: str) -> None:
    """Say so if the channels can be reached from elsewhere."""
    if bind not in (LOOPBACK, "localhost", "::1"):
        print(f"{program}: warning: anybody who can reach {bind} can use the channels", file=sys.stderr)


def _observed(text: str) -> tuple[int, Listen | ListenUnix]:
    number, equals, place = text.partition("=")
    if not equals or not is_number(number, CHANNELS - 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not CHANNEL=PORT, such as 0=2202")
    try:
        endpoint = parse_endpoint(place, listens=True)
    except EndpointError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not isinstance(endpoint, Listen | ListenUnix):
        raise argparse.ArgumentTypeError(f"{place!r} is nothing to listen on; write PORT or listen-unix:PATH")
    return int(number), endpoint


def _milliseconds(text: str) -> float:
    return _number(text, "milliseconds") / 1000


def _kibibytes(text: str) -> int:
    return _number(text, "KiB") * 1024


def _speed(text: str) -> int:
    return _number(text, "bits a second")


def _number(text: str, unit: str) -> int:
    if not is_number(text, _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of {unit}")
    return int(text)
