"""Cases about the process: its arguments, its descriptors, its end."""

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from rig import ANNOUNCEMENT, PATIENCE, SENTINEL, Case, Rig, Wire, ack, tell, write

from thinwire.capture import read


def no_arguments(rig: Rig) -> None:
    rig.over = True
    assert "VICTIM" in rig.fails()


def refused(*words: str) -> Case:
    """A case: these arguments are a mistake, named in one line."""

    def case(rig: Rig) -> None:
        rig.over = True
        rig.fails(*words)

    return case


def victims_that_are_none(rig: Rig) -> None:
    rig.over = True
    for victim in ("/dev/null", "/etc/passwd", "/", "listen:192.0.2.1:0"):
        rig.fails(victim, "127.0.0.1:0")


def port_in_use(rig: Rig) -> None:
    rig.over = True
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert port in rig.fails("localhost:1", port)


def long_paths(rig: Rig) -> None:
    """A Unix socket's address ends at 107 bytes; the paths of ours do not."""
    deep = rig.folder / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    os.chdir(deep)  # the only way to bind there with the system's own call
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("victim")
    listener.listen(1)
    listener.settimeout(PATIENCE)
    os.chdir(rig.folder)
    with listener:
        rig.launch(victim=f"{deep}/victim", specs=("127.0.0.1:0", f"listen-unix:{deep}/client"), accept=False)
        rig.line = Wire(listener.accept()[0].detach())
        rig.stack.callback(rig.line.close)
        rig.shake_hands()
        rig.in_step()
        assert stat.S_IMODE((deep / "client").stat().st_mode) == 0o600
    rig.end()
    assert list(deep.iterdir()) == [deep / "victim"]


def leaves_nothing(number: signal.Signals) -> Case:
    """A case: this signal ends the process soon, and everything it made is gone."""

    def case(rig: Rig) -> None:
        rig.launch(
            "--control",
            f"{rig.folder}/control",
            "--capture",
            f"{rig.folder}/capture",
            specs=("127.0.0.1:0", f"pty:{rig.folder}/terminal", f"listen-unix:{rig.folder}/socket"),
        )
        rig.in_step()
        assert {"control", "terminal", "socket"} <= names(rig.folder)
        rig.line.send(tell(1, bytes(16384)) * 40)
        status = rig.end(number)
        assert names(rig.folder) - {"victim", "k42"} == {"capture"}
        assert not list((rig.folder / "k42").glob("*"))
        assert status == (0 if rig.face.ends else 128 + number)

    return case


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def ends_in_mid_stream(rig: Rig) -> None:
    """A signal is heard while the line never falls silent."""
    rig.launch()
    rig.attached(1)
    rig.line.flood(tell(1, bytes(1000)) * 5000)
    rig.end()


def started_in_the_background_of_a_script(rig: Rig) -> None:
    """There a shell has SIGINT ignored; SIGTERM ends the server all the same."""
    rig.launch(specs=(f"pty:{rig.folder}/terminal",), preexec_fn=ignore(signal.SIGINT))
    rig.in_step()
    rig.process.send_signal(signal.SIGINT)
    rig.in_step()
    rig.end(signal.SIGTERM)
    assert "terminal" not in names(rig.folder)


def under_nohup(rig: Rig) -> None:
    rig.launch(preexec_fn=ignore(signal.SIGHUP))
    rig.in_step()
    rig.process.send_signal(signal.SIGHUP)
    rig.in_step()


def ignore(number: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        signal.signal(number, signal.SIG_IGN)

    return prepare


def pipe_signal(rig: Rig) -> None:
    rig.launch()
    rig.process.send_signal(signal.SIGPIPE)
    rig.in_step()


def closed_at_start(*closed: int) -> Case:
    """A case: started by somebody who has closed these descriptors, such as `>&-`."""

    def case(rig: Rig) -> None:
        def prepare() -> None:
            for descriptor in closed:
                os.close(descriptor)

        quiet = {} if 1 not in closed else {"stdout": None, "stderr": None}
        rig.launch(preexec_fn=prepare, stdin=None, specs=("stdout", "stderr"), **quiet)
        for number in (0, 1):
            rig.ask(write(number, b"into nothing"), ack(number, 12))
        rig.in_step()
        rig.end()

    return case


def output_pipe_broken(rig: Rig) -> None:
    """`thinwire ... | head -1`, with all the talking there is."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    options = ("-verbose", "-debug") if rig.face.ends else ()
    rig.launch(*options, specs=("stdout", "pty"), stdout=write_end, stderr=write_end)
    os.close(write_end)
    rig.process.stdout = None
    for _ in range(20):
        rig.ask(write(0, b"into nothing"), ack(0, 12))
    rig.come_back()
    rig.in_step()
    rig.end()


def messages_that_nobody_reads(rig: Rig) -> None:
    """-verbose into a pipe that is full: the messages are lost, not the wire."""
    read_end, write_end = os.pipe()
    rig.launch("-verbose", "-debug", specs=("pty", "pty"), stdout=write_end, stderr=write_end)
    os.close(write_end)
    for _ in range(100):
        rig.ask(write(1, bytes(4096)), ack(1, 4096))
    rig.in_step()
    rig.end()
    os.close(read_end)


def full_disk(rig: Rig) -> None:
    """What is recorded or logged has nowhere to go any more; the wire goes on."""
    rig.launch(
        *("--capture", f"{rig.folder}/capture"),
        specs=("127.0.0.1:0", "127.0.0.1:0", f"log:{rig.folder}/log", f"log+time:{rig.folder}/time"),
        file_size=8192,
    )
    for number in (2, 3):
        for _ in range(100):
            rig.ask(write(number, b"x" * 200 + b"\n"), ack(number, 201))
    rig.in_step()
    rig.hear(b"log takes no more")
    rig.hear(b"time takes no more")
    rig.hear(b"the recording ends here")
    for file in ("capture", "log", "time"):
        assert 7000 < (rig.folder / file).stat().st_size <= 8192
    assert list(read((rig.folder / "capture").read_bytes()))


def disk_full_from_the_start(rig: Rig) -> None:
    rig.over = True
    assert "/dev/full" in rig.fails("--capture", "/dev/full", "localhost:1", "127.0.0.1:0")


def link_in_the_way(rig: Rig) -> None:
    """A stale link of ours is replaced; a file, or a link to somebody's file, is not."""
    link = rig.folder / "terminal"
    link.write_text("precious")
    assert "terminal" in rig.fails("localhost:1", f"pty:{link}")
    assert link.read_text() == "precious"
    link.unlink()
    (rig.folder / "file").write_text("precious")
    link.symlink_to(rig.folder / "file")
    rig.fails("localhost:1", f"pty:{link}")
    assert link.read_text() == "precious"
    link.unlink()
    link.symlink_to("/dev/pts/99999")
    rig.launch(specs=("127.0.0.1:0", f"pty:{link}"))
    assert os.readlink(link) != "/dev/pts/99999"
    rig.end()


def socket_in_the_way(rig: Rig) -> None:
    """A dead server's socket is replaced; a living one's, and a file, are not."""
    path = f"{rig.folder}/client"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.listen(1)
    assert path in rig.fails("localhost:1", f"listen-unix:{path}")
    dead.close()
    rig.launch(specs=("127.0.0.1:0", "127.0.0.1:0", f"listen-unix:{path}"))
    rig.in_step()
    assert path in rig.fails("localhost:1", f"listen-unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        rig.ask(write(2, b"hello"), ack(2, 5))
        assert client.recv(5) == b"hello"
        client.close()
    rig.end()
    Path(path).write_text("precious")
    rig.fails("localhost:1", f"listen-unix:{path}")
    assert Path(path).read_text() == "precious"


def killed_and_started_again(rig: Rig) -> None:
    """SIGKILL leaves everything behind, and the next start on the same ports minds nothing of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    specs = ("127.0.0.1:0", f"127.0.0.1:{port}", f"pty:{rig.folder}/t", f"listen-unix:{rig.folder}/s")
    rig.launch("--control", f"{rig.folder}/c", specs=specs)
    rig.attached(1)
    rig.process.kill()
    rig.process.wait()
    rig.line.close()
    command = rig.process.args
    assert isinstance(command, list)
    again = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=rig.environment, cwd=rig.folder
    )
    try:
        rig.accept()
        rig.shake_hands()
        rig.in_step()
        again.terminate()
        again.wait(PATIENCE)
        assert names(rig.folder) & {"c", "s", "t"} == set()
    finally:
        again.kill()
        again.wait()
    rig.over = True


def input_ended(rig: Rig) -> None:
    """`thinwire ... stdin </dev/null`: no more typing, but the output goes on."""
    rig.launch(specs=("stdin", "127.0.0.1:0"))
    rig.ask(write(0, b"to the terminal\n"), ack(0, 16))
    rig.hear(b"to the terminal")


def started_as_a_script_would(rig: Rig) -> None:
    """No tty, no HOME, no PATH, another directory."""
    rig.environment = {"XDG_RUNTIME_DIR": str(rig.folder), "LC_ALL": "C"}
    rig.launch(specs=("127.0.0.1:0", "127.0.0.1:0"), cwd="/")
    rig.line.send(ANNOUNCEMENT + SENTINEL)
    rig.in_step()
