"""Our own small kernels: sources, and the built ELF files as package data (scripts/build-guests makes them).

`mini` is a kernel that behaves on the wire as K42 does: thinwire, a shell on channel 0, a gdb stub with K42's
abilities and limits on channel 1.
"""

from pathlib import Path

#: The built kernel, with debug information.
MINI = Path(__file__).parent / "mini" / "mini.elf"
