"""Observers, judged by the real gdb: they see everything and change nothing."""

import program
import trio
from golden import make_target
from machine_target import MachineTarget

from gdbstub.observation import serve_observers
from gdbstub.packet import frame
from gdbstub.server import serve_listeners

PATIENCE = 60


async def ports(target: MachineTarget, nursery: trio.Nursery) -> tuple[int, int]:
    """Serve; return the holder's port and the observers'."""
    access = trio.Lock()
    numbers = []
    for serve in (serve_listeners, serve_observers):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(serve, listeners, target, access)
        numbers.append(listeners[0].socket.getsockname()[1])
    return numbers[0], numbers[1]


class Client:
    """A debugger that sends packets and reads whole replies, in no-ack mode."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.heard = b""

    async def send(self, body: bytes) -> None:
        await self.stream.send_all(frame(body))

    async def reply(self) -> bytes:
        while b"#" not in self.heard[:-2]:
            data = bytes(await self.stream.receive_some())
            assert data, self.heard
            self.heard += data
        end = self.heard.index(b"#")
        body, self.heard = self.heard[self.heard.index(b"$") + 1 : end], self.heard[end + 3 :]
        return body

    async def ask(self, body: bytes) -> bytes:
        await self.send(body)
        return await self.reply()


async def attach(port: int) -> Client:
    client = Client(await trio.open_tcp_stream("127.0.0.1", port))
    assert await client.ask(b"QStartNoAckMode") == b"OK"
    return client


def test_gdb_looks_and_does_not_touch() -> None:
    target = MachineTarget(program.load())
    before = bytes(target.machine.memory[min(target.machine.memory)])

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            _, window = await ports(target, nursery)
            output = await program.run_gdb(
                window,
                *("info registers pc", "x/i $pc", "info threads", "print table[1]", "bt"),
                *("set var table[0] = 5", "set var $r3 = 5", "stepi", "break fib", "continue"),
                *("monitor reset", "info registers pc", "detach"),
            )
            nursery.cancel_scope.cancel()
            return output

    output = trio.run(main)
    assert output.count("<main>") >= 3 and "cpu0" in output, output
    assert output.count("an observer only looks") >= 3, output
    assert target.resumed == 0 and not target.detached and not target.breakpoints
    assert bytes(target.machine.memory[min(target.machine.memory)]) == before


def test_two_observers_see_the_stops_of_the_holder() -> None:
    target = make_target()

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                port, window = await ports(target, nursery)
                holder, *observers = [await attach(number) for number in (port, window, window)]
                for observer in observers:
                    assert (await observer.ask(b"?")).startswith(b"T05")
                    await observer.send(b"vCont;c")
                stop = await holder.ask(b"vCont;s:1")
                for observer in observers:
                    assert await observer.reply() == stop
                    assert await observer.ask(b"g") == await holder.ask(b"g")
                for client in (holder, *observers):
                    await client.stream.aclose()
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert target.resumed == 1


def test_control_c_ends_an_observers_waiting_only() -> None:
    target = make_target()

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                _, window = await ports(target, nursery)
                observer = await attach(window)
                await observer.ask(b"?")
                await observer.send(b"c")
                await observer.stream.send_all(b"\x03")
                assert (await observer.reply()).startswith(b"T02")
                await observer.stream.aclose()
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert target.resumed == 0 and target.stopped is not None


def test_a_running_target_is_not_stopped_for_an_observer() -> None:
    target = make_target()
    target.stopped = None

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            _, window = await ports(target, nursery)
            output = await program.run_gdb(window, "info registers pc")
            nursery.cancel_scope.cancel()
            return output

    assert "the target runs: observe it when it stands still" in trio.run(main)
    assert target.stopped is None
