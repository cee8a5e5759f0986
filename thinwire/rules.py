"""What a user may choose about the protocol."""

import enum
from dataclasses import dataclass


class Protocol(enum.Enum):
    """Versions of the original servers. AUTO is text until a sentinel, then frames, like 3."""

    AUTO = "auto"
    V1 = "1"  # frames from the first byte, no handshake
    V2 = "2"  # after the sentinel the server changes the speed, with the modem lines for a handshake
    V3 = "3"  # the victim asks for a speed with 'S'


@dataclass(frozen=True, slots=True)
class Rules:
    """Sizes in bytes, times in seconds."""

    protocol: Protocol = Protocol.AUTO
    assume_framed: bool = False
    has_firmware: bool = True
    """Whether something reads the console before the handshake; else what is typed waits for the kernel."""
    lossy_nibbles: bool = False
    output_limit: int = 256 * 1024
    input_limit: int = 64 * 1024
    history: int = 16 * 1024
    patience: float = 1.0
    """How long a full backlog may hold up its writer before bytes are dropped; infinity never drops, 0 never
    waits.
    """
    empty_reads: float | None = None
    """Answer a held read with no bytes after so long; None holds it until there are some."""
    frame_timeout: float = 2.0
    """Silence after which an unfinished frame may be given up for a new one."""
    text_timeout: float = 0.05
    """Silence after which text that looks like the beginning of a sentinel is shown."""
