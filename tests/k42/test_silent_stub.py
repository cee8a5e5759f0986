"""`k42 bridge` in front of a stub that ought to answer at once, and does not."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

K42 = Path(sys.executable).with_name("k42")


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_stub_that_does_not_answer_is_one_line(hangs_up: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = "{}:{}".format(*listener.getsockname())
        command = [str(K42), "bridge", place, "--listen", "127.0.0.1:0", "--stub", "plain"]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bridge,
            listener.accept()[0] as line,
        ):
            line.recv(1000)
            if hangs_up:
                line.shutdown(socket.SHUT_RDWR)
            said = bridge.communicate(timeout=60)
    assert bridge.returncode == 2, said
    assert said[0] == ""
    assert said[1].startswith(f"k42 bridge: the stub at {place}: ") and said[1].count("\n") == 1, said[1]
    assert "--stub" in said[1]
