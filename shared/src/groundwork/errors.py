"""Errors that are for people."""


class UsageError(Exception):
    """Bad input; its text is one clear line for a person. The command line exits with status 2."""


class UnmetError(Exception):
    """A lab's work is done and told, but a target that the user gave is not met.

    The run is finished and kept; the text says which target. The command line exits with status 3.
    """
