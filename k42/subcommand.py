"""How a subcommand's `--help` looks: a sentence, the options, examples to copy."""

from __future__ import annotations

import argparse


def add_subcommand(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    *examples: str,
    usage: str | None = None,
    notes: str = "",
) -> argparse.ArgumentParser:
    """Return the parser of a new subcommand; `summary` is its line in the list, `examples` end its help."""
    shown = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    return subparsers.add_parser(
        name,
        help=summary,
        usage=usage,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n\n".join(text for text in (notes, shown) if text),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
