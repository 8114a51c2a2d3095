"""What ClearML keeps of this checkout's code for agents to run: an address, a commit and uncommitted edits.

ClearML asks git for the edits, and git answers as its user's settings say: in colours, by another program,
without prefixes. ClearML stores any such answer. An agent then fails on it, or runs the commit without the
edits and says nothing. So the edits are read here, with options that hold whatever the settings are.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from clearml_tools.errors import UserError

from clearml import Task

from clearml_tools.network import without_password
from clearml_tools.sdk_internals import config_obj

FOLDER = Path(__file__).resolve().parent.parent

LARGEST_DIFF = 500_000  # characters: ClearML stores a remark in place of a larger one
REMOTE_SECONDS = 30  # how long a remote may take to answer

# Each option overrules a setting that changes what git prints, or an attribute that hides a change from it.
DIFF = shlex.split(
    "-c core.quotePath=false -c diff.suppressBlankEmpty=false -c diff.relative=false diff --no-color "
    "--no-ext-diff --no-textconv --text --no-renames -O/dev/null --src-prefix=a/ --dst-prefix=b/ --unified=3 "
    "--inter-hunk-context=0 --submodule=short --ignore-submodules=untracked HEAD"
)

# What an agent does with the edits unless its own settings say otherwise.
PLAIN_APPLY = ["-c", "apply.whitespace=warn", "-c", "apply.ignoreWhitespace=no"]


class GitError(Exception):
    """A git command failed. The message is the first line that git said."""


def git(*arguments: str, check: bool = True, **options: Any) -> bytes:
    """Return what git prints for the repository of this folder; without `check`, nothing where it fails.

    GitError if git fails or is not installed. `options` are further ones of subprocess.run.
    """
    try:
        command = ["git", "-C", str(FOLDER), *arguments]
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, capture_output=True, check=True, **options
        )
        return done.stdout
    except FileNotFoundError as error:
        reason = f"git is not installed ({error.strerror})"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        reason = said[0] if said else f"git ended with code {error.returncode}"
    except subprocess.TimeoutExpired as error:
        reason = f"git did not answer within {error.timeout:g} s"
    if check:
        raise GitError(reason)
    return b""


def text_of(*arguments: str, **options: Any) -> str:
    """Return what git prints as text on one line; nothing where it fails."""
    return os.fsdecode(git(*arguments, check=False, **options)).strip()


def why_unreachable() -> str | None:
    """Return why agents could not get this code, or None: git has to know it, and an address to clone."""
    try:
        known = git("ls-files", "clearml_tools/checkout.py")
    except GitError as error:
        if "not a git repository" in str(error):
            return "it is in no git checkout"
        return f"git cannot read this checkout ({error})"
    if not known:  # a repository around this folder may be of something else
        return "it is in no git checkout"
    if remote_address() in ("", "origin"):  # the latter where there is none
        return "git knows no remote here"
    return None


def remote_address() -> str:
    """Return the address that agents clone from, as ClearML asks for it."""
    return text_of("ls-remote", "--get-url")


def uncommitted_edits() -> str:
    """Return how the files that git tracks differ from the last commit, as a diff for agents to apply.

    UserError names what ClearML cannot keep of it, and modules that git does not track: agents would run the
    code without them.
    """
    refuse_untracked_modules()
    refuse_hidden_files()
    try:
        edits = decode(git(*DIFF))
    except GitError as error:
        raise UserError(f"git cannot list the edits here ({error}): commit them") from error
    if len(edits) > LARGEST_DIFF:
        raise UserError(
            f"the uncommitted edits have {len(edits):,} characters, ClearML keeps {LARGEST_DIFF:,}: "
            "commit them"
        )
    if edits and not config_obj.get("sdk.development.store_uncommitted_code_diff", True):
        raise UserError(
            "clearml.conf keeps ClearML from storing uncommitted edits (store_uncommitted_code_diff: false): "
            "commit them"
        )
    check_effect(edits, "agents could not apply the uncommitted edits", *PLAIN_APPLY)
    return edits


def refuse_untracked_modules() -> None:
    """UserError for Python files that git does not track: agents would not have them."""
    untracked = split_names(
        git("ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", check=False)
    )
    # An environment for packages may lie here, and be named in no .gitignore.
    untracked = [name for name in untracked if not (FOLDER / Path(name).parts[0] / "pyvenv.cfg").exists()]
    if untracked:
        raise UserError(
            f"git does not track {listing(untracked)}, and agents would run without it: `git add` it, or "
            "name it in .gitignore if no script needs it"
        )


def refuse_hidden_files() -> None:
    """UserError for files that git was told not to look at: it would not show edits in them."""
    marked = split_names(git("ls-files", "-z", "-v", check=False))  # a letter and a blank before each name
    hidden = [line[2:] for line in marked if line[0].islower() or line[0] == "S"]
    hidden = [name for name in hidden if (FOLDER / name).exists()]  # others are left out of a sparse checkout
    if hidden:
        raise UserError(
            f"git was told not to look for edits in {listing(hidden)}: take that back with `git update-index "
            f"--no-assume-unchanged --no-skip-worktree -- {hidden[0]}`"
        )


def decode(diff: bytes) -> str:
    """Return the diff as text; UserError names edited submodules, and files in it that are not text."""
    parts = [b"diff --git " + part for part in (b"\n" + diff).split(b"\ndiff --git ")[1:]]
    binary, submodules = [], []
    for part in parts:
        name = os.fsdecode(part.partition(b"\n")[0]).rpartition(" b/")[2]
        if re.search(rb"^[+-]Subproject commit ", part, re.MULTILINE):
            submodules.append(name)
        with suppress(UnicodeDecodeError):
            if "\0" not in part.decode():
                continue
        binary.append(name)
    if submodules:
        raise UserError(
            f"the submodule {listing(submodules)} was edited, and agents would run it without that: commit "
            "and push in it, then commit here"
        )
    if binary:
        raise UserError(
            f"{listing(binary)} was edited and is not UTF-8 text, and ClearML keeps edits of such text only: "
            "commit the edit, or take it back with `git checkout`"
        )
    return diff.decode()


def check_effect(edits: str, failure: str, *settings: str) -> None:
    """UserError, beginning with `failure`, unless the last commit and the edits make the files on disk.

    `settings` overrule the user's own, as options of git.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            same = tree_of_edits(edits, Path(folder), *settings) == tree_on_disk(Path(folder))
            reason = "it gives other files than those on disk"
        except GitError as error:
            if re.search("no space left|out of diskspace", str(error), re.IGNORECASE):
                place = tempfile.gettempdir()
                raise UserError(f"{error}: make room in {place}, or name another TMPDIR") from error
            same, reason = False, str(error)
    if not same:
        raise UserError(f"{failure} ({reason}): commit them")


def tree_of_edits(edits: str, folder: Path, *settings: str) -> bytes:
    """Return git's hash of the files that an agent gets: the last commit, with the edits applied to it.

    `folder` takes what git writes meanwhile, `settings` overrule the user's. GitError if they do not apply.
    """
    environment = scratch(folder, "of edits")
    git("read-tree", "HEAD", env=environment)
    if edits:
        # From the top: below it, git would leave out the files of other folders.
        top = str(FOLDER / text_of("rev-parse", "--show-cdup"))
        command = ["-C", top, *settings, "apply", "--cached", "--unidiff-zero", "-"]
        git(*command, env=environment, input=edits.encode() + b"\n")
    return git("write-tree", env=environment)


def tree_on_disk(folder: Path) -> bytes:
    """Return git's hash of the files that it tracks, as they are on disk."""
    environment = scratch(folder, "on disk")
    index = FOLDER / text_of("rev-parse", "--git-path", "index")
    # With its time: git compares it with those of the files to find edits made just after `git add`.
    shutil.copy2(index, environment["GIT_INDEX_FILE"])
    git("add", "--update", ":/", env=environment)
    return git("write-tree", env=environment)


def scratch(folder: Path, name: str) -> dict[str, str]:
    """Return an environment in which git writes to `folder`, and nothing into the user's repository."""
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    theirs = str(FOLDER / text_of("rev-parse", "--git-path", "objects"))
    quoted = '"' + theirs.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {
        **os.environ,
        "GIT_INDEX_FILE": str(folder / name),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted,
    }


def check_for_agents(edits: str) -> None:
    """UserError if agents could not get the last commit, or could not apply the edits to it."""
    commit, address = text_of("rev-parse", "HEAD"), remote_address()
    remotes = [
        name for name in text_of("remote").splitlines() if text_of("remote", "get-url", name) == address
    ]
    known = [f"refs/remotes/{name}" for name in remotes]
    if not (known and text_of("for-each-ref", "--count=1", "--contains", commit, *known)):
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        if not text_of("config", "core.sshCommand"):
            environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")  # it must not ask for a password
        clean_address = without_password(address)
        try:
            found = git("ls-remote", env=environment, stdin=subprocess.DEVNULL, timeout=REMOTE_SECONDS)
        except GitError as error:
            raise UserError(
                f"git knows of no push of commit {commit[:9]}, and {clean_address} could not be asked for it "
                f"({without_password(str(error))}): git push it"
            ) from error
        if commit.encode() not in found:
            raise UserError(
                f"agents could not get commit {commit[:9]}, which {clean_address} lacks: git push it"
            )
    check_effect(edits, "agents with git settings such as yours could not apply the uncommitted edits")


def record_edits(task: Task, edits: str) -> None:
    """Put the edits into ClearML's record of the running script's code.

    UserError if ClearML has not found out what the script is: agents would have nothing to run.
    """
    requirements = task.get_requirements()  # waits until ClearML has looked at git, which may be in a thread
    task.reload()
    script = task.data.script
    if not (script and script.entry_point and script.repository and requirements):
        raise UserError(
            "ClearML did not find out what the code of this script is, and agents would have nothing to run: "
            "try again"
        )
    commit = text_of("rev-parse", "HEAD")
    if (script.version_num, script.diff or "") != (commit, edits):
        task.set_script(commit=commit, diff=edits)


def record_what_can_be_kept(task: Task) -> None:
    """Put the edits into the record of a script that was started by hand, and say which it will lack."""
    if why_unreachable():
        return
    try:
        record_edits(task, uncommitted_edits())
    except UserError as error:
        print(f"Note that a clone of this run would run other code: {error}")


def split_names(output: bytes) -> list[str]:
    """Return the names that git printed with -z."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def listing(files: list[str]) -> str:
    """Return up to three names in words."""
    more = f" and {len(files) - 3} more" if files[3:] else ""
    return ", ".join(files[:3]) + more
