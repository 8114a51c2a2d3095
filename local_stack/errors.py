"""What can go wrong for users of a stack. Each message names the cause and the remedy."""


class StackError(Exception):
    """The stack cannot start, or cannot go on."""


class HomeInUse(StackError):
    """Another stack runs in the same home."""


class ProcessError(StackError):
    """A child process failed. The message quotes its log."""


class ProgramsNotFound(StackError):
    """A program is not installed, and its package cannot be fetched."""
