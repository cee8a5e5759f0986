"""`python -m thinwire` is `thinwire3`: the protocol is chosen by the name, and this name has none."""

import sys

from thinwire.cli import main

sys.argv[0] = "thinwire3"
main()
