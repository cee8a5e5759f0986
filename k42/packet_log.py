"""`--log FILE`: every packet to and from a gdb or a stub, in a file that `k42 rsp replay` plays again."""

from __future__ import annotations

import argparse
import logging
import os

from gdbstub.transcript import log
from k42.errors import UserError


def add_log_option(parser: argparse.ArgumentParser) -> None:
    """Declare it; `start_packet_log` carries it out."""
    parser.add_argument(
        "--log", metavar="FILE", help="write every gdb packet to FILE (`k42 rsp replay` plays it again)"
    )


def start_packet_log(path: str | None) -> None:
    """Append the packets of this process to `path` from now on.  Raises UserError."""
    if path is None:
        return
    try:
        handler = logging.FileHandler(path, encoding="ascii")
    except OSError as error:
        raise UserError(f"--log {path}: {os.strerror(error.errno or 0)}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%Y-%m-%dT%H:%M:%S"))
    # Who does not want them on the terminal as well (-vv) should not get them there.
    log.propagate = log.isEnabledFor(logging.DEBUG)
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
