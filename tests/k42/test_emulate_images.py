"""`k42 emulate --raw`: a bare image prints all it has to say, and the command ends when the guest does."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

LAST = "li 3, 0x58; li 4, 0; li 5, 16; ld 6, text(0); ld 7, text + 8(0); sc 1"
#: Prints 4,800 characters through H_PUT_TERM_CHAR, which is more than fits into the call's registers.
PRINT = f"li 31, 300; 1: {LAST}; addic. 31, 31, -1; bne 1b"
WRITE = "li 3, 0; li 4, text; li 5, 16; li 6, 0; .long 0x000eaeb0"
TEXT = "twelve words + 1"


#: Runs a command and prints its peak of resident memory in KiB, last of all on standard error.
PEAK_OF_CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def image(directory: Path, code: str) -> Path:
    """Assemble an image that is entered at 0x100."""
    source, elf, flat = (directory / f"image.{kind}" for kind in ("S", "elf", "bin"))
    source.write_text(f'.org 0x100\n{code}\n.balign 8\n.globl text\ntext: .ascii "{TEXT}"\n')
    link = ["-nostdlib", "-static", "-Wl,-Ttext=0,-e,0,--build-id=none,--no-warn-rwx-segments"]
    subprocess.run(["powerpc64-linux-gnu-gcc", "-mcpu=970", *link, "-o", elf, source], check=True)
    subprocess.run(["powerpc64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", elf, flat], check=True)
    return flat


def emulate(path: Path, *options: str) -> list[str]:
    command = [sys.executable, "-c", "import sys; from k42.cli import main; sys.exit(main())", "emulate"]
    return [*command, "--raw", "0", "--entry", "0x100", *options, str(path)]


@pytest.mark.parametrize("end", ["b .", "sc 2; b ."])
def test_a_guest_that_waits_for_ever_ends_the_command(tmp_path: Path, end: str) -> None:
    path = image(tmp_path, f"{PRINT}; {end}")
    command = emulate(path, "--machine", "lpar", "--console", "stdio")
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.stdout.decode() == TEXT * 300
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rb"k42 emulate: .* for ever at pc 0x[0-9a-f]+\n", done.stderr), done.stderr


def test_the_last_words_of_a_guest_that_exits_are_shown(tmp_path: Path) -> None:
    path = image(
        tmp_path, f"li 31, 300; 1: {WRITE}; addic. 31, 31, -1; bne 1b; li 3, 31; li 4, 7; .long 0x000eaeb0"
    )
    command = emulate(path, "--machine", "mambo", "--console", "stdio")
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert (done.stdout.decode(), done.returncode) == (TEXT * 300, 7), done.stderr


def test_with_a_gdb_port_a_guest_that_waits_for_ever_can_be_looked_at(tmp_path: Path) -> None:
    command = emulate(
        image(tmp_path, "b ."), "--machine", "lpar", "--console", "stdio", "--gdb", "127.0.0.1:0"
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            match = re.search(rb"127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert match is not None
            with socket.create_connection(("127.0.0.1", int(match[1])), timeout=30) as gdb:
                gdb.sendall(b"+$?#3f")
                answer = b""
                while b"#" not in answer:
                    answer += gdb.recv(1000)
            # Asked why it stopped, a machine that runs stops, as by Ctrl-C (SIGINT).
            assert answer.startswith(b"+$T02"), answer
            assert process.poll() is None
        finally:
            process.kill()


def test_memory_of_the_process_is_what_the_guest_touches_and_little_more(tmp_path: Path) -> None:
    """64 MB of 1 GB are written, a page at a time: the process may have 64 MB more than 150 MB."""
    touch = "lis 4, 0x100; li 6, 0x4000; mtctr 6; 1: std 5, 0(4); addi 4, 4, 0x1000; bdnz 1b"
    path = image(tmp_path, f"{touch}; {LAST}; b .")
    command = emulate(path, "--machine", "lpar", "--console", "stdio", "--memory", "1G")
    # Once to fill the cache of compiled handlers: what the compiler needs is not asked about here.
    subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=True, timeout=60)
    # A process inherits the peak of the one that starts it, so a small one must do that.
    small = [sys.executable, "-S", "-c", PEAK_OF_CHILD, *command]
    done = subprocess.run(small, capture_output=True, stdin=subprocess.DEVNULL, check=True, timeout=60)
    assert done.stdout.decode() == TEXT
    assert int(done.stderr.split()[-1]) / 1024 < 64 + 150
