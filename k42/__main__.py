"""Where the `k42` command starts, and `python -m k42`."""

import sys

from thinwire import interrupts


def main() -> int:
    """Import the program, and run it."""
    interrupts.end_the_process()
    from k42 import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
