"""Compiled handlers on disk, so that only the first start of a version pays for compiling them.

A file is a JSON line and the object's bytes.  The line holds the key it was made for and the digest of what
follows; a file that does not match both, or that somebody else could have written, is not used but
replaced.  A cache that cannot be written is no error: the next start compiles again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Compiled:
    """An object file, and the helpers its handlers call (module:function)."""

    object_code: bytes
    helpers: tuple[str, ...]


def cache_folder() -> Path:
    """Return where this user's cache is (XDG base directory specification)."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "k42-wire"


def fetch(name: str, key: str) -> Compiled | None:
    """Return what was kept under `name` for `key`; None if there is nothing fit to be used."""
    try:
        with (cache_folder() / name).open("rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            header = json.loads(file.readline(1 << 20))
            object_code = file.read()
        if header["key"] != key or header["digest"] != hashlib.sha256(object_code).hexdigest():
            return None
        return Compiled(object_code, tuple(map(str, header["helpers"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(name: str, key: str, compiled: Compiled) -> None:
    """Keep `compiled` under `name`, for `key`, replacing whatever is there at once."""
    digest = hashlib.sha256(compiled.object_code).hexdigest()
    header = {"key": key, "digest": digest, "helpers": compiled.helpers}
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder, prefix=name)
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + compiled.object_code)
        os.replace(path, folder / name)
    except OSError:
        return


def _is_ours(status: os.stat_result) -> bool:
    """Tell whether nobody but this user (or root) can have written the file."""
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
