"""The commands: the only package that knows thinwire, gdbstub and emulator."""
