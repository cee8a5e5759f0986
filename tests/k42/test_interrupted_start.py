"""Ctrl-C at any moment of a command's start: it ends, and no traceback is seen.

The interpreter tells of each module that it has imported (PYTHONPROFILEIMPORTTIME): these are the moments.
What comes before our first module is the interpreter's own start, and its own traceback.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = {
    "help": ("k42", "--help"),
    "mux": ("k42", "mux", "stdio", "-"),
    "trace": ("k42", "trace", "record", "--steps", "3", "--out", "trace"),
    "thinwire3": ("thinwire", "stdio", "-"),
}
INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)
"""Ended by the signal, or by ourselves as if it had been."""


def start(package: str, *words: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command as its console script does."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; from {package}.__main__ import main; sys.exit(main())", *words],
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)} | environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted_at(moment: int, command: str, folder: Path) -> tuple[bool, int, str]:
    """Start the command and interrupt it when so many modules have been imported behind its own first one;
    returns whether that moment came, the status, and what was said.
    """
    package, *words = COMMANDS[command]
    process = start(package, *words, folder=folder, PYTHONPROFILEIMPORTTIME="1")
    said, imported = "", -1
    with process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.close()
        for line in process.stderr:
            if not line.startswith("import time:"):
                said += line
            elif imported >= 0:
                imported += 1
            elif line.rstrip().endswith(f"{package}.__main__"):
                imported = 0
            if imported == moment:
                process.send_signal(signal.SIGINT)
    assert imported > 0
    return imported >= moment, process.returncode, said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("step", [149, pytest.param(5, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_ctrl_c_while_a_command_starts_is_quiet(command: str, step: int, tmp_path: Path) -> None:
    moment = 1
    while True:
        came, status, said = interrupted_at(moment, command, tmp_path)
        assert "Traceback" not in said, (moment, said)
        if not came:
            break
        assert status in INTERRUPTED or status == 0, (moment, status, said)
        moment += step
    assert status == 0
    assert moment > 100  # there were some


@pytest.mark.parametrize(
    ("package", "status", "words"), [("k42", 130, ["mux"]), ("thinwire", 0, ["--control", "control"])]
)
def test_ctrl_c_while_it_works_has_it_clean_up(
    package: str, status: int, words: list[str], tmp_path: Path
) -> None:
    process = start(package, *words, "stdio", "stderr", "pty:link", folder=tmp_path)
    with process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write("the console shows this\n")
        process.stdin.flush()
        while "the console shows this" not in process.stderr.readline():
            assert process.poll() is None
        assert (tmp_path / "link").is_symlink()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == status
    assert "Traceback" not in said
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
