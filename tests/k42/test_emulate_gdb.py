"""`k42 emulate --gdb ... --halt`: bare programs under the real gdb, one server after or beside the other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import trio

from gdbstub.packet import Decoder, Nak, Packet

Command = Callable[..., AbstractAsyncContextManager[Any]]

#: Stops with a checkstop: there is no memory so far up, and a bare program is entered with MSR[ME] off.
LOST = ".globl _start; _start: li 3, -0x1000; before: lwz 4, 0(3); after: li 5, 7; b ."


def program(directory: Path, code: str, at: int = 0x10000) -> Path:
    """Assemble a bare program of one segment."""
    source, elf = directory / "program.S", directory / "program.elf"
    source.write_text(f"{code}\n")
    link = ["-nostdlib", "-static", f"-Wl,-Ttext={at:#x},--build-id=none,--no-warn-rwx-segments"]
    subprocess.run(["powerpc64-linux-gnu-gcc", "-g", "-mcpu=970", *link, "-o", elf, source], check=True)
    return elf


async def gdb(elf: Path, place: str, *commands: str) -> str:
    """Run gdb on `elf`, connected to `place`; return what it says, errors included."""
    arguments = ["gdb-multiarch", "-nx", "-batch", "-ex", f"target remote {place}"]
    for command in commands:
        arguments += ["-ex", command]
    with trio.fail_after(60):
        done = await trio.run_process(
            [*arguments, str(elf)], capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    return done.stdout.decode()


def gdb_place(said: str) -> str:
    """Return what to type after `target remote`."""
    found = re.search(r"target remote (\S+)", said)
    assert found is not None
    return found[1]


def test_a_checkstop_is_a_stop_that_a_debugger_can_mend(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, LOST)

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            place = gdb_place(await emulate.expect("line "))
            said = await gdb(elf, place, "continue", "info symbol $pc", "stepi", "detach")
            assert said.count("SIGBUS") == 2 and "before in section" in said
            # The emulator has not ended, and the next gdb finds the machine as it was.
            said = await gdb(elf, place, "set $r3 = 0x10000", "stepi", "info symbol $pc", "p/x $r4")
            assert "after in section" in said and "$1 = 0x3860f000" in said

    trio.run(main)


def test_a_second_machine_finds_a_place_for_its_line(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, LOST)

    async def main() -> None:
        options = ("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf))
        async with command(*options) as first, command(*options) as second:
            places = [re.findall(r"line +(\S+)", await each.expect("line ")) for each in (first, second)]
            assert places[0] != places[1] and all(places)

    trio.run(main)


#: An illegal instruction, whose handler goes on behind it; the first pass does not count.
TWICE_ILLEGAL = """
    .org 0x700; mfsrr0 3; addi 3, 3, 4; mtsrr0 3; addi 10, 10, 1; rfid
    .org 0x1000; .globl _start; _start: li 10, 0; first: .long 0; second: .long 0; done: b .
"""


def test_an_exception_is_caught_when_it_is_taken(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, TWICE_ILLEGAL, at=0)

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            place = gdb_place(await emulate.expect("line "))
            look = ("p/x $pc", "info symbol $srr0", "p $r10")
            catch = ("monitor catch", "monitor catch 0x701", "monitor catch Program")
            said = await gdb(
                elf, place, *catch, "monitor catch data-storage", "break *&done", *3 * ("continue", *look)
            )
            assert "no exception is caught" in said and "there is no exception 0x701" in said
            assert "catches data-storage (0x300)\ncatches program (0x700)" in said
            assert said.count("SIGILL") == 2 and said.count("= 0x700") == 2
            assert re.search(r"first in .*= 0\n.*SIGILL.*second in .*= 1\n.*Breakpoint 1.*= 2\n", said, re.S)
            # gdb lets the machine go when it ends, and with it what it was to catch.
            said = await gdb(elf, place, "monitor catch", "monitor reset", "break *&done", "continue")
            assert "no exception is caught" in said and "SIGILL" not in said

    trio.run(main)


def test_a_step_into_an_exception_that_is_caught(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, TWICE_ILLEGAL, at=0)

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            place = gdb_place(await emulate.expect("line "))
            steps = ("stepi", "stepi", "p/x $pc", "monitor catch off", "stepi", "p/x $pc")
            said = await gdb(elf, place, "monitor catch program", *steps)
            assert "$1 = 0x700" in said and "$2 = 0x704" in said

    trio.run(main)


#: A decrementer that is due after some instructions, in the middle of a loop.
SOON_DUE = """
    .org 0x900; lis 3, 0x7fff; mtdec 3; rfid
    .org 0x1000; .globl _start; _start: li 4, 3; mtdec 4; mfmsr 5; ori 5, 5, 0x8000; mtmsrd 5
    loop: addi 6, 6, 1; b loop
"""


def test_an_interrupt_that_comes_while_stepping_is_caught(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, SOON_DUE, at=0)

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            place = gdb_place(await emulate.expect("line "))
            said = await gdb(
                elf, place, "monitor catch decrementer", "stepi 100", "p/x $pc", "p/x $srr0 & ~15"
            )
            assert "SIGEMT" in said and "$1 = 0x900" in said and "$2 = 0x1010" in said, said
            # Served out of sight, when nobody asked for it.
            said = await gdb(elf, place, "monitor reset", "stepi 100", "p/x (long)$pc & ~15")
            assert "SIGEMT" not in said and "$1 = 0x1010" in said, said

    trio.run(main)


def test_a_hardware_breakpoint_where_no_instruction_begins_is_never_hit(
    tmp_path: Path, command: Command
) -> None:
    elf = program(tmp_path, ".globl _start; _start: li 3, 1; second: li 3, 2; third: li 3, 3; b .")

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            place = gdb_place(await emulate.expect("line "))
            odd = ("hbreak *((char *)&second + 1)", "stepi 2", "info symbol $pc", "delete")
            # A trap word would go to a wrong place there: that one is refused.
            said = await gdb(elf, place, *odd, "break *((char *)&second + 1)", "stepi")
            assert "third in section" in said and said.count("no instruction begins at 0x10005") == 1, said

    trio.run(main)


#: What no client should send: each is owed one reply all the same, and what comes after it an answer.
NONSENSE = [
    b"bs", b"bc", b"b", b"\x00", b"\xff" * 50, b"G00", b"p", b"pffffffffffffffffff", b"P40=", b"P1=0011",
    b"m0,ffffffffffffffff", b"mffffffffffffffff,ffffffff", b"m-1,4", b"x0,ffffffff", b"X0,4:}}}", b"X0,0:}",
    b"M0,ffffffff:", b"m1* ,4", b"vCont", b"vCont;", b"vCont;x", b"vCont;C", b"Sff;", b"Z9,0,0",
    b"Z2,0,ffffffffffffffff", b"Z2,0,0", b"Z0,100,4;Xffffffff,22", b"Z0,100,4;X3,ffffff", b"z7,0,4",
    b"Hcffffffffffffffffffffff", b"T99999999999999999999", b"qRcmd,zz", b"qRcmd,", b"qRcmd," + b"ff" * 300,
    b"qRcmd,6361746368203078", b"qXfer:features:read:../../etc/passwd:0,100", b"qCRC:0,ffffffffffffffff",
    b"qXfer:features:read:target.xml:ffffffffffffffff,10", b"qSearch:memory:0;ffffffffffffffff;x",
    b"vFile:open:2f6574632f706173737764,0,0", b"vFile:pread:3,ffffffffffff,0", b"vFile:close:ffffffffff",
    b"QTinit", b"QTDP:1:0:E:0:0-", b"qTStatus", b"QNonStop:1", b"jThreadsInfo", b"vAttach;", b"vKill;",
]  # fmt: skip


async def ask(stream: trio.abc.Stream, body: bytes) -> bytes:
    """Send `body` as it is, with its checksum; return the reply, without what is to be printed before it, or
    the `-` that asks for the packet once more.
    """
    await stream.send_all(b"$%b#%02x" % (body, sum(body) & 0xFF))
    decoder = Decoder()
    with trio.fail_after(30):
        while data := await stream.receive_some():
            for event in decoder.feed(bytes(data)):
                if isinstance(event, Nak):
                    return b"-"
                if isinstance(event, Packet) and not (event.body[:1] == b"O" and event.body != b"OK"):
                    return event.body
    return b"(closed)"


def test_nonsense_is_answered_and_changes_nothing(tmp_path: Path, command: Command) -> None:
    elf = program(tmp_path, LOST)

    async def main() -> None:
        async with command("emulate", "--gdb", "127.0.0.1:0", "--halt", str(elf)) as emulate:
            host, _, port = gdb_place(await emulate.expect("line ")).partition(":")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                state = await ask(stream, b"g")
                for body in NONSENSE:
                    reply = await ask(stream, body)
                    assert reply != b"(closed)" and len(reply) < 1 << 18, body
                    assert await ask(stream, b"QNonsense") == b"", body
                assert await ask(stream, b"g") == state

    trio.run(main)
