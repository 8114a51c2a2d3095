"""What can be set: keys of `[tool.local_stack]` in the user's pyproject.toml, and options of `up`.

Each setting is both, with the same name. The option wins.
"""

import argparse
import tomllib
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from .errors import StackError

HOME_NAME = ".local_stack"  # a folder of this name holds a project's stack, and demos and tools below it
TABLE = "[tool.local_stack]"
DEFAULT_PORT = 8008
TASK_TIMEOUT = 2 * 3600  # ClearML's own


def setting(default: Any, kind: type, text: str, least: int = 0, most: int | None = None) -> Any:
    """Return a field of Settings; `kind` is the type of the value in pyproject.toml."""
    return field(default=default, metadata={"kind": kind, "help": text, "least": least, "most": most})


def port_setting(default: int | None, text: str) -> Any:
    return setting(default, int, f"{text}; 0 takes a free one", most=65535)


@dataclass(frozen=True)
class Settings:
    """The settings of one project, whose folder is `project`. Paths in its pyproject.toml are below it."""

    project: Path
    home: Path = setting(None, Path, "folder for all files of the stack")
    begin_with: Path | None = setting(
        None, Path, "home of another stack, whose files are moved into one that was never used"
    )
    port: int | None = port_setting(None, f"port of the server, by default the last one or {DEFAULT_PORT}")
    agents: int | None = setting(None, int, "agents on the agent queues, by default 0, with --serving 2")
    agent_queues: tuple[str, ...] = setting(("default",), list, "queues of tasks")
    controller_queue: str = setting("services", str, "queue of pipeline controllers, with its own agents")
    controller_agents: int = setting(1, int, "agents on that queue, if there are any agents", least=1)
    web_url: str = setting("", str, "address of ClearML's own web UI, if it runs on this stack")
    task_timeout: int = setting(
        TASK_TIMEOUT, int, "seconds after which a running task that does not report is stopped", least=1
    )
    serving_name: str = setting("serving", str, "with --serving: name of the clearml-serving service")
    workers: int = setting(1, int, "with --serving: processes that answer requests", least=1)
    serving_port: int = port_setting(8080, "with --serving: port of inference")
    prometheus_port: int = port_setting(9090, "with --serving: port of Prometheus")
    grafana_port: int = port_setting(3000, "with --serving: port of Grafana")
    alertmanager_port: int = port_setting(9093, "with --serving: port of Alertmanager")
    rules: Path | None = setting(None, Path, "with --serving: file of alert rules for Prometheus")
    alertmanager: Path | None = setting(None, Path, "with --serving: configuration of Alertmanager")
    alert_webhook: str = setting(
        "", str, "with --serving: URL that gets the alerts, too, which Alertmanager's default receiver gets"
    )
    dashboard: Path | None = setting(
        None, Path, "with --serving: dashboard of Grafana, drawn by the pages, too"
    )
    deployment_command: str = setting(
        "", str, "with --serving: runs when a model was published or tagged; what it prints is shown"
    )

    @classmethod
    def load(cls, start: Path | None = None) -> "Settings":
        """Return the settings for a folder, the current one by default; StackError for a wrong one."""
        project, table = find_project(start or Path.cwd())
        known = {each.name: each for each in settable()}
        if unknown := table.keys() - known.keys():
            raise StackError(
                f"{project / 'pyproject.toml'}: {TABLE} has no key {', '.join(sorted(unknown))}. "
                f"The keys are {', '.join(known)}."
            )
        found: dict[str, Any] = {}
        for name, value in table.items():
            try:
                found[name] = checked(known[name], value)
            except ValueError as error:
                raise StackError(f"{project / 'pyproject.toml'}: {TABLE} {name}: {error}") from error
        paths = {name: project / value for name, value in found.items() if isinstance(value, Path)}
        return cls(project, **{"home": project / HOME_NAME, **found, **paths})

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add an option for each setting, whose help says the value; only what is given is in the result."""
        for each in settable():
            value, is_list = getattr(self, each.name), each.metadata["kind"] is list
            shown = (", ".join(value) if is_list else str(value)).replace("%", "%%")
            parser.add_argument(
                f"--{each.name.replace('_', '-')}",
                default=argparse.SUPPRESS,
                type=partial(from_text, each),
                nargs="+" if is_list else None,
                help=each.metadata["help"] + (f" ({shown})" if value else ""),
            )

    def with_options(self, options: argparse.Namespace) -> "Settings":
        """Return the settings with what the command line says in place of the file's.

        The file's `begin_with` is for the file's home alone.
        """
        given = {each.name: getattr(options, each.name) for each in settable() if each.name in options}
        if given.get("home", self.home).resolve() != self.home.resolve():
            given = {"begin_with": None, **given}
        return replace(self, **given)


def settable() -> Iterator[Field[Any]]:
    return (each for each in fields(Settings) if each.metadata)


def checked(each: Field[Any], value: object) -> object:
    """Return a value from pyproject.toml as the field has it; ValueError says what is expected."""
    kind, least, most = (each.metadata[key] for key in ("kind", "least", "most"))
    if kind is int:
        right = type(value) is int and least <= value and (most is None or value <= most)
        wanted = f"a whole number from {least} " + ("up" if most is None else f"to {most}")
    elif kind is list:
        right = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        wanted = "a list of texts"
    else:
        right = isinstance(value, str) and (value != "" or each.default == "")
        wanted = "a text that is not empty"
    if not right:
        raise ValueError(f"{value!r} is not {wanted}")
    return {Path: Path, list: tuple}.get(kind, kind)(value)


def from_text(each: Field[Any], text: str) -> object:
    """Return an option's value, for a list one item of it."""
    if each.metadata["kind"] is list:
        return text
    is_number = each.metadata["kind"] is int and text.isdecimal()
    try:
        return checked(each, int(text) if is_number else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def find_project(start: Path) -> tuple[Path, dict[str, Any]]:
    """Return a project's folder and its table of settings, which is empty where there is none.

    It is the nearest folder, from `start` up to the top of its git checkout, whose pyproject.toml has the
    table; otherwise the nearest with a pyproject.toml or with git's own folder; otherwise `start`.
    """
    start = start.resolve()
    nearest = None
    for folder in (start, *start.parents):
        file, is_top = folder / "pyproject.toml", (folder / ".git").exists()
        if file.exists():
            table = read_table(file)
            if table is not None:
                return folder, table
        if file.exists() or is_top:
            nearest = nearest or folder
        if is_top:
            break
    return nearest or start, {}


def read_table(file: Path) -> dict[str, Any] | None:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise StackError(f"{file} cannot be read as TOML ({error}): correct it.") from error
    tool = content.get("tool")
    table = tool.get("local_stack") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise StackError(f"{file}: tool.local_stack is not a table: write {TABLE}.")
    return table


def default_home() -> Path:
    """Return the folder for the stack of the current folder's project."""
    return find_project(Path.cwd())[0] / HOME_NAME
