"""What holds for every test: none measures time, for the machine may be busy with others; the terminal is not
the one that the tests happen to be started from.
"""

import os

from hypothesis import settings

os.environ["TERM"] = "xterm"
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
