"""`python -m thinwire` is `thinwire3`: the protocol is chosen by the name, and this name has none."""

import sys

from thinwire.cli import run

sys.exit(run("thinwire", ["--protocol", "auto", *sys.argv[1:]]))
