"""Lead ClearML agents to this very checkout, in whatever state it is.

A task records where its code is: a remote address, a commit, and the uncommitted changes. Agents clone from
that address, which fails for commits that were not pushed, without a remote, and without a network. So git
is set, by environment variables and for this checkout alone, to take the checkout itself for its remote.
Nothing in the repository changes.
"""

import json
import os
import re
import subprocess
from pathlib import Path


def git_environment(checkout: Path, folder: Path) -> dict[str, str] | None:
    """Return environment variables that do so, with a file of git settings in `folder`.

    None if the last commit does not have the folder `checkout`, or there is no git.
    """
    git_folder = _git(checkout, "rev-parse", "--absolute-git-dir")
    top = _git(checkout, "rev-parse", "--show-toplevel")
    if not git_folder or not _git(checkout, "rev-parse", "--verify", "--quiet", "HEAD:./"):
        return None  # also where the last commit of a repository around the folder does not have it
    address = Path(top).as_uri()
    # The address as it is written down, too: the user's own settings may rewrite it before ours are asked.
    remotes = {
        _git(checkout, "config", "--get", "remote.origin.url"),
        _git(checkout, "ls-remote", "--get-url"),
    }
    remotes -= {"", "origin"}
    if remotes:
        rules = "".join(f'\tinsteadOf = "{remote}"\n' for remote in sorted(remotes))
        text = f'[url "{address}"]\n{rules}'
    else:
        text = f'[remote "origin"]\n\turl = "{address}"\n'
    configuration = folder / "gitconfig"
    configuration.write_text(text, encoding="utf-8")
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"includeIf.gitdir:{literal(git_folder)}.path",
        "GIT_CONFIG_VALUE_0": str(configuration),
    }


def own_settings(folder: Path) -> dict[str, str]:
    """Return environment variables that give git a settings file in `folder`, with the user's own included.

    For agents, which write into it: before each task they set git to trust every folder, for good.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configured = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    users = [Path(configured, "git", "config"), Path.home() / ".gitconfig"]
    if os.environ.get("GIT_CONFIG_GLOBAL"):
        users = [Path(os.environ["GIT_CONFIG_GLOBAL"])]
    text = "".join(f"[include]\n\tpath = {json.dumps(str(file), ensure_ascii=False)}\n" for file in users)
    settings = folder / "gitconfig"
    settings.write_text(text, encoding="utf-8")
    return {"GIT_CONFIG_GLOBAL": str(settings)}


def literal(path: str) -> str:
    """Return a git pattern that matches the path and nothing else."""
    return re.sub(r"([*?[\\])", r"\\\1", path)


def _git(checkout: Path, *arguments: str) -> str:
    """Return what git prints, or nothing where it fails or is not installed."""
    try:
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
