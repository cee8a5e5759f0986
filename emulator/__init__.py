"""A PPC64 full-system machine in Python."""
