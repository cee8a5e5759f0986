"""A `k42 up` in a process of its own, on ports of its own, for tests that use it as a person would."""

import random
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from k42.console_session import Console, open_console
from k42.ports import LOOPBACK, Ports

K42 = Path(sys.executable).with_name("k42")
BOOT_SECONDS = 90


@dataclass
class Running:
    """What a test needs of a running `k42 up`; `said` is what it printed at its start."""

    ports: Ports
    process: trio.Process
    said: str

    async def console(self) -> Console:
        """Connect to the console."""
        return await open_console(LOOPBACK, self.ports.console)


def free_base() -> int:
    """Return a base whose ports can be listened on, below those the system hands out by itself."""
    while True:
        base = random.randrange(3002, 30000, 20)
        if all(_is_free(base + offset) for offset in range(-1, 11)):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def _running_up(*arguments: str) -> AsyncIterator[Running]:
    ports = Ports(free_base())
    command = [str(K42), "up", "--no-console", "--base", str(ports.base), *arguments]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = ""
    try:
        with trio.fail_after(BOOT_SECONDS):
            while not re.search(rf"\b{ports.emulator_gdb}\b", said):
                chunk = await process.stdout.receive_some()
                assert chunk, f"k42 up ended: {said}"
                said += chunk.decode()
        yield Running(ports, process, said)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


@dataclass
class Spoken:
    """A command that runs, and what it prints."""

    process: trio.Process
    said: str = ""

    async def expect(self, text: str) -> str:
        """Wait until `text` has been printed with a whole line; return everything printed so far."""
        assert self.process.stdout is not None
        with trio.fail_after(BOOT_SECONDS):
            while text not in self.said or not self.said.endswith("\n"):
                chunk = await self.process.stdout.receive_some()
                assert chunk, f"it ended: {self.said}"
                self.said += chunk.decode()
        return self.said


@asynccontextmanager
async def _command(*arguments: str) -> AsyncIterator[Spoken]:
    process = await trio.lowlevel.open_process(
        [str(K42), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Spoken(process)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.fixture
def command() -> Callable[..., AbstractAsyncContextManager[Spoken]]:
    """`async with command("mux", ...) as mux:`"""
    return _command


@pytest.fixture
def k42() -> Path:
    """The command itself."""
    return K42


@pytest.fixture
def free_ports() -> int:
    """A base port for a test's own use."""
    return free_base()


@pytest.fixture
def running_up() -> Callable[..., AbstractAsyncContextManager[Running]]:
    """`async with running_up() as up:`"""
    return _running_up
