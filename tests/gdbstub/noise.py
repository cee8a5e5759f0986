"""What a packet decoder says between packets, for tests that split its stream."""

from gdbstub.packet import Event, Noise


def joined(events: list[Event]) -> list[Event]:
    """Join adjacent pieces of text: noise has no ends of its own."""
    result: list[Event] = []
    for event in events:
        if isinstance(event, Noise) and result and isinstance(result[-1], Noise):
            result[-1] = Noise(result[-1].raw + event.raw)
        else:
            result.append(event)
    return result
