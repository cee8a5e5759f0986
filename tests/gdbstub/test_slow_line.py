"""What gdb asks for in one packet must be answered before it gives up, however slow the line to the stub."""

import program
import trio
import trio.testing
from k42_stub import K42Stub

from gdbstub.client import connect
from gdbstub.packet import Decoder, Packet, frame
from gdbstub.quirks import K42
from gdbstub.server import serve


def answers(*questions: bytes) -> list[bytes]:
    """Ask the server in front of a stopped K42 stub."""
    replies: list[bytes] = []

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        client, server = trio.testing.memory_stream_pair()
        stub = K42Stub(program.load())
        stub.press_key()
        stub.attach(theirs)
        decoder = Decoder()
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stub.run)
                async with connect(ours, K42) as target:
                    nursery.start_soon(serve, server, target)
                    for question in questions:
                        await client.send_all(frame(question))
                        while len(replies) <= questions.index(question):
                            events = decoder.feed(bytes(await client.receive_some()))
                            replies.extend(event.body for event in events if isinstance(event, Packet))
                    await client.aclose()
                nursery.cancel_scope.cancel()

    trio.run(main)
    return replies


def test_a_packet_asks_for_no_more_than_the_line_carries_in_time() -> None:
    place = program.symbols()["main"]
    supported, memory = answers(b"qSupported", b"m%x,10000" % place)
    assert b"PacketSize=800;" in supported
    assert 0 < len(memory) <= 0x800


def test_what_would_read_much_is_left_to_gdb() -> None:
    place = program.symbols()["main"]
    assert answers(b"qCRC:%x,400" % place, b"qSearch:memory:%x;400;\x01" % place) == [b"", b""]


def test_what_cannot_be_restarted_says_so() -> None:
    assert answers(b"!", b"vRun;") == [b"OK", b"E5f"]
