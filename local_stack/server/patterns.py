"""Regular expressions of requests, in time that grows with the text alone.

Python's own engine, and the real server's, can take years for an expression such as `(a{1,2}){11,}b`. RE2
cannot, and has no back-references and no look-around in exchange.
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache

import re2

from .errors import ApiError

LONGEST_PATTERN = 32_764  # characters: MongoDB's own limit
MEMORY = 2 * 2**20  # bytes for one compiled expression
MOST_SECONDS = 1.0  # of the processor, for one expression over all texts of a request
# What RE2 does for one character grows with the size of the expression: a second is some 10**8 such steps.
MOST_STEPS_PER_TEXT = 10**8
STEPS_BETWEEN_LOOKS = 10**6  # at the clock

LITERAL = re.compile(r"(\^?)((?:[^\\.^$*+?{}\[\]|()]|\\[^a-zA-Z0-9])*)(\$?)", re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)

Matches = Callable[[str], bool]


def compile_pattern(pattern: str, ignore_case: bool = False) -> Matches:
    """Return a function that says whether a text matches, or raise the API's error for a malformed one."""
    if len(pattern) > LONGEST_PATTERN:
        raise malformed(pattern[:50] + "…", f"it is longer than {LONGEST_PATTERN} characters")
    # Names, escaped or as they are, are nearly all that clients send. For them there are faster ways.
    found = LITERAL.fullmatch(pattern)
    if found and not (ignore_case and not pattern.isascii()):
        start, literal, end = found[1], ESCAPE.sub(r"\1", found[2]), found[3]
        return _literal(literal.lower() if ignore_case else literal, bool(start), bool(end), ignore_case)
    return _bounded(_compile(pattern, ignore_case))


def malformed(pattern: str, reason: object) -> ApiError:
    return ApiError(400, 21, f"Malformed regular expression: {pattern!r}: {reason}")


def _literal(literal: str, start: bool, end: bool, ignore_case: bool) -> Matches:
    tests: dict[tuple[bool, bool], Matches] = {
        (True, True): literal.__eq__,
        (True, False): lambda text: text.startswith(literal),
        (False, True): lambda text: text.endswith(literal),
        (False, False): lambda text: literal in text,
    }
    test = tests[start, end]
    return (lambda text: test(text.lower())) if ignore_case else test


@lru_cache(maxsize=64)
def _compile(pattern: str, ignore_case: bool) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(_as_utf8(ESCAPE.sub(_escape_for_re2, pattern)), options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        hint = "back-references, look-around and possessive repeats are not supported here"
        raise malformed(pattern, f"{text} ({hint})") from error


def _escape_for_re2(escape: re.Match[str]) -> str:
    r"""Return RE2's form of an escape: `\Z` is `\z` there, and only ASCII may be escaped without need."""
    if escape[1] == "Z":
        return r"\z"
    return escape[0] if escape[1].isascii() else escape[1]


def _as_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _bounded(regex: "re2._Regexp") -> Matches:
    size, search = regex.programsize, regex.search
    steps, deadline = 0, time.thread_time() + MOST_SECONDS

    def matches(text: str) -> bool:
        nonlocal steps
        encoded = _as_utf8(text)
        steps += size * len(encoded)
        if steps > STEPS_BETWEEN_LOOKS:
            if size * len(encoded) > MOST_STEPS_PER_TEXT or time.thread_time() > deadline:
                raise malformed(
                    regex.pattern.decode(errors="replace")[:200], "it takes too long: make it shorter"
                )
            steps = 0
        return search(encoded) is not None

    return matches
