"""Every option of every command given what it cannot be: one line that names it, status 2, nothing lost."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from k42.cli import build_parser, main

#: A command line with one mistake in it, and what the message must name.  FILE is a file, no ELF file;
#: KERNEL is one; OLD is a file that must not change.  `k1` is a machine of k42.toml.
MISTAKES = [
    ("up --machine vax", "--machine"),
    ("up --memory lots", "lots"),
    ("up --memory 99999999999999999999", "--memory"),
    ("up --memory 1T", "1T"),
    ("up --memory 4G", "3G"),
    ("up --engine diesel", "--engine"),
    ("up --time lunch", "--time"),
    ("up --raw zero FILE", "zero"),
    ("up --raw 0", "image"),
    ("up --raw 0 --entry x FILE", "--entry x"),
    ("up --raw 0 --entry 3 FILE", "multiple of 4"),
    ("up --entry 0x100", "--raw"),
    ("up ''", "is not a file"),
    ("up --base x", "--base"),
    ("up --base 1", "--base"),
    ("up --single-step-mode twice", "--single-step-mode"),
    ("up --observe nowhere --no-console", "nowhere"),
    ("up --log /", "--log /"),
    ("up k1 --machine hardware", "--machine"),
    ("up k1 --memory 128M", "--memory"),
    ("up k1 --engine auto", "--engine"),
    ("up k1 --time host", "--time"),
    ("up k1 --raw 0", "--raw"),
    ("up k1 --entry 0", "--entry"),
    ("up k2", "no ELF file"),
    ("emulate --machine vax", "--machine"),
    ("emulate --memory -1", "--memory"),
    ("emulate --engine diesel", "--engine"),
    ("emulate --time lunch", "--time"),
    ("emulate --raw -4 FILE", "-0x4"),
    ("emulate --raw 0x100000000 FILE", "--memory"),
    ("emulate --raw 0 --entry 0x100000000 FILE", "--entry"),
    ("emulate --line nowhere", "nowhere"),
    ("emulate --gdb nowhere", "nowhere"),
    ("emulate --gdb 0 --observe nowhere --line stdio", "nowhere"),
    ("emulate --observe 0", "--gdb"),
    ("emulate --halt", "--gdb"),
    ("emulate --log FILE", "--gdb"),
    ("emulate --gdb 0 --log /", "--log /"),
    ("emulate --console tty", "--console"),
    ("emulate --console stdio", "mambo or lpar"),
    ("emulate --console stdio --machine hardware", "mambo or lpar"),
    ("emulate --console stdio --machine lpar --line listen:0", "--line"),
    ("mux", "VICTIM"),
    ("mux nowhere 2102", "nowhere"),
    ("mux localhost:1 2102:", "2102:"),
    ("mux localhost:1 0 --protocol 9", "--protocol"),
    ("mux localhost:1 0 --empty-reads soon", "--empty-reads"),
    ("mux localhost:1 0 --fixed-speed=fast", "--fixed-speed"),
    ("mux localhost:1 0 --dtr maybe", "--dtr"),
    ("mux localhost:1 0 --observe 0", "--observe"),
    ("mux localhost:1 0 --when-full panic", "--when-full"),
    ("mux localhost:1 0 --buffer -1", "--buffer"),
    ("mux localhost:1 0 --history all", "--history"),
    ("mux localhost:1 0 --capture /", "/"),
    ("mux localhost:1 0 --bind 256.0.0.1", "256.0.0.1"),
    ("mux localhost:1 0 --control /nonexistent/folder/socket", "/nonexistent/folder/socket"),
    ("bridge localhost:1", "--listen"),
    ("bridge nowhere --listen 0", "nowhere"),
    ("bridge localhost:1 --listen nowhere", "nowhere"),
    ("bridge localhost:1 --listen 0 --stub tree", "--stub"),
    ("bridge localhost:1 --listen 0 --console nowhere", "nowhere"),
    ("bridge localhost:1 --listen 0 --stub k42 --console 0", "control:PATH#0"),
    ("bridge localhost:1 --listen 0 --stub k42 --break-in x", "--console"),
    ("bridge localhost:1 --listen 0 --kernel FILE", "no ELF file"),
    ("bridge localhost:1 --listen 0 --single-step-mode twice", "--single-step-mode"),
    ("bridge localhost:1 --listen 0 --observe nowhere", "nowhere"),
    ("bridge localhost:1 --listen 0 --log /", "--log /"),
    ("console nowhere", "k42.toml"),
    ("console ''", "k42.toml"),
    ("console localhost:1 --base 2102", "--base"),
    ("console --base 2102x", "--base"),
    ("console --take --observe", "--take"),
    ("console localhost:1 --observe", "control socket"),
    ("gdb nowhere", "k42.toml"),
    ("gdb ''", "k42.toml"),
    ("gdb localhost:1 --base 2102", "--base"),
    ("gdb --base 99999", "--base"),
    ("gdb localhost:1 --kernel FILE", "no ELF file"),
    ("trace record --out OLD --steps many", "--steps"),
    ("trace record --out OLD --steps 0", "--steps"),
    ("trace record --out OLD", "--steps"),
    ("trace record --steps 1", "--out"),
    ("trace record --out / --steps 1", "cannot write /"),
    ("trace record --out OLD --steps 1 --machine vax", "--machine"),
    ("trace record --out OLD --steps 1 --memory lots", "lots"),
    ("trace record --out OLD --steps 1 --engine diesel", "--engine"),
    ("trace record --out OLD --steps 1 --time host", "--time"),
    ("trace record --out OLD --steps 1 --raw zero FILE", "zero"),
    ("trace record --out OLD --steps 1 --raw 0 --entry zero FILE", "zero"),
    ("trace record --out OLD --steps 1 --from nosuch", "nosuch"),
    ("trace record --out OLD --steps 1 --from 0x", "--from 0x"),
    ("trace record --out OLD --steps 1 --from 0x10 --within 0.0001", "--within"),
    ("trace record --out OLD --steps 1 --within 5", "--from"),
    ("trace record --out OLD --steps 1 --from fib --within never", "--within"),
    ("trace record --out OLD --steps 1 --type x", "--from"),
    (r"trace record --out OLD --steps 1 --from fib --type '\x'", "--type"),
    (r"trace record --out OLD --steps 1 --from fib --type '\u20ac'", "--type"),
    ("trace record --out OLD --steps 1 --stub k42", "--remote"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --stub tree", "--stub"),
    ("trace record --out OLD --steps 1 --remote nowhere", "nowhere"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --memory 128M", "--memory"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --machine lpar", "--machine"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --engine auto", "--engine"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --raw 0", "--raw"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --type x", "--type"),
    ("trace record --out OLD --steps 1 --remote localhost:1 --from 0 --within 5", "--within"),
    ("trace show FILE", "not a trace"),
    ("trace show FILE --kernel FILE", "no ELF file"),
    ("trace show FILE --skip -1", "--skip"),
    ("trace show FILE --count some", "--count"),
    ("rsp replay FILE", "--to"),
    ("rsp replay FILE --to localhost:1 --as-server 0", "--as-server"),
    ("rsp replay FILE --to localhost:1", "no packets"),
    ("rsp replay LOG --to nowhere", "nowhere"),
    ("rsp replay LOG --as-server nowhere", "nowhere"),
    ("rsp replay LOG --to localhost:1 --conversation other", "--conversation"),
    ("status /nonexistent", "/nonexistent"),
    ("capture show FILE", "FILE"),
    ("capture replay FILE", "FILE"),
    ("capture replay FILE --to nowhere", "nowhere"),
    ("capture replay FILE --as-server", "--to"),
    ("doctor please", "please"),
    ("status -- x", "--"),
]

DESCRIBED = """
[machines.k1]
line = "localhost:1"

[machines.k2]
line = "localhost:1"
symbols = "FILE"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the files the mistakes name, and a home without any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "k42.toml").write_text(DESCRIBED)
    (tmp_path / "FILE").write_text("neither ELF nor trace nor recording\n")
    (tmp_path / "OLD").write_text("a trace that took a night\n")
    (tmp_path / "LOG").write_text("gdb-1 -> $?#3f\ngdb-1 <- $S05#b8\n")
    return tmp_path


@pytest.mark.parametrize(("command", "names"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_is_one_line_and_status_2(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, names: str
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    words = shlex.split(command)
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith(("k42: ", f"k42 {words[0]}"))
    assert names in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def options(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[str, ...]]:
    """Give the options that take a value, each behind the words of its command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from options(child, *words, name)
        elif action.option_strings and action.nargs != 0:
            yield (*words, action.option_strings[-1])


#: Any text will do for them.
UNCHECKED = {("up", "--break-in")}


@pytest.mark.parametrize("option", list(options(build_parser())), ids=" ".join)
def test_no_option_is_left_out(option: tuple[str, ...]) -> None:
    *command, name = option
    tried = [words for words, _ in MISTAKES if words.split()[: len(command)] == command]
    assert option in UNCHECKED or any(f" {name}" in words for words in tried)
