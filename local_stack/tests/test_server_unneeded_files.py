"""Files of what is deleted: they go with it if the client asks for it, as ClearML's web UI does."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.files.unneeded import keep_removing, remove_unneeded
from local_stack.server.store import Store
from local_stack.tests.api import Api, InProcess

FILES = "http://127.0.0.1:8008/files"
ASKED = {"delete_external_artifacts": True, "force": True}


class Server(Api):
    store: Store
    files: FileStore

    def file(self, path: str) -> str:
        """Store a file of that path, and return its address."""
        self.request("POST", "/files", files={path: b"content"}).raise_for_status()
        return f"{FILES}/{quote(path)}"

    def remove_unneeded(self) -> list[str]:
        """Return the paths of the files that are left once the server has removed what nobody needs."""
        remove_unneeded(self.store, self.files)
        return sorted(
            path.relative_to(self.files.root).as_posix()
            for path in self.files.root.rglob("*")
            if path.is_file()
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    credentials, files = Credentials.make(), FileStore(tmp_path / "files")
    with closing(Store(":memory:")) as store:
        application = create_app(store, credentials, files)
        with InProcess(application) as transport, Server(FILES[:-6], credentials, transport) as server:
            server.store, server.files = store, files
            yield server


@pytest.fixture
def task(server: Server) -> str:
    """A task with an artifact, an input, a debug image and two models, of which one is published."""
    task = server.new("task")
    artifacts = [
        {"key": "table", "type": "custom", "mode": "output", "uri": server.file("run/my table.csv")},
        {"key": "given", "type": "custom", "mode": "input", "uri": server.file("given/input.csv")},
    ]
    server("tasks.add_or_update_artifacts", task=task, artifacts=artifacts)
    for name, ready in (("draft", False), ("published", True)):
        model = server.new("model", task=task, uri=server.file(f"models/{name}.bin"), ready=ready)
        server("tasks.add_or_update_model", task=task, name=name, type="output", model=model)
    image = {"type": "training_debug_image", "metric": "m", "variant": "v", "iter": 0, "task": task}
    server.events({**image, "url": server.file("run/images/1.png")})
    return task


KEPT = ["given/input.csv", "models/published.bin"]


@pytest.mark.parametrize("name", ["tasks.delete", "tasks.reset", "tasks.delete_many", "tasks.reset_many"])
def test_the_files_of_a_task_go_with_it_if_asked(server, task, name):
    ids = {"ids": [task]} if name.endswith("_many") else {"task": task}
    server("tasks.started", task=task)
    server(name, **ids, **ASKED)
    assert server.remove_unneeded() == KEPT
    assert not (server.files.root / "run").exists()  # nothing is left in it


@pytest.mark.parametrize("asked", [{}, {"delete_external_artifacts": False}, {"return_file_urls": True}])
def test_without_being_asked_the_server_removes_no_file(server, task, asked):
    before = server.remove_unneeded()
    server("tasks.delete", task=task, force=True, **asked)
    assert server.remove_unneeded() == before


def test_a_model_that_stays_keeps_its_file(server, task):
    server("tasks.delete", task=task, delete_output_models=False, **ASKED)
    assert server.remove_unneeded() == ["given/input.csv", "models/draft.bin", "models/published.bin"]


@pytest.mark.parametrize("name", ["models.delete", "models.delete_many"])
def test_the_file_of_a_model_goes_with_it_if_asked(server, name):
    model = server.new("model", uri=server.file("models/m.bin"))
    ids = {"ids": [model]} if name.endswith("_many") else {"model": model}
    server(name, **ids, **ASKED)
    assert server.remove_unneeded() == []


def test_the_files_of_a_project_go_with_its_contents(server, task):
    project = server.new("project", name="a project")
    server("tasks.move", ids=[task], project=project)
    before = server.remove_unneeded()
    server("projects.delete", project=project, **ASKED)
    assert server.remove_unneeded() == before  # its tasks are without a project now
    project = server.new("project", name="a project")
    server("tasks.move", ids=[task], project=project)
    server("projects.delete", project=project, delete_contents=True, **ASKED)
    assert server.remove_unneeded() == ["given/input.csv", "models/draft.bin", "models/published.bin"]


def test_a_call_that_fails_removes_nothing(server, task):
    before = server.remove_unneeded()
    server("tasks.started", task=task)
    assert server.send("tasks.delete", task=task, delete_external_artifacts=True).status_code == 400
    assert server.remove_unneeded() == before


@pytest.mark.parametrize(
    "uri",
    [
        "http://files.example/files/kept.bin",
        "s3://bucket/files/kept.bin",
        "http://127.0.0.1:8008/kept.bin",
        "http://127.0.0.1:8008/files/../files/kept.bin",
        "http://127.0.0.1:8008/files/..%2Ffiles/kept.bin",
        "http://127.0.0.1:8008/files//%00",
        "http://127.0.0.1:8008/files/",
        "http://127.0.0.1:8008/files/folder",
        "http://[::1/files/kept.bin",
        "http://127.0.0.1:8008/files/\ud800",
        pytest.param("http://127.0.0.1:8008/files/" + 5000 * "a", id="a long name"),
        pytest.param("http://127.0.0.1:8008/files/" + 5000 * "a/", id="many folders"),
        "file:///files/kept.bin",
        "kept.bin",
    ],
)
def test_addresses_of_others_and_of_no_file_are_left_alone(server, uri):
    server.file("kept.bin")
    server.file("folder/kept.bin")
    server("models.delete", model=server.new("model", uri=uri), **ASKED)
    assert server.remove_unneeded() == ["folder/kept.bin", "kept.bin"]
    assert server.store.all("unneeded_file") == []


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8008", "[::1]:8008"])
def test_a_file_is_known_by_the_server_s_other_names_and_earlier_ports(server, host):
    uri = server.file("models/m.bin").replace("127.0.0.1:8008", host)
    server("models.delete", model=server.new("model", uri=uri), **ASKED)
    assert server.remove_unneeded() == []


def test_the_server_removes_files_while_it_runs(server, task):
    server("tasks.delete", task=task, **ASKED)

    async def run() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await keep_removing(server.store, server.files, seconds=0.001)

    asyncio.run(run())
    assert server.store.all("unneeded_file") == []
    assert not (server.files.root / "run").exists()


def test_a_file_that_cannot_be_removed_is_told_of_once(server, caplog, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    server("models.delete", model=server.new("model", uri=server.file("m.bin")), **ASKED)
    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(2):
        remove_unneeded(server.store, server.files)
    (line,) = [line for line in caplog.messages if "cannot be removed" in line]
    assert "m.bin" in line
