"""k42.session against the real gdb: results, errors, text, and the end of the child."""

import pytest
import trio

from k42.gdb_programs import find_gdb, knows_ppc64
from k42.session import GdbError, open_gdb


def test_the_gdb_found_knows_ppc64_and_a_file_that_is_none_does_not() -> None:
    assert knows_ppc64(find_gdb())
    assert not knows_ppc64("/bin/false")
    assert not knows_ppc64("/nonexistent/gdb")


def test_results_errors_and_text_come_back_in_order() -> None:
    echoed: list[str] = []

    async def main() -> None:
        with trio.fail_after(60):
            async with open_gdb(echo=echoed.append) as gdb:
                assert await gdb.console("print 6 * 7") == "$1 = 42\n"
                assert await gdb.evaluate('sizeof("abc")') == "4"
                with pytest.raises(GdbError, match="Undefined command"):
                    await gdb.console("no-such-command")
                assert await gdb.console('echo say "\\\\"') == 'say "\\"'

    trio.run(main)
    assert "$1 = 42\n" in echoed


def test_a_gdb_that_ends_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_gdb() as gdb:
                gdb.process.kill()
                with pytest.raises(GdbError, match="gdb ended"):
                    await gdb.console("print 1")
                with pytest.raises(GdbError, match="gdb ended"):
                    await gdb.wait_stop()

    trio.run(main)


def test_cancelling_a_command_leaves_no_gdb_behind() -> None:
    async def main() -> int | None:
        with trio.move_on_after(60) as outer:
            async with open_gdb() as gdb:
                process = gdb.process
                outer.cancel()
                await gdb.console("print 1")
        return process.returncode

    assert trio.run(main) is not None
