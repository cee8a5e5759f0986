"""GDB remote serial protocol: server, client, and the bridge to a limited stub."""
