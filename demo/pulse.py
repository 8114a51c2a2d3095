"""Print a line after some seconds without one, to show that work goes on. Standard library alone."""

import threading
import time
from collections.abc import Callable

SILENCE_SECONDS = 8


class Pulse:
    """Says that something still goes on whenever nothing was printed for a while, inside a `with`.

    Call `printed()` after each line, and set `doing` to what goes on, such as "uv is installing".
    """

    def __init__(self, say: Callable[[str], object], doing: str, silence: float = SILENCE_SECONDS) -> None:
        self._say, self._silence = say, silence
        self.doing = doing

    @property
    def doing(self) -> str:
        return self._doing

    @doing.setter
    def doing(self, what: str) -> None:
        self._doing, self._since = what, time.monotonic()
        self.printed()

    def printed(self) -> None:
        self._last = time.monotonic()

    def __enter__(self) -> "Pulse":
        self.doing = self.doing  # the time counts from now
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ending.wait(max(0.05, self._last + self._silence - time.monotonic())):
            if time.monotonic() - self._last >= self._silence:
                self._say(f"    … {self.doing} ({time.monotonic() - self._since:.0f} s)")
                self.printed()
