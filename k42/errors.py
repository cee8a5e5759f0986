"""The one error a user causes: a line that names the thing and the mend; the commands exit with status 2."""


class UserError(Exception):
    """Something the user asked for cannot be; the text says what, and what to do about it."""
