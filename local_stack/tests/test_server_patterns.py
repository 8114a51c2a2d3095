"""The local server's regular expressions: what they match, and that none takes long."""

import re
import time

import pytest

from local_stack.server.errors import ApiError
from local_stack.server.patterns import LITERAL, compile_pattern

PRINTABLE = "".join(map(chr, range(1, 127)))


@pytest.mark.parametrize(
    "pattern",
    [
        "", "^", "$", "^$", "abc", "^abc", "abc$", "^abc$", r"a\.c", "a.c", "^a|c$", "[a-c]+", r"\d", r"a\\b",
        r"\\Z", r"c\Z", "(?i)ABC", "(?P<x>a)", "a{2}", r"\bb", r"\-", r"\_", "ä", r"\ä", "[^a]$",
        "(a|b)c?$", r"\x61", "^^abc$$",
    ],
)  # fmt: skip
@pytest.mark.parametrize("ignore_case", [False, True])
def test_patterns_match_what_pythons_do(pattern, ignore_case):
    expected = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    matches = compile_pattern(pattern, ignore_case)
    for text in (
        "",
        "abc",
        "ABC",
        "xabc",
        "abcx",
        "a.c",
        "aac",
        "a\\b",
        "ÄÖ ä",
        "a-b_c",
        "1",
        "Z",
        "\\Z",
        "$",
        "a\nb",
    ):
        assert matches(text) == bool(expected.search(text)), text


@pytest.mark.parametrize("text", [PRINTABLE, "größe (v1.0) — π", "a b\tc\nd", "x" * 5_000, "\ud800 alone"])
@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("frame", ["{}", "^{}$", "^{}", "{}$", "(?:{})", "^(?:{})$"])
def test_what_python_escapes_matches_itself(text, ignore_case, frame):
    matches = compile_pattern(frame.format(re.escape(text)), ignore_case)
    assert matches(text)
    assert not matches(text[:-1])


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("ÄÖ", "größe äö", True), ("straSSE", "STRASSE", True), ("(?:ä|ö)x", "ÖX", True), ("Ä", "a", False)],
)
def test_case_is_ignored_beyond_ascii(pattern, text, found):
    assert compile_pattern(pattern, ignore_case=True)(text) == found


def test_plain_names_take_the_quick_way():
    for pattern in ("task 1", r"^task\ \(1\)$", "^größe", r"v1\.0$"):
        assert LITERAL.fullmatch(pattern)
    for pattern in ("a.b", "a|b", r"\d", "a*", "^a$b", "a^", "[a]"):
        assert not LITERAL.fullmatch(pattern)


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "a++", "(?>a)b", "a{1001}"]
)
def test_what_cannot_be_done_in_linear_time_is_refused_with_a_reason(pattern):
    with pytest.raises(ApiError, match="not supported here") as error:
        compile_pattern(pattern)
    assert (error.value.status, error.value.subcode) == (400, 21)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a{1,2}){11,}b", "a" * 500_000),
        ("(x+x+)+y", "x" * 500_000),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 500_000),
        ("(.*)*(.*)*(.*)*b$", "a" * 500_000),
    ],
)
def test_expressions_that_hang_others_are_answered_at_once(pattern, text):
    start = time.thread_time()
    assert not compile_pattern(pattern)(text)
    assert time.thread_time() - start < 1


def test_an_expression_that_would_take_long_even_so_is_refused():
    """It is at its slowest where it keeps asking which of very many states it is in."""
    text = "".join("ab"[hash((n, 7)) % 2] for n in range(100_000))
    start = time.thread_time()
    for texts in ([text * 10], [text] * 100):
        matches = compile_pattern("(a|b)*a(a|b){500}c")
        with pytest.raises(ApiError, match="takes too long"):
            for each in texts:
                matches(each)
    assert time.thread_time() - start < 6
