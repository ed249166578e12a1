"""Errors that are for people."""


class UsageError(Exception):
    """Bad input; its text is one clear line for a person. The command line exits with status 2."""
