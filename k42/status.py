"""`k42 status`: what runs here and where it listens, asked over the control sockets."""

from __future__ import annotations

import argparse
import json
import sys

import trio

from k42.subcommand import add_subcommand
from thinwire import lifetime
from thinwire.control import ControlError, ask_status, describe, find

ANSWER_SECONDS = 2.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_subcommand(
        subparsers, "status", "what runs here and where it listens", "k42 status", "k42 status --json"
    )
    parser.add_argument(
        "control", nargs="*", metavar="PATH", help="control sockets to ask (default: all of yours)"
    )
    parser.add_argument("--json", action="store_true", help="as a JSON object, by control socket")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what each multiplexer says of itself; status 1 when none runs."""
    answers = lifetime.run(_ask_all, arguments.control)
    if arguments.json:
        print(json.dumps(answers, indent=2))
    else:
        for path, status in answers.items():
            print(f"{path}\n{describe(status)}")
        if not answers:
            print("nothing answers here: `k42 up` or `k42 mux` would")
    return 0 if answers else 1


async def _ask_all(paths: list[str]) -> dict[str, dict[str, object]]:
    """Ask the named control sockets, or all that answer.  Raises ControlError if nobody is at a named one."""
    answers = {}
    for path in paths or find():
        try:
            with trio.fail_after(ANSWER_SECONDS):
                answers[path] = await ask_status(path)
        except ControlError:
            # What a process left behind when it was killed is nobody's error.
            if paths:
                raise
        except trio.TooSlowError:
            print(f"{path} does not answer; is its process stopped or very busy?", file=sys.stderr)
    return answers
