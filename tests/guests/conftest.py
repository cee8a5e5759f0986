"""mini, started on every machine there is: our own emulator, and QEMU, which judges guest and emulator."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import qemu_board
from driven_guest import Guest
from machine_line import MachineLine, machine_with_mini

from emulator.config import MachineKind
from emulator.guests import MINI

MACHINES = ("qemu", *(kind.value for kind in MachineKind))


@dataclass
class QemuLine:
    """QEMU runs by itself; its UART is the other end of a socket."""

    connection: socket.socket

    def exchange(self, data: bytes) -> bytes:
        self.connection.sendall(data)
        try:
            return self.connection.recv(65536)
        except TimeoutError:
            return b""


@contextmanager
def running_on_qemu(scratch: Path, parameters: dict[str, str]) -> Iterator[Guest]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scratch / "wire"))
        listener.listen(1)
        listener.settimeout(20)
        with qemu_board.running(MINI, scratch, scratch / "wire", parameters):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(0.02)
                yield Guest(QemuLine(connection), patience=1000)


@contextmanager
def running(machine: str, scratch: Path, parameters: dict[str, str] | None = None) -> Iterator[Guest]:
    """A guest on one of MACHINES, not yet booted; it runs until the context ends."""
    if machine == "qemu":
        with running_on_qemu(scratch, parameters or {}) as guest:
            yield guest
    else:
        yield Guest(MachineLine(machine_with_mini(MachineKind(machine), parameters)))


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    """The name of each machine in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def shared(machine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A booted guest for the tests of a module that leave it at its prompt."""
    with running(machine, tmp_path_factory.mktemp("shared")) as guest:
        guest.boot()
        yield guest


@pytest.fixture
def guest(machine: str, tmp_path: Path) -> Iterator[Guest]:
    """A booted guest for one test."""
    with running(machine, tmp_path) as fresh:
        fresh.boot()
        yield fresh


@pytest.fixture
def stopped(guest: Guest) -> Guest:
    """A guest of one test's own at its first stop, in breakpoint()."""
    guest.stop()
    return guest


@pytest.fixture(scope="module")
def held(machine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest at its first stop for the tests of a module that leave it there."""
    with running(machine, tmp_path_factory.mktemp("held")) as guest:
        guest.boot()
        guest.stop()
        yield guest


@pytest.fixture
def early(machine: str, tmp_path: Path) -> Iterator[Guest]:
    """A guest, not yet booted, whose kernel parameters ask for a breakpoint before anything else."""
    parameters = {"K42_NUMB": "3", "K42_EARLY_BREAKPOINT": "1", "K42_LATER": "x"}
    with running(machine, tmp_path, parameters) as guest:
        yield guest
