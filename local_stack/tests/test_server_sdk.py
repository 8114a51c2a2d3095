"""The unmodified ClearML SDK on the local server: what it records, it reads back.

The scripts in sdk_scripts/ are clients of the server, most of them at the same time. Every answer that they
get is checked against the SDK's own schemas.
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local_stack.tests import sdk_schemas
from local_stack.waiting import Child

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).with_name("sdk_scripts")


class Client(Child):
    """One of the scripts, running, with its calls of the API recorded."""

    def __init__(self, name: str, stack, folder: Path, *arguments: str) -> None:
        self.name = name
        self.calls = folder / f"{name}.jsonl"
        path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, SCRIPTS / f"{name}.py", self.calls, *arguments]
        super().__init__(command, env={**stack.environment(), "PYTHONPATH": path}, apart=True)

    def result(self) -> dict:
        """What the script prints in its last line, once it has ended well."""
        assert self.wait_for_end() == 0, f"{self.name} failed:\n{self.told()}"
        return json.loads(self.printed.lines[-1])


@pytest.fixture(scope="module")
def clients(stack, tmp_path_factory) -> dict[str, Client]:
    """All scripts, of which all but the reading one run at the same time."""
    folder = tmp_path_factory.mktemp("calls")
    clients = {}
    with ExitStack() as running:

        def start(name: str, *arguments: str) -> Client:
            clients[name] = running.enter_context(Client(name, stack, folder, *arguments))
            return clients[name]

        for client in [start(name) for name in ("experiment", "lifecycle", "datasets", "models")]:
            client.found = client.result()
        reading = start("reading", clients["experiment"].found["id"])
        reading.found = reading.result()
    return clients


@pytest.fixture(scope="module")
def experiment(clients) -> dict[str, Any]:
    """What another process reads of the experiment."""
    return clients["reading"].found


@pytest.fixture(scope="module")
def lifecycle(clients) -> dict[str, Any]:
    return clients["lifecycle"].found


@pytest.fixture(scope="module")
def datasets(clients) -> dict[str, Any]:
    return clients["datasets"].found


@pytest.fixture(scope="module")
def models(clients) -> dict[str, Any]:
    return clients["models"].found


@pytest.mark.parametrize("name", ["experiment", "reading", "lifecycle", "datasets", "models"])
def test_every_answer_to_the_sdk_has_the_shape_that_its_schema_says(clients, name):
    assert len(sdk_schemas.called_in(clients[name].calls)) > 8
    assert sdk_schemas.problems_in(clients[name].calls) == []


def test_nothing_that_the_sdk_asks_for_is_unknown(clients):
    for client in clients.values():
        assert sdk_schemas.unknown_in(client.calls) == []


# An experiment


def test_a_task_tells_what_it_is(experiment):
    assert experiment["name"] == "all of it"
    assert experiment["project"] == "sdk tests/experiments"
    assert (experiment["type"], experiment["status"]) == ("testing", "completed")
    assert experiment["tags"] == ["first", "größe", "second"]
    assert experiment["comment"] == "what it is for"
    assert experiment["script"].endswith("experiment.py")
    assert experiment["last_iteration"] == 4


def test_connected_parameters_come_back_as_text_and_in_their_types(experiment):
    expected = {
        "General/depth": "3",
        "General/rate": "0.5",
        "General/name": "grün",
        "General/flags": "[1, 2]",
    }
    assert experiment["parameters"].items() >= expected.items()
    assert experiment["parameters"]["Net/layers/hidden"] == "4"
    assert experiment["parameters"]["Args/late"] == "yes"
    assert experiment["cast"]["General/rate"] == 0.5
    assert experiment["cast"]["General/flags"] == [1, 2]
    assert experiment["dictionary"]["depth"] == "3"


def test_user_properties_come_back(experiment):
    assert experiment["user_properties"] == {"grade": "A", "reviewer": "Ann"}


def test_configuration_objects_come_back_whatever_they_were_made_of(experiment):
    assert experiment["configurations"] == {
        "dictionary": {"window": [1, 2], "nested": {"a": "b"}},
        "text": "key = value\nother = größe",
        "file": "a: 1\n",
    }


def test_the_console_log_comes_back(experiment):
    for line in ("a line on the console: größe ✓", "a line on stderr", "a reported line"):
        assert line in experiment["console"]


def test_scalars_come_back(experiment):
    loss = {
        "train": {"name": "train", "x": [0, 1, 2, 3, 4], "y": [1 / n for n in range(1, 6)]},
        "validation": {"name": "validation", "x": [0, 1, 2, 3, 4], "y": [2 / n for n in range(1, 6)]},
    }
    assert experiment["scalars"]["loss"] == loss
    assert experiment["all_scalars"]["loss"] == loss
    assert experiment["last_scalars"]["train"] == {"last": 0.2, "min": 0.2, "max": 1.0}


def test_single_values_come_back(experiment):
    assert experiment["single_values"] == {"accuracy": 0.875}
    assert experiment["single_value"] == 0.875


@pytest.mark.parametrize(
    ("plot", "type_of_trace"),
    [
        ("table/preview", "table"),
        ("histogram/series", "bar"),
        ("confusion/matrix", "heatmap"),
        ("scatter/points", "scatter"),
        ("figure/drawn", "scatter"),
    ],
)
def test_plots_come_back(experiment, plot, type_of_trace):
    (trace,) = json.loads(experiment["plots"][plot])["data"]
    assert trace["type"] == type_of_trace


def test_debug_samples_come_back_newest_first_with_their_files(experiment):
    assert experiment["samples"] == [2, 1, 0]
    assert experiment["last_samples"] == [2, 1]
    assert experiment["sample_file"] == "jpeg"


def test_artifacts_of_every_kind_come_back(experiment):
    assert experiment["contents"] == {
        "dictionary": {"a": [1, 2, {"b": None}]},
        "frame": {"name": ["a", "b"], "value": [1.5, 2.5]},
        "array": [[0, 1, 2], [3, 4, 5]],
        "image": [8, 8],
        "text": "plain text, größe",
        "object": [1, 2, 3],
        "file": "content of the file",
        "folder": ["one.txt", "two.txt"],
        "odd": {"odd": True},
    }
    assert experiment["metadata"] == {"made": "by a test"}


def test_a_registered_artifact_is_stored_when_the_task_ends(experiment):
    assert "registered" in experiment["artifacts"]


def test_links_lead_to_this_server(experiment, stack):
    assert experiment["link"].startswith(f"{stack.url}/projects/")


# What happens to tasks afterwards


def test_tasks_are_found_by_name_tags_and_filters(lifecycle):
    assert lifecycle["queries"] == {
        "by name": ["made 0", "made 1"],
        "by tag": ["made 0", "made 2"],
        "by tags": ["made 2"],
        "ordered": ["made 2", "made 1", "made 0"],
        "ids": 3,
        "fields": ["odd", "n1"],
        "nobody": None,
    }


def test_a_clone_is_a_draft_of_its_own(lifecycle):
    assert lifecycle["clone"] == {
        "status": "created",
        "parent": True,
        "parameters": {"General/number": "9", "Args/keep": "yes"},
        "of the template": {"General/number": "0", "Args/keep": "yes"},
    }


def test_a_deleted_artifact_is_gone(lifecycle):
    assert lifecycle["artifacts"] == ["result"]


def test_a_reset_task_keeps_its_parameters_and_nothing_of_its_run(lifecycle):
    assert lifecycle["completed"] == "completed"
    assert lifecycle["reset"] == {
        "status": "created",
        "scalars": {},
        "artifacts": {},
        "parameters": {"General/number": "9", "Args/keep": "yes"},
    }


def test_a_task_is_renamed_moved_and_archived(lifecycle):
    assert lifecycle["changed"] == {
        "parameters": {"Args/keep": "yes"},
        "name": "renamed by the sdk",
        "project": "sdk tests/elsewhere",
        "archived": True,
        "listed": 0,
        "listed with archived": 1,
    }
    assert lifecycle["unarchived"] is False


def test_a_task_goes_through_its_states(lifecycle):
    assert [lifecycle[key] for key in ("queued", "in the queue", "dequeued")] == ["queued", 1, "created"]
    assert lifecycle["failed"] == ["failed", ["failed", "no luck left"]]
    assert [lifecycle[key] for key in ("stopped", "published")] == ["stopped", "published"]


def test_a_deleted_task_takes_its_files_along(lifecycle):
    assert [lifecycle[key] for key in ("file before", "deleted", "file after", "gone")] == [
        200,
        True,
        404,
        None,
    ]


def test_the_api_client_of_the_sdk_works_too(lifecycle):
    assert lifecycle["client"]["tasks"] == 2
    assert lifecycle["client"]["projects"] == ["sdk tests/lifecycle"]
    assert lifecycle["client"]["queues"] == ["sdk tests queue"]


# Datasets


def test_versions_of_a_dataset_count_up_by_themselves(datasets):
    assert datasets["versions"] == ["1.0.0", "1.0.1", "7.0.0"]
    assert [datasets[key] for key in ("newest", "by version", "by tag")] == [True, True, True]


def test_a_local_copy_holds_what_the_version_held(datasets):
    assert datasets["first"] == {"change.txt": "first", "keep.txt": "kept", "sub/remove.txt": "removed later"}
    assert datasets["second"] == {"change.txt": "second", "deep/new.txt": "new", "keep.txt": "kept"}
    assert datasets["third"] == {"change.txt": "second", "deep/new.txt": "newer"}
    assert datasets["writable"] == ["change.txt", "deep", "keep.txt"]


def test_a_child_tells_what_it_changed_in_its_parent(datasets):
    assert datasets["parents"] is True
    assert datasets["files"] == ["change.txt", "deep/new.txt", "keep.txt"]
    assert datasets["added"] == ["deep/new.txt"]
    assert datasets["modified"] == ["change.txt"]
    assert datasets["removed"] == ["sub/remove.txt"]


def test_a_dataset_shows_its_plots_and_its_metadata(datasets):
    assert {"balance", "preview"} <= set(datasets["plots"])
    assert datasets["metadata"] == {"rows": 3}


def test_datasets_are_listed_squashed_published_and_deleted(datasets):
    assert datasets["listed"] == [
        ["features", "7.0.0"],
        ["rows & columns", "1.0.0"],
        ["rows & columns", "1.0.1"],
    ]
    assert datasets["squashed"] == ["change.txt", "deep/new.txt", "keep.txt", "sub/remove.txt"]
    assert (datasets["final"], datasets["status"]) == (True, "published")
    assert "could not be found" in datasets["gone"]


# Models


def test_a_model_comes_back_with_all_that_was_said_of_it(models):
    expected = {
        "name": "best",
        "framework": "XGBoost",
        "labels": {"calm": 0, "stormy": 1},
        "tags": ["c", "winner"],
        "comment": "the best one",
        "metadata": {"threshold": "0.4", "features": "a,b"},
        "design": {"depth": 3},
        "published": True,
        "task": True,
    }
    assert {key: models[key] for key in expected} == expected


def test_the_weights_of_a_model_come_back_one_file_and_several(models):
    assert models["weights"] == "the weights"
    assert models["package"] == ["best.bin", "other.txt"]


def test_a_task_lists_its_output_and_input_models(models):
    assert models["outputs"] == ["best", "spare", "package"]
    assert models["inputs"] == ["best"]


def test_models_are_found_by_tag_by_metadata_and_by_being_published(models):
    assert models["by tag"] == [True]
    assert models["by metadata"] == ["best"]
    assert models["published only"] == ["best"]


def test_models_are_archived_and_removed(models):
    assert models["archived"] == [0, 1]
    assert models["removed"] is True
    assert models["left"] == ["best", "package", "spare"]


def test_what_is_reported_of_a_model_comes_back(models, stack_api):
    series = stack_api("events.scalar_metrics_iter_histogram", task=models["spare"], model_events=True)
    assert series == {"score": {"AUC": {"name": "AUC", "x": [1], "y": [0.9]}}}
    (single,) = stack_api("events.get_task_single_value_metrics", tasks=[models["spare"]], model_events=True)[
        "tasks"
    ]
    assert [(value["variant"], value["value"]) for value in single["values"]] == [("F1", 0.8)]
