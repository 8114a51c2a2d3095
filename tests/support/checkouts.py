"""Copies of this repository for tests: a clone of a user's, in a ClearML project of its own."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import global_config
from local_stack.checkout import git_environment
from local_stack.waiting import run

REPOSITORY = Path(__file__).resolve().parents[2]


class Checkout:
    """A copy of this code in a state that clones are in: all committed but one edit, and nothing pushed.

    The edit gives it a ClearML project of its own, so that runs in it meet no others on the same server.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        remote: str | None = None,
        committed: bool = False,
        names: dict[str, str] | None = None,
        overlay: Callable[[Path], None] | None = None,
    ) -> None:
        """`names` are those of global_config.py to replace, besides the project's; `overlay` adds files."""
        self.folder = folder
        names = {"PROJECT_NAME": f"Asteroid tests {uuid.uuid4().hex[:8]}", **(names or {})}
        self.project = names["PROJECT_NAME"]
        copy_repository(folder)
        if overlay:
            overlay(folder)
        if table := names.get("RAW_FILE_NAME"):
            (folder / "data" / global_config.RAW_FILE_NAME).rename(folder / "data" / table)
        self.git("init", "--quiet", "--initial-branch", "main")
        if committed:
            self.rename(names)
        self.git("add", "--all")
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        self.git(*identity, "commit", "--quiet", "--message", "All of it")
        if remote:
            self.git("remote", "add", "origin", remote)
        if not committed:
            self.rename(names)
        settings = folder.with_name(folder.name + "-settings")
        settings.mkdir()
        self.environment = {**environment, **(git_environment(folder, settings) or {})}

    def rename(self, names: dict[str, str]) -> None:
        """Give names of global_config.py other values."""
        config = self.folder / "global_config.py"
        text = config.read_text()
        for name, value in names.items():
            text = text.replace(f'{name} = "{getattr(global_config, name)}"', f"{name} = {value!r}", 1)
        config.write_text(text)

    def git(self, *arguments: str) -> None:
        done = run(["git", *arguments], cwd=self.folder)
        assert done.returncode == 0, f"git {' '.join(arguments)} failed:\n{done.stderr}"

    def run(
        self, *arguments: object, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        """Run Python on a script of the checkout or, with `-c`, on code, as a user would."""
        command = [sys.executable, *map(str, arguments)]
        done = run(command, cwd=self.folder, env=environment or self.environment)
        assert not check or done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
        return done


def copy_repository(folder: Path) -> None:
    """Copy what git tracks, and what it would track, into a new folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
