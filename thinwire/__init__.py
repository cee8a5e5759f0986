"""The thinwire multiplexer: one line, up to 95 channels."""
