"""The one error a user causes: a line that names the thing and the mend; the commands exit with status 2."""

from __future__ import annotations


class UserError(Exception):
    """Something the user asked for cannot be; the text says what, and what to do about it."""


def only_error(error: BaseException) -> BaseException:
    """Return what a nursery wrapped: the one error inside nested groups, or the group when it holds several.

    Several tasks may fail of the same Ctrl-C or the same UserError; the first one speaks for them.
    """
    while isinstance(error, BaseExceptionGroup):
        leaves = error.exceptions
        if len(leaves) > 1 and not all(isinstance(leaf, type(leaves[0])) for leaf in leaves):
            return error
        error = leaves[0]
    return error
