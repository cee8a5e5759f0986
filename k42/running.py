"""How every command runs its async part: Ctrl-C and SIGTERM arrive where everything can be cleaned up."""

from __future__ import annotations

from thinwire import lifetime

run_async = lifetime.run
