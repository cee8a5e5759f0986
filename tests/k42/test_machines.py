"""k42.toml: what it may say, and what is said about what it may not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from gdbstub.stepping import Mode
from k42.errors import UserError
from k42.machines import Description, find_machine, read_machines, reset_by

COMPLETE = """
[machines.k1]
line = "/dev/serial/by-id/usb-FTDI-if00"
base = 3102
protocol = "3"
fixed_speed = 115200
symbols = "boot_image.dbg"
single_step_mode = "software"
reset_command = "outlet 7 cycle"

[machines.sim]
line = "localhost:2101"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A k42.toml in the current directory, and none of the user's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "k42.toml"


def test_every_key_is_read_and_all_but_the_line_have_defaults(file: Path) -> None:
    file.write_text(COMPLETE)
    k1 = find_machine("k1")
    assert k1 is not None
    assert k1.symbols == str(file.parent / "boot_image.dbg")
    assert (k1.base, k1.step_mode, k1.channels()[:2]) == (3102, Mode.SOFTWARE, ["3102", "gdb:3103"])
    assert k1.options().manners.fixed_speed
    assert find_machine("sim") == Description(line="localhost:2101")
    assert find_machine("k9") is None


def test_the_users_own_file_is_read_too(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config" / "k42").mkdir(parents=True)
    (tmp_path / "config" / "k42" / "k42.toml").write_text(COMPLETE)
    assert find_machine("sim") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[machines.a]\nbase = 1", "line"),
        ('[machines.a]\nline = "x:1"\nspeed = 9600', "unknown key 'speed'"),
        ('[machines.a]\nline = "x:1"\nbase = "2102"', "port number"),
        ('[machines.a]\nline = "x:1"\nbase = true', "port number"),
        ('[machines.a]\nline = "x:1"\nprotocol = "4"', "auto, 1, 2 or 3"),
        ('[machines.a]\nline = "x:1"\nfixed_speed = -1', "a speed"),
        ("[machine.a]\nline = 1", "unknown key 'machine'"),
        ("[machines", "k42.toml"),
    ],
)
def test_a_mistake_is_named_with_what_belongs_there(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        read_machines(file)


def test_the_reset_command_runs_and_its_failure_is_told() -> None:
    async def main() -> None:
        press, fail = reset_by("echo pressed"), reset_by("echo no power; exit 3")
        assert press is not None
        assert fail is not None
        assert await press() == "pressed"
        with pytest.raises(OSError, match="status 3: no power"):
            await fail()

    trio.run(main)
    assert reset_by(None) is None


def test_an_option_wins_over_the_file(
    k42: Path, free_ports: int, file: Path, command: Callable[..., AbstractAsyncContextManager]
) -> None:
    file.write_text(f'[machines.k1]\nline = "unix:{file.parent}/line"\nbase = 2102\n')

    async def main() -> None:
        async with command("up", "k1", "--no-console", "--base", str(free_ports)) as up:
            assert f":{free_ports + 1} " in await up.expect("gdb ")

    trio.run(main)
