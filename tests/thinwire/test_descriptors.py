"""Descriptors shared with the shell that started us."""

import os
from pathlib import Path

from thinwire import descriptors


def test_a_plain_file_keeps_its_position_so_that_others_can_write_before_and_after(tmp_path: Path) -> None:
    shared = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY)
    os.write(shared, b"before ")
    ours = descriptors.reopen(shared, os.O_WRONLY)
    os.write(ours, b"ours ")
    os.close(ours)
    os.write(shared, b"after")
    os.close(shared)
    assert (tmp_path / "out").read_bytes() == b"before ours after"
