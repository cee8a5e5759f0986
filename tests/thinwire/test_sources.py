"""Where lines come from, one life at a time: what is said while they are not there, how they may be named."""

import errno
import logging
import os
import socket
import stat
from pathlib import Path

import pytest
import trio
import trio.abc

from thinwire.control import ControlError, ask_status
from thinwire.endpoints import Connect, ConnectUnix, Endpoint, ListenUnix, Rfc2217
from thinwire.line import LineError
from thinwire.sources import open_source
from thinwire.streams import open_streams

LONGEST = os.pathconf("/", "PC_NAME_MAX")


class Names(trio.abc.HostnameResolver):
    """A host of several addresses, whatever it is called; or what goes wrong instead."""

    def __init__(self, *hosts: str, error: OSError | None = None) -> None:
        self._hosts = hosts
        self._error = error

    async def getaddrinfo(  # type: ignore[override]
        self, host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[object]:
        await trio.lowlevel.checkpoint()
        if self._error:
            raise self._error
        return [found for name in self._hosts for found in socket.getaddrinfo(name, port, family, type)]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise AssertionError("nobody asks whose an address is")


class Said(logging.Handler):
    """Waits for the first message."""

    def __init__(self) -> None:
        super().__init__()
        self.message = ""
        self.came = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.message = record.getMessage()
        self.came.set()


def what_is_said_of(origin: Endpoint, names: Names) -> str:
    """The message with which a line that is not there is waited for."""

    async def main() -> str:
        said = Said()
        log = logging.getLogger("thinwire")
        log.addHandler(said)
        trio.socket.set_custom_hostname_resolver(names)
        try:
            with trio.fail_after(100):
                async with open_source(origin) as source, trio.open_nursery() as nursery:
                    nursery.start_soon(source.open)
                    await said.came.wait()
                    nursery.cancel_scope.cancel()
        finally:
            log.removeHandler(said)
        return said.message

    return trio.run(main)


@pytest.fixture
def closed_port() -> int:
    """One where nobody listens, on any address."""
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("kind", [Connect, Rfc2217])
def test_a_host_of_several_addresses_that_refuses_is_said_to_refuse_once(
    kind: type[Connect | Rfc2217], closed_port: int
) -> None:
    origin = kind("lab", closed_port)
    refused = os.strerror(errno.ECONNREFUSED)
    assert what_is_said_of(origin, Names("::1", "127.0.0.1")) == f"waiting for {origin}: {refused}"


def test_each_address_of_a_host_may_fail_in_its_own_way(closed_port: int) -> None:
    """As where IPv6 is not routed, and the lab's port is closed."""
    unreachable, refused = os.strerror(errno.ENETUNREACH), os.strerror(errno.ECONNREFUSED)
    names = Names("255.255.255.255", "127.0.0.1")  # nobody connects to a broadcast
    assert what_is_said_of(Connect("lab", closed_port), names).endswith(f": {unreachable}, {refused}")


def test_a_name_server_that_sleeps_is_waited_for_in_its_own_words() -> None:
    asleep = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    message = what_is_said_of(Connect("lab", 1), Names(error=asleep))
    assert message == "waiting for lab:1: Temporary failure in name resolution"


@pytest.mark.parametrize("length", [1, 91, 93, 107, 108, LONGEST])
@pytest.mark.parametrize("depth", [0, 1, 4])
def test_a_unix_socket_may_be_called_anything_that_a_file_may(
    length: int, depth: int, tmp_path: Path
) -> None:
    """Its address ends at 107 bytes (unix(7)); its name need not."""

    async def main() -> None:
        path = tmp_path.joinpath(*["d" * LONGEST] * depth, "s" * length)
        path.parent.mkdir(parents=True, exist_ok=True)
        with trio.fail_after(100):
            async with (
                open_source(ListenUnix(str(path))) as server,
                open_streams(ConnectUnix(str(path))) as (_, connect),
                await connect() as client,
            ):
                assert stat.S_ISSOCK(path.stat().st_mode)
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                with pytest.raises(LineError, match="in use|exists"):
                    async with open_source(ListenUnix(str(path))):
                        pass
                line = await server.open()
                line.push(b"hello")
                assert await client.receive_some() == b"hello"
                line.close()
                assert list(path.parent.iterdir()) == [path]
        assert not path.exists()

    trio.run(main)


def test_a_dead_socket_of_a_long_name_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / ("s" * LONGEST)

    async def listen() -> None:
        async with open_source(ListenUnix(str(path))):
            path.rename(tmp_path / "elsewhere")  # as if we had been killed: the file stays
        (tmp_path / "elsewhere").rename(path)
        async with open_source(ListenUnix(str(path))):
            pass
        path.write_text("precious")
        with pytest.raises(LineError, match="in use|exists"):
            async with open_source(ListenUnix(str(path))):
                pass
        assert path.read_text() == "precious"

    trio.run(listen)
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_no_file_can_have_is_refused_in_a_line(tmp_path: Path) -> None:
    path = str(tmp_path / ("s" * (LONGEST + 1)))

    async def main() -> None:
        with pytest.raises(LineError, match="File name too long"):
            async with open_source(ListenUnix(path)):
                pass
        with pytest.raises(ControlError, match="File name too long"):
            await ask_status(path)

    trio.run(main)
