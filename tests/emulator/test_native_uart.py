"""The UART that native code serves by itself is the one that Python has: same bytes, waiting and time."""

import struct

import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import encode

from emulator.cpu.exits import ExitKind
from emulator.cpu.state import INDEX, MSR_SF
from emulator.cpu.watch import Watch
from emulator.devices import uart16550
from emulator.devices.port import PORT_LIMIT, Port
from emulator.devices.uart16550 import Register, Uart16550
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

MEMORY = 1 << 20
CODE = 0x1000
UART = 0x20_03F8

#: What a driver does most, and everything else.
OFFSETS = st.one_of(
    st.sampled_from([Register.LINE_STATUS, Register.DATA, Register.MODEM_CONTROL]), st.sampled_from(Register)
)
LOADS = st.builds(lambda rt, d: encode("lbz", rt=rt, ra0=1, d=d), st.integers(3, 31), OFFSETS)
STORES = st.builds(lambda rs, d: encode("stb", rs=rs, ra0=1, d=d), st.integers(3, 31), OFFSETS)
WIDE = st.builds(lambda rt, d: encode("lhz", rt=rt, ra0=1, d=d), st.integers(3, 31), st.integers(0, 6))
WAITING = st.integers(1, 12).map(lambda n: [encode("lbz", rt=3, ra0=1, d=Register.LINE_STATUS)] * n)
PROGRAMS = st.lists(
    st.one_of(LOADS.map(lambda w: [w]), STORES.map(lambda w: [w]), WIDE.map(lambda w: [w]), WAITING),
    min_size=1,
    max_size=40,
).map(lambda parts: [word for part in parts for word in part])

#: What happens outside, and how many instructions are run after it.
OUTSIDE = st.one_of(
    st.tuples(st.just("feed"), st.binary(max_size=5)),
    st.tuples(st.just("connect"), st.booleans()),
    st.tuples(st.just("sleep"), st.integers(0, 300)),
    st.tuples(st.just("drain"), st.none()),
)
SCRIPTS = st.lists(st.tuples(OUTSIDE, st.integers(1, 60)), min_size=1, max_size=10)


def make(engine, words):
    processor = oracle.make_processor(MEMORY)
    port = Port()
    uart = Uart16550(port, processor.timers.elapsed)
    processor.memory.add_device(UART, uart16550.REGISTERS, uart, uart.address)
    loop = [*words, encode("b", li=-len(words) & 0xFF_FFFF)]
    processor.memory.write(CODE, struct.pack(f">{len(loop)}I", *loop))
    state = processor.state
    state.msr, state.pc = MSR_SF, CODE
    state.put("gpr", UART, 1)
    for number in range(3, 32):
        state.put("gpr", number * 0x0123_4567_89AB_CDEF & (1 << 64) - 1, number)
    return processor, port, uart, engine(processor)


def session(engine, words, script):
    """Return all that can be seen of a guest's use of its UART."""
    processor, port, uart, runs = make(engine, words)
    seen = []
    for (event, what), count in script:
        match event:
            case "feed":
                port.feed(what)
            case "connect":
                port.connected = what
            case "sleep":
                processor.timers.sleep(what)
            case "drain":
                seen.append(port.drain())
        exit_ = runs.run(count)
        if exit_ is not None:
            assert exit_.kind is ExitKind.IDLE
            seen.append((exit_.instructions, exit_.detail))
        seen.append(processor.state.words[: INDEX["engine"]].tolist())
        seen.append((uart.words[: uart16550.Word.PORT].tolist(), uart.speed, port.waiting, port.pending))
    return [*seen, port.drain(), port.get(PORT_LIMIT)]


@settings(max_examples=150)
@given(PROGRAMS, SCRIPTS)
def test_native_code_and_python_serve_the_same_uart(words, script):
    assert session(ThreadedEngine, words, script) == session(ReferenceEngine, words, script)


def test_a_byte_moves_without_python(monkeypatch):
    words = [
        encode("lbz", rt=3, ra0=1, d=Register.LINE_STATUS),
        encode("lbz", rt=3, ra0=1, d=Register.DATA),
        encode("lbz", rt=4, ra0=1, d=Register.LINE_STATUS),
        encode("stb", rs=3, ra0=1, d=Register.DATA),
        encode("stb", rs=3, ra0=1, d=Register.MODEM_CONTROL),
    ]
    _, port, uart, engine = make(ThreadedEngine, words)
    port.connected = True
    text = bytes(range(200))
    port.feed(text)
    engine.run(6)  # the first of each comes to Python, which finds out where the UART is
    with monkeypatch.context() as patch:
        patch.setattr(uart, "load", None)
        patch.setattr(uart, "store", None)
        assert engine.run(6 * (len(text) - 1)) is None
    assert port.drain() == text


def test_a_full_port_and_one_that_has_wrapped_are_python_and_native_alike():
    words = [encode("stb", rs=3, ra0=1, d=Register.DATA), encode("lbz", rt=4, ra0=1, d=Register.LINE_STATUS)]
    found = []
    for kind in (ThreadedEngine, ReferenceEngine):
        processor, port, _, engine = make(kind, words)
        port.connected = True
        port.put(bytes(PORT_LIMIT - 3))
        for _ in range(3):  # so that room is made at the front
            port.feed(bytes(PORT_LIMIT // 2))
            port.get(PORT_LIMIT // 2 - 1)
        engine.run(3 * 5)
        found.append((port.pending, port.waiting, processor.state.get("gpr", 4)))
    assert found[0] == found[1] == (PORT_LIMIT, 3, uart16550.LSR_DATA_READY)


def test_a_watch_on_the_uart_sees_every_access():
    processor, port, _, engine = make(ThreadedEngine, [encode("lbz", rt=3, ra0=1, d=Register.DATA)])
    port.feed(b"abcdef")
    engine.run(4)
    processor.mmu.set_watches([Watch(UART, 1, loads=True, stores=False)])
    engine.flush_translations()
    exit_ = engine.run(4)
    assert exit_ is not None and exit_.kind is ExitKind.WATCHPOINT
    assert port.waiting == 4
