"""The object cache: what is kept is used, what is corrupt or foreign is compiled again."""

import json

import pytest

from emulator.engines import engine_named, native, object_cache
from emulator.engines.object_cache import Compiled
from emulator.engines.reference import ReferenceEngine
from emulator.engines.threaded import ThreadedEngine

KEPT = Compiled(b"\x7fELF and so on\n\0", ("emulator.isa.branch:_idle",))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "k42-wire"


def test_what_is_kept_is_found():
    object_cache.keep("x.o", "key", KEPT)
    assert object_cache.fetch("x.o", "key") == KEPT


def test_nothing_is_found_before_it_is_kept():
    assert object_cache.fetch("x.o", "key") is None


def test_another_key_is_not_found():
    object_cache.keep("x.o", "key", KEPT)
    assert object_cache.fetch("x.o", "other key") is None


@pytest.mark.parametrize("at", [0, 5, 70, -1])
def test_a_changed_byte_is_noticed(folder, at):
    object_cache.keep("x.o", "key", KEPT)
    data = bytearray((folder / "x.o").read_bytes())
    data[at] ^= 0x40
    (folder / "x.o").write_bytes(data)
    assert object_cache.fetch("x.o", "key") in (None, KEPT)
    assert at != -1 or object_cache.fetch("x.o", "key") is None


@pytest.mark.parametrize("junk", [b"", b"\n", b"{}\n", b"[1]\nabc", b"\xff" * 100, b'{"key": "key"}\n'])
def test_junk_is_not_used(folder, junk):
    folder.mkdir()
    (folder / "x.o").write_bytes(junk)
    assert object_cache.fetch("x.o", "key") is None


def test_a_file_that_others_can_write_is_not_used(folder):
    object_cache.keep("x.o", "key", KEPT)
    (folder / "x.o").chmod(0o666)
    assert object_cache.fetch("x.o", "key") is None


def test_a_cache_that_cannot_be_written_is_no_error(folder):
    folder.write_text("a file where the folder should be")
    object_cache.keep("x.o", "key", KEPT)
    assert object_cache.fetch("x.o", "key") is None


def test_a_corrupt_file_is_compiled_again(folder):
    group = native.Group("system", False)
    native.handlers.__wrapped__(group)
    path = folder / group.name
    good = path.read_bytes()
    path.write_bytes(good[:-20] + bytes(20))
    assert native.handlers.__wrapped__(group).address("h_stop")
    assert path.read_bytes() == good
    assert json.loads(good.split(b"\n", 1)[0])["helpers"] is not None


@pytest.mark.parametrize("is_terminal", [True, False])
def test_who_waits_for_the_compiler_is_told_why_once(folder, monkeypatch, caplog, is_terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    native._announce.cache_clear()
    for section in ("system", "branch"):
        native.handlers.__wrapped__(native.Group(section, False))
    assert [str(folder) in record.getMessage() for record in caplog.records] == [True] * is_terminal


def test_engines_are_chosen_by_name():
    assert engine_named("reference") is ReferenceEngine
    assert engine_named("threaded") is ThreadedEngine
    assert engine_named("auto") is ThreadedEngine
    with pytest.raises(ValueError, match="there are auto, reference, threaded"):
        engine_named("warp")


def test_without_llvmlite_auto_is_the_reference_engine(monkeypatch, caplog):
    monkeypatch.setattr("emulator.engines.find_spec", lambda name: None)
    assert engine_named("auto") is ReferenceEngine
    assert "llvmlite is not installed" in caplog.text
    with pytest.raises(ValueError, match="pip install llvmlite"):
        engine_named("threaded")
