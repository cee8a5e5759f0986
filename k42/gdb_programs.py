"""Which gdb to use: the first one on this machine that knows 64-bit PowerPC."""

from __future__ import annotations

import shutil
import subprocess

from k42.errors import UserError

#: The K42 people's own name first, then the names of distributions; a plain gdb may know PPC64 or not.
NAMES = ("powerpc64-linux-gdb", "powerpc64-linux-gnu-gdb", "gdb-multiarch", "gdb")
ARCHITECTURE = "powerpc:common64"


def find_gdb() -> str:
    """Return the path of a gdb with PPC64 support.  Raises UserError that says how to get one."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None and knows_ppc64(path):
            return path
    raise UserError(
        f"no gdb with PPC64 support found (looked for {', '.join(NAMES)}): "
        "install one, for instance with `sudo apt-get install gdb-multiarch`"
    )


def knows_ppc64(path: str) -> bool:
    """True if the gdb at `path` accepts the architecture; False also when it does not run at all."""
    command = [path, "-nx", "-batch", "-ex", f"set architecture {ARCHITECTURE}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "Undefined item" not in done.stdout + done.stderr
