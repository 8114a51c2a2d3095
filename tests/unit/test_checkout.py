"""checkout.py: what ClearML keeps of edits makes the very files on disk, or is refused by name."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from clearml_tools.errors import UserError

import pytest

from clearml_tools import checkout
from clearml_tools.checkout import check_for_agents, record_edits, uncommitted_edits, why_unreachable

IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
LINES = [f"line = {number}\n" for number in range(40)]


def git(folder: Path, *arguments: str, **options) -> bytes:
    """Run git as it is without any user's settings."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(folder), *IDENTITY, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose scripts lie in its folder `code`, pushed to a remote."""
    top = tmp_path / "a repository"
    (top / "code" / "clearml_tools").mkdir(parents=True)
    for name in ("clearml_tools/checkout.py", "script.py", "a höhe (1).py", "../outside.py", "crlf.py"):
        end = "\r\n" if name == "crlf.py" else "\n"
        (top / "code" / name).write_text("".join(LINES), newline=end)
    (top / "code" / "picture.png").write_bytes(bytes(range(256)))
    (top / "code" / "latin.txt").write_bytes("höhe\n".encode("cp1252"))
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", "remote")
    git(top, "init", "--quiet", "--initial-branch", "main")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "All of it")
    git(top, "remote", "add", "origin", str(tmp_path / "remote"))
    git(top, "push", "--quiet", "--set-upstream", "origin", "main")
    monkeypatch.setattr(checkout, "FOLDER", top / "code")
    return top


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes a text the user's global settings of git."""

    def write(text: str) -> None:
        (tmp_path / "gitconfig").write_text(text)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))

    return write


def files_at_an_agent(repository: Path, edits: str) -> dict[str, bytes]:
    """The files that an agent has: it clones, and applies the edits as clearml-agent does."""
    clone = repository.with_name("clone")
    git(repository.parent, "clone", "--quiet", str(repository.with_name("remote")), str(clone))
    if edits:
        git(clone, "apply", "--unidiff-zero", input=edits.encode() + b"\n")
    return files_in(clone)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a work tree, by its name: content, target of a link, and whether it can be executed."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = b"link to " + os.fsencode(os.readlink(path))
        elif path.is_file() and not name.startswith(".git/"):
            found[name] = path.read_bytes() + (b" executable" if os.access(path, os.X_OK) else b"")
    return found


# Settings that change what git prints, or what is applied: each of them alone would make the edits useless.
OTHER_FORMS = """
[color]\n ui = always\n diff = always
[core]\n quotePath = false\n abbrev = 40\n pager = false\n attributesFile = {attributes}
[diff]\n external = echo\n context = 0\n interHunkContext = 50\n relative = true\n renames = copies
 orderFile = /nowhere/order\n suppressBlankEmpty = true\n algorithm = histogram\n submodule = log
[diff "py"]\n textconv = sort -r
[apply]\n whitespace = warn
"""
PREFIXES = [" noprefix = true", " mnemonicPrefix = true", ' srcPrefix = "old/"\n dstPrefix = "new/"']


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("attribute", ["diff=py", "-diff"])
def test_edits_reach_an_agent_whatever_gits_settings_are(repository, settings, tmp_path, prefix, attribute):
    attributes = tmp_path / "attributes"
    attributes.write_text(f"*.py {attribute}\n")
    settings(f"{OTHER_FORMS.format(attributes=attributes)}[diff]\n{prefix}")
    for file in ("code/script.py", "code/a höhe (1).py", "outside.py"):
        (repository / file).write_text("".join([*LINES[:3], "edited = 'ö'\n", "\n", *LINES[4:-1]]))
    check_at_an_agent(repository)


def check_at_an_agent(repository: Path) -> None:
    edits = uncommitted_edits()
    check_for_agents(edits)
    assert files_at_an_agent(repository, edits) == files_in(repository)


def conflict(repository: Path) -> None:
    """A merge that was not brought to its end."""
    for branch, text in (("one", "1\n"), ("two", "2\n")):
        git(repository, "checkout", "--quiet", "-b", branch, "main")
        (repository / "code" / "script.py").write_text(text)
        git(repository, "commit", "--quiet", "--all", "--message", branch)
    git(repository, "push", "--quiet", "origin", "two:main")
    command = ["git", "-C", str(repository), *IDENTITY, "merge", "one"]
    assert subprocess.run(command, capture_output=True).returncode == 1


EDITS = {
    "none": lambda top: None,
    "no newline at the end": lambda top: (top / "code/script.py").write_text("edited = 1"),
    "carriage returns": lambda top: (top / "code/crlf.py").write_bytes(b"edited = 1\r\n" * 3),
    "a lone carriage return": lambda top: (top / "code/script.py").write_bytes(b"edited = '\r'\n"),
    "line separators": lambda top: (top / "code/script.py").write_text("edited = '\u2028\x0c\x85'\n"),
    "an emptied file": lambda top: (top / "code/script.py").write_text(""),
    "a deleted file": lambda top: (top / "code/script.py").unlink(),
    "trailing blanks": lambda top: (top / "code/script.py").write_text("edited = 1   \n\t\n\n\n"),
    "an executable file": lambda top: (top / "code/script.py").chmod(0o755),
    "an unfinished merge": conflict,
    "lines that look like a diff": lambda top: (top / "code/script.py").write_text(
        "'''\n-- a/x\n@@ -1 +1 @@\n'''\n"
    ),
}


def add_rename_and_link(repository: Path) -> None:
    (repository / "code" / "new file.py").write_text("new = True\n")
    (repository / "code" / "staged.py").write_text("staged = 1\n")
    (repository / "link").symlink_to("code/script.py")
    git(repository, "add", "--intent-to-add", "code/new file.py")
    git(repository, "add", "code/staged.py", "link")
    git(repository, "mv", "outside.py", "elsewhere.py")
    (repository / "code" / "staged.py").write_text("staged = 2\n")


@pytest.mark.parametrize("edit", [*EDITS.values(), add_rename_and_link], ids=[*EDITS, "other files"])
def test_every_kind_of_edit_reaches_an_agent_and_reading_it_changes_nothing(repository, edit):
    edit(repository)
    before = files_in(repository / ".git")
    check_at_an_agent(repository)
    assert files_in(repository / ".git") == before


# What ClearML cannot keep


def hide(repository: Path, how: str) -> None:
    git(repository, "update-index", how, "code/script.py")
    (repository / "code" / "script.py").write_text("edited = 1\n")


def edit_submodule(repository: Path) -> None:
    other = repository.with_name("other")
    git(repository.parent, "init", "--quiet", "--initial-branch", "main", "other")
    (other / "module.py").write_text("edited = 0\n")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message", "A submodule")
    add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "code/sub"]
    git(repository, *add)
    git(repository, "commit", "--quiet", "--message", "With a submodule")
    (repository / "code" / "sub" / "module.py").write_text("edited = 1\n")


NO_TEXT = "was edited and is not UTF-8 text"
REFUSED = {
    "a binary file": (lambda top: (top / "code/picture.png").write_bytes(b"\x89PNG\0\xff"), NO_TEXT),
    "a file with NULs": (lambda top: (top / "code/script.py").write_text("'\0'\n"), NO_TEXT),
    "another encoding": (lambda top: (top / "code/latin.txt").write_bytes(b"h\xf6her"), NO_TEXT),
    "too much": (
        lambda top: (top / "code/script.py").write_text("x" * 600_000),
        "characters, ClearML keeps 500,000: commit them",
    ),
    "a module that git does not know": (
        lambda top: (top / "code/features.py").write_text("new = 1\n"),
        "git does not track features.py, and agents would run without it: `git add` it",
    ),
    "a submodule": (edit_submodule, "the submodule code/sub was edited"),
    "a file taken for unchanged": (lambda top: hide(top, "--assume-unchanged"), "git was told not to look"),
    "a file that is skipped": (lambda top: hide(top, "--skip-worktree"), "for edits in script.py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_clearml_cannot_keep_is_refused_by_name(repository, name):
    edit, told = REFUSED[name]
    edit(repository)
    with pytest.raises(UserError, match=rf"\A.*{re.escape(told)}.*\Z"):
        uncommitted_edits()


def test_edits_that_agents_with_such_settings_would_refuse_or_change_are_refused(repository, settings):
    (repository / "code" / "script.py").write_text("edited = '''   \n'''\n")
    for setting in ("error", "fix"):
        settings(f"[apply]\n whitespace = {setting}")
        edits = uncommitted_edits()
        with pytest.raises(UserError, match=r"agents with git settings such as yours .*: commit them"):
            check_for_agents(edits)


@pytest.fixture
def committed(repository: Path) -> Path:
    """The repository with a commit that was not pushed."""
    (repository / "code" / "script.py").write_text("edited = 1\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Not pushed")
    return repository


def test_a_commit_that_the_remote_lacks_is_refused_even_if_another_has_it(committed, tmp_path):
    git(tmp_path, "init", "--quiet", "--bare", "fork")
    git(committed, "remote", "add", "fork", str(tmp_path / "fork"))
    git(committed, "push", "--quiet", "fork", "main")
    told = r"agents could not get commit \w{9}, which .*remote lacks: git push it"
    with pytest.raises(UserError, match=told):
        check_for_agents(uncommitted_edits())
    git(committed, "push", "--quiet", "origin", "HEAD:elsewhere")
    check_for_agents(uncommitted_edits())


def test_a_commit_is_refused_where_the_remote_cannot_be_asked(committed):
    git(committed, "remote", "set-url", "origin", "https://me:secret@git.invalid/asteroids.git")
    told = r"git.invalid/asteroids.git could not be asked for it \(.+\): git push it"
    with pytest.raises(UserError, match=told) as error:
        check_for_agents(uncommitted_edits())
    assert "secret" not in str(error.value)


def test_an_environment_in_the_checkout_is_no_module(repository):
    (repository / "code" / "env" / "lib").mkdir(parents=True)
    (repository / "code" / "env" / "pyvenv.cfg").touch()
    (repository / "code" / "env" / "lib" / "some.py").touch()
    assert uncommitted_edits() == ""


def test_a_clearml_conf_that_keeps_edits_from_being_stored_is_named(repository, monkeypatch):
    monkeypatch.setattr(checkout, "config_obj", SimpleNamespace(get=lambda *_: False))
    assert uncommitted_edits() == ""
    (repository / "code" / "script.py").write_text("edited = 1\n")
    with pytest.raises(UserError, match="store_uncommitted_code_diff: false"):
        uncommitted_edits()


# Where agents could not get the code at all


def test_code_without_a_remote_or_a_repository_is_not_reachable(repository, tmp_path, monkeypatch):
    assert why_unreachable() is None
    git(repository, "remote", "remove", "origin")
    assert why_unreachable() == "git knows no remote here"
    git(repository, "rm", "--quiet", "--cached", "code/clearml_tools/checkout.py")
    assert why_unreachable() == "it is in no git checkout"
    monkeypatch.setattr(checkout, "FOLDER", tmp_path)
    assert why_unreachable() == "it is in no git checkout"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in why_unreachable()


# ClearML's record


class Record:
    """A task, as far as its record of the code goes."""

    def __init__(self, **script) -> None:
        known = {"repository": "https://git.invalid/asteroids.git", "version_num": "another", "diff": ""}
        self.data = SimpleNamespace(script=SimpleNamespace(**known | script))

    def get_requirements(self) -> dict[str, str]:
        return {"pip": "clearml"}

    def reload(self) -> None: ...

    def set_script(self, commit: str, diff: str) -> None:
        vars(self.data.script).update(version_num=commit, diff=diff)


def test_what_clearml_found_out_by_itself_gives_way_to_the_edits(repository):
    task = Record(entry_point="code/script.py", diff="\x1b[1mdiff in colours")
    record_edits(task, "the edits")
    assert task.data.script.version_num == git(repository, "rev-parse", "HEAD").decode().strip()
    assert task.data.script.diff == "the edits"


@pytest.mark.parametrize("missing", ["entry_point", "repository"])
def test_a_record_without_code_is_refused(repository, missing):
    with pytest.raises(UserError, match="ClearML did not find out what the code of this script is"):
        record_edits(Record(**{"entry_point": "code/script.py", missing: ""}), "")
