"""Looking out for bytes: the line and all clients with a descriptor, asked about in one system call.

The task that serves the line looks before each request: whatever clients have sent is brought in, and whoever
has left is found out, before the victim's next request is heard, so an answer is never behind what its client
did first. While the line is idle `attend` does the same for the clients alone.

A wait in trio costs several microseconds more than one in the kernel, as much as everything else that is done
for a request. `linger` is the cheap wait: it blocks the whole process, so it is short, and it is done only
when the victim has been quick to go on, and no task of this process has been woken (`hurry`).
"""

import select
from collections.abc import Callable

import trio

_CLIENT = select.EPOLLIN | select.EPOLLRDHUP
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

LINGER = 0.005
"""Seconds for which the line is waited for in the kernel; nothing else in the process runs meanwhile. A quick
victim takes some hundredth of it to go on. It is not shorter because the kernel's clock ticks every 4 ms: a
limit within the tick has a timer of its own set for it, and setting that costs more than the wait.
"""


class Lookout:
    """Which descriptors have something to be read. Close it in the end."""

    def __init__(self) -> None:
        self._all = select.epoll()
        self._clients = select.epoll()  # for a wait in trio, while the line waits for itself
        self.poll_clients = self._clients.poll
        """What `bring_in` is to bring in, for whom `look_at_clients` is one call too many."""
        self._bring: dict[int, Callable[[], bool]] = {}
        self._line = -1
        self._only_line = [(-1, select.EPOLLIN)]
        self.hurry = False
        """A task of this process has something to do, or waits for a client: do not linger this time."""

    def watch(self, descriptor: int, bring: Callable[[], bool]) -> None:
        """Call `bring` whenever a client's descriptor is readable, or its other side gone; harmless if we do
        already.

        Raises PermissionError for a plain file, which always is.
        """
        if descriptor in self._bring:
            return
        self._all.register(descriptor, _CLIENT)
        self._clients.register(descriptor, _CLIENT)
        self._bring[descriptor] = bring

    def ignore(self, descriptor: int) -> None:
        """No more of that; harmless if there was none."""
        if self._bring.pop(descriptor, None) is not None:
            self._all.unregister(descriptor)
            self._clients.unregister(descriptor)

    def watch_line(self, descriptor: int) -> None:
        """From now on `look` tells of this one."""
        self._all.register(descriptor, select.EPOLLIN)
        self._line = descriptor
        self._only_line = [(descriptor, select.EPOLLIN)]

    def ignore_line(self) -> None:
        """The line is gone, or about to be."""
        if self._line >= 0:
            self._all.unregister(self._line)
            self._line = -1

    def look(self) -> bool:
        """Bring in what clients have sent; whether there is something on the line."""
        ready = self._all.poll(0)
        if not ready:
            return False
        return ready == self._only_line or self.bring_in(ready)

    def look_at_clients(self) -> None:
        """Bring in what clients have sent."""
        self.bring_in(self._clients.poll(0))

    def bring_in(self, ready: list[tuple[int, int]]) -> bool:
        """Read from clients that have something; whether the line has as well."""
        has_line = False
        for descriptor, events in ready:
            if descriptor == self._line:
                has_line = True
            elif (bring := self._bring.get(descriptor)) and bring() and events & _GONE:
                while self._bring.get(descriptor) is bring and bring():
                    pass  # last words stand before the end, and both belong to this look
        return has_line

    def linger(self) -> bool:
        """As `look`, but wait for the line in the kernel, for a moment."""
        for _ in range(2):  # what wakes us may be a client, and the line be next
            ready = self._all.poll(LINGER)
            if not ready:
                return False
            if ready == self._only_line or self.bring_in(ready):
                return True
        return False

    async def attend(self) -> None:
        """Bring in what clients send, for ever."""
        clients = self._clients.fileno()
        while True:
            await trio.lowlevel.wait_readable(clients)
            self.look_at_clients()

    def close(self) -> None:
        """Look out no more."""
        trio.lowlevel.notify_closing(self._clients.fileno())
        self._clients.close()
        self._all.close()
