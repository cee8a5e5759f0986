"""Lets the tests of this folder import the small machines and stubs that live beside them."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# No test measures time: the machine may be busy with others.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
