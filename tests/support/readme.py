"""The README and the pages that it leads to, and the commands in them."""

import re

from tests.support.checkouts import REPOSITORY

PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "local_stack/README.md")]
PAGES += sorted(path for room in ("docs", "deploy") for path in (REPOSITORY / room).glob("*.md"))
TEXT = "\n".join(page.read_text() for page in PAGES)

PROGRAMS = r"(?:\.venv/bin/)?(?:make|python|pytest|clearml-[\w-]+|jupyter)\b"


def commands(beginning: str = PROGRAMS) -> list[str]:
    """Every command line in an indented block that begins so, on one line and without its comment."""
    joined = re.sub(r"(\\\n {4}) +", r"\1", TEXT).replace("\\\n    ", "")
    found = re.findall(rf"^ {{4}}({beginning}.*)$", joined, re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in found]
