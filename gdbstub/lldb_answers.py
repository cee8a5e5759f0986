"""What lldb asks and gdb does not: which machine it is (LLDB's "gdb-remote protocol extensions").

lldb 14 has one 64-bit PowerPC that is big-endian, the 970, and no triple that names it: its "powerpc64" reads
every register backwards.  What names it are Mach-O's numbers.
"""

from __future__ import annotations

from typing import Any

from gdbstub import commands
from gdbstub.answers import Answer, Attachment

#: Mach-O's CPU_TYPE_POWERPC64 and CPU_SUBTYPE_POWERPC_970.
_POWERPC64 = "cputype:16777234;cpusubtype:100;ptrsize:8;"
_MACHINES = {"powerpc:common64": _POWERPC64}


def _machine(attachment: Attachment) -> bytes:
    description = attachment.target.description
    machine = _MACHINES.get(description.architecture, "")
    return f"{machine}vendor:unknown;ostype:unknown;endian:{description.byte_order};".encode()


async def _host_info(attachment: Attachment, command: commands.HostInfo) -> bytes:
    return _machine(attachment)


async def _process_info(attachment: Attachment, command: commands.ProcessInfo) -> bytes:
    return b"pid:1;" + _machine(attachment)


LLDB_ANSWERS: dict[type[Any], Answer[Any]] = {
    commands.HostInfo: _host_info,
    commands.ProcessInfo: _process_info,
}
