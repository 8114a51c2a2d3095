"""A throwaway ClearML on this machine, for learning, demos and tests."""

# As type checkers know it from `typing`, which takes as long to import as all that comes before the command
# line takes signals.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .stack import Stack

__all__ = ["Stack"]


def __getattr__(name: str) -> object:
    if name == "Stack":
        # Not at the start: the command line takes signals before it imports anything that takes time.
        from .stack import Stack

        return Stack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
