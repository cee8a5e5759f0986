"""Where the `thinwire` commands start, and `python -m thinwire`, which is `thinwire3`: the protocol is chosen
by the name, and that one has none.
"""

import sys

from thinwire import interrupts


def main() -> None:
    """Import the program, and run it."""
    interrupts.end_the_process()
    from thinwire import cli

    cli.main()


if __name__ == "__main__":
    sys.argv[0] = "thinwire3"
    main()
