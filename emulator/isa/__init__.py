"""The PPC970's instruction set, written once: patterns, operands, effects."""
