"""Which processes make up the stack, where it keeps its files, and the clearml.conf that leads to it."""

import fcntl
import json
import math
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import psutil

from .agents import agent_part, take_up_again
from .beginning import move_in
from .checkout import git_environment, own_settings
from .errors import HomeInUse, StackError
from .home_checks import DATABASE, LOCK, check_home, disk_error, note_start
from .loopback import HOST, open_loopback, without_proxies
from .processes import GRACE_SECONDS, POLL_SECONDS, READY_SECONDS, Processes
from .server.addresses import origin_of
from .server.auth import PAGES, Credentials, write_private
from .server.monitoring_file import MONITORING, Monitoring
from .server.store import is_older
from .settings import DEFAULT_PORT, HOME_NAME, TASK_TIMEOUT, find_project
from .supervision import Part, Supervisor, say

UP_IN_HOME = "python -m local_stack up --home"
SERVICES_AGENT = "agent-services"
AGENTS_TEMPORARY = Path("agent", "tmp")

CONFIGURATION = """\
# Made by local_stack for its own server. It holds the credentials: keep it to yourself.
api {{
    api_server: "{url}"
    web_server: {web_url}
    files_server: "{url}/files"
    credentials {{ access_key: "{credentials.access_key}", secret_key: "{credentials.secret_key}" }}
}}
sdk {{
    development {{
        # Report from a thread: the reporting subprocess costs 8 to 9 seconds at the end of every script.
        report_use_subprocess: false
        # A slow look at git must not store a task without its code.
        vcs_repo_detect_async: false
        worker.ping_period_sec: {ping}
    }}
    storage.cache.default_base_dir: {cache}
    apply_environment: true
}}
environment {{ {environment} }}
agent {{
    venvs_dir: {venvs}
    venvs_cache.path: {venvs_cache}
    vcs_cache.path: {vcs_cache}
    pip_download_cache.path: {pip_cache}
    docker_pip_cache: {pip_cache}
    docker_apt_cache: {apt_cache}
}}
"""


class Stack:
    """A running stack, from entering it as a context manager until leaving it.

    Its files are below `home`: clearml.conf, the server's database and files, logs, and the SDK's cache.
    """

    def __init__(
        self,
        home: Path | str,
        port: int | None = None,
        *,
        fresh: bool = False,
        agents: int = 0,
        agent_queues: Sequence[str] = ("default",),
        controller_queue: str = "services",
        controller_agents: int = 1,
        task_timeout: int = TASK_TIMEOUT,
        web_url: str = "",
        project: Path | None = None,
        begin_with: Path | None = None,
    ) -> None:
        """`port`: 0 takes a free one, None that of the last time or 8008. `fresh` empties the home first.

        What the home `begin_with` holds is moved into one that was never used, and a line says so.

        `agents` is how many listen to the `agent_queues`; if any, `controller_agents` more listen to the
        `controller_queue`. They take code from the git checkout of `project`, by default the current
        folder's. A task that does not report for `task_timeout` seconds is stopped. `web_url` is the address
        of ClearML's own web UI, if it runs on this stack: clients print it.
        """
        self.home = Path(home).resolve()
        self.config_file = self.home / "clearml.conf"
        self._port_file = self.home / "port"
        self._wanted_port = port
        self._fresh = fresh
        names = [f"agent-{number + 1}" for number in range(agents)]
        others = [f"{SERVICES_AGENT}-{number + 2}" for number in range(controller_agents - 1)]
        self.agents = [*names, SERVICES_AGENT, *others] if agents else []
        self._agent_queues, self._controller_queue = agent_queues, controller_queue
        self._project, self._begin_with = project, begin_with
        self._task_timeout = task_timeout
        self.web_url = web_url.rstrip("/")
        if web_url:
            try:
                origin_of(web_url)
            except ValueError as error:
                raise StackError(f"--web-url: {error}.") from error
        self._cleanup = ExitStack()

    def __enter__(self) -> "Stack":
        try:
            return self._start()
        except OSError as error:
            raise disk_error(error, self.home) from error

    def _start(self) -> "Stack":
        with ExitStack() as cleanup:
            lock = self._claim_home(cleanup)
            if self._begin_with and move_in(self.home, self._begin_with):  # told now: the rest may fail
                say(f"All that was in {display_path(self._begin_with)} was moved. To begin with nothing:\n")
                say(f"    {UP_IN_HOME} {display_path(self.home / 'empty')}\n")
            check_home(self.home)
            self.last_port = self._read_port()
            self._scratch = self.home  # where clients keep what they can do without
            if self.agents and any(map(str.isspace, str(self.home))):  # which clearml-agent refuses
                temporary = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="local_stack-"))
                self._scratch = Path(temporary)
            if self._wanted_port is None:
                self._wanted_port = self.last_port or DEFAULT_PORT
            with bind(self._wanted_port, "--port") as listener:
                listener.listen(128)
                self.port = listener.getsockname()[1]
                self.url = f"http://{HOST}:{self.port}"
                self._write_configuration()
                self.tell_pages()  # one that was killed may have told of another
                self.processes = cleanup.enter_context(Processes(self.home / "logs", lock))
                command = [sys.executable, "-m", "local_stack.server", str(self.home / "server")]
                descriptor = listener.fileno()
                older = is_older(self.home / "server" / DATABASE)
                if older:
                    say("Taking over the database of an earlier version: this takes a while if it is large.")
                self.processes.start(
                    "server",
                    [*command, str(descriptor), str(self._task_timeout), self.web_url],
                    ready=self._answers,
                    timeout=math.inf if older else READY_SECONDS,
                    # The lock, too: where all but the server was killed, no other starts on its database.
                    pass_fds=[descriptor, lock],
                )
            note_start(self.home)
            cleanup.callback((self.home / MONITORING).unlink, missing_ok=True)
            if self.agents:
                leftovers = self._scratch / AGENTS_TEMPORARY  # of agents that were killed
                shutil.rmtree(leftovers, ignore_errors=True)
                leftovers.mkdir(parents=True)
            self._agents = Supervisor(self.processes)
            for name in self.agents:
                self._agents.start(partial(self._agent_part, name))
                self._agents.wait()  # for each: of two at once, one could not make the queue of both
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def restart_dead_agents(self) -> None:
        """Start agents again that have died; to be called now and then.

        What they ran may go on, but for what ran on the controller queue: the next agent executes that again.
        """
        self._agents.poll()

    def restarted(self) -> list[str]:
        """Return the names of the processes that `restart_dead_agents` looks after."""
        return self._agents.names()

    def _agent_part(self, name: str) -> Part:
        queues = self._agent_queues
        if name.startswith(SERVICES_AGENT):
            queues = [self._controller_queue]
            with suppress(OSError):  # of a server that has died as well
                take_up_again(self.processes, name, self._controller_queue, self.call)
        # An agent writes its configuration, credentials and all, into a temporary file that in /tmp anyone
        # may read.
        temporary = {"TMPDIR": str(self._scratch / AGENTS_TEMPORARY)}
        environment = self.environment() | own_settings(self.home / "agent") | temporary
        return agent_part(self.processes, name, queues, environment)

    def tell_pages(self, dashboard: Path | None = None, prometheus: str = "", alertmanager: str = "") -> None:
        """Let the pages know of a dashboard, and of addresses of the monitoring, while the stack runs."""
        Monitoring(prometheus, alertmanager, str(dashboard.resolve()) if dashboard else "").write(self.home)

    def environment(self) -> dict[str, str]:
        """Return the environment for a client of this stack, with nothing of another server in it."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "TRAINS_"))
        }
        return {**kept, **without_proxies(), "CLEARML_CONFIG_FILE": str(self.config_file)}

    def pages_link(self) -> str:
        """Return the address that opens the pages in a browser. Whoever has it may see everything here."""
        return f"{self.url}/?token={self.credentials().token(audience=PAGES)}"

    def credentials(self) -> Credentials:
        """Return the credentials of this stack's owner."""
        return Credentials.load_or_make(self.home / "server" / "credentials.json")

    def stores_files(self) -> bool:
        """Return whether anything was ever uploaded."""
        return any((self.home / "server" / "files").iterdir())

    def call(self, name: str, /, **parameters: object) -> dict[str, Any]:
        """Return the data of an API call to the server."""
        return call(self.url, self.home, name, **parameters)

    def _claim_home(self, cleanup: ExitStack) -> int:
        """Make the home if need be, and lock it while the stack runs; return the lock's descriptor."""
        shared = self.home.name == HOME_NAME
        if self._fresh and shared:
            raise StackError(f"{self.home} holds more than one stack's files: choose another with --home.")
        if self.home.exists() and not self.home.is_dir():
            raise StackError(f"{self.home} is not a folder: choose another with --home.")
        try:
            # A project's home is ours also when it has only the folders of demos and tools in it.
            ours = shared or (self.home / LOCK).exists()
            if not ours and self.home.exists() and any(self.home.iterdir()):
                raise StackError(
                    f"{self.home} holds files that are no local stack's: choose another with --home."
                )
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.home.chmod(0o700)  # also where a demo below it made it
            lock = cleanup.enter_context((self.home / LOCK).open("a+"))
        except OSError as error:
            raise StackError(
                f"{self.home} cannot be used ({error.strerror}): choose another folder with --home."
            ) from error
        self._lock_home(lock)
        if self._fresh:
            for entry in self.home.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != LOCK:
                    entry.unlink()
        return lock.fileno()

    def _lock_home(self, lock: TextIO) -> None:
        """Lock the home, and note who holds it. HomeInUse if another stack does.

        A stack that was killed leaves its guardian behind for a moment, to end what it started: wait for it.
        """
        deadline = time.monotonic() + 4 * GRACE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                lock.seek(0)
                if not was_killed(lock.read()) or time.monotonic() > deadline:
                    raise HomeInUse(
                        f"A local stack is running in {self.home} already: stop it, "
                        "or choose another with --home."
                    ) from error
                time.sleep(POLL_SECONDS)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

    def _read_port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):  # it is not there yet, or a crash left it empty
            return None

    def _write_configuration(self) -> None:
        server_home = self.home / "server"
        server_home.mkdir(exist_ok=True)
        write_private(self._port_file, str(self.port))
        write_private(self.home / ".gitignore", "*\n")  # `git add --all` must not take the credentials along
        git = {}
        if self.agents:
            git = git_environment(self._project or find_project(Path.cwd())[0], self.home) or {}
        text = CONFIGURATION.format(
            url=self.url,
            web_url=quoted(self.web_url or self.url),
            credentials=self.credentials(),
            ping=min(30, self._task_timeout / 4),
            cache=quoted(str(self._scratch / "cache")),
            venvs=quoted(str(self._scratch / "agent" / "venvs")),
            venvs_cache=quoted(str(self._scratch / "agent" / "venvs-cache")),
            vcs_cache=quoted(str(self._scratch / "agent" / "vcs-cache")),
            pip_cache=quoted(str(self._scratch / "agent" / "pip-cache")),
            apt_cache=quoted(str(self._scratch / "agent" / "apt-cache")),
            environment=", ".join(f"{key}: {quoted(value)}" for key, value in git.items()),
        )
        write_private(self.config_file, text)

    def _answers(self) -> bool:
        try:
            with open_loopback(f"{self.url}/debug.ping", timeout=1):
                return True
        except OSError:  # URLError is one
            return False


def call(url: str, home: Path, name: str, /, **parameters: object) -> dict[str, Any]:
    """Return the data of an API call to the server of the stack with this home."""
    token = Credentials.load_or_make(home / "server" / "credentials.json").token()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/{name}", json.dumps(parameters).encode(), headers)
    with open_loopback(request, timeout=30) as answer:
        return json.load(answer)["data"]


def was_killed(holder: str) -> bool:
    """Return whether the process whose number stands in a lock has ended."""
    try:
        return psutil.Process(int(holder)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except ValueError:  # it has only just locked the home, and not written its number yet
        return False


def bind(port: int, option: str) -> socket.socket:
    """Return a socket on a port of this machine, for 0 on any free one; `option` is what chooses another."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise StackError(
            f"Port {port} cannot be used ({error.strerror}): stop what uses it, "
            f"or choose another with {option} ({option} 0 takes a free one)."
        ) from error
    return bound


def quoted(text: str) -> str:
    """Return the text as clearml.conf takes it: in quotes, and with letters of any language as they are."""
    return json.dumps(text, ensure_ascii=False)


def display_path(path: Path) -> str:
    """Return the path as one would type it: relative if below the current folder, quoted if need be."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if not relative.startswith("..") else str(path))
