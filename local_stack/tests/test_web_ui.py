"""ClearML's own web UI, played by a table: what each of its pages asks for, and what it reads in the answers.

The requests are those of the UI's published source (allegroai/clearml-web), sent as a browser and the proxy
of its image send them.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.store import Store
from local_stack.tests.api import Api, InProcess, data_of, scalar

WEB_UI = "http://127.0.0.1:8080"
# The proxy passes the name on without the port, and says who asked.
BROWSER = {
    "Host": "127.0.0.1",
    "Origin": WEB_UI,
    "Referer": f"{WEB_UI}/dashboard",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "X-Real-IP": "127.0.0.1",
    "X-Allegro-Client": "Webapp-2.5.0",
}
TODAY = int(time.time()) // 86400 * 86400
DAY = {"from_date": TODAY - 86400, "to_date": TODAY + 86400}
DATES = {key: datetime.fromtimestamp(day, UTC).isoformat(timespec="milliseconds") for key, day in DAY.items()}
SINGLE = -(2**31)
STEPS = json.dumps({"rows": {"job_id": "x", "status": "completed", "parents": []}})


class WebUi:
    """A browser in which a person has logged in to the UI, and the names of what the server holds."""

    def __init__(self, client: httpx.Client, world: dict[str, str]) -> None:
        self.client, self.world = client, world

    def send(self, name: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.client.post(f"/v999.0/{name}", json=self.filled(body or {}), headers=BROWSER, **options)

    def __call__(self, name: str, body: Any = None) -> Any:
        return data_of(self.send(name, body))

    def filled(self, value: Any) -> Any:
        """Return the value with the things of the world in the place of their names: $task for its id."""
        if isinstance(value, str) and value.startswith("$"):
            return self.world[value[1:]]
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {self.filled(key): self.filled(item) for key, item in value.items()}
        return value

    def read(self, data: Any, path: str) -> Any:
        """Return what is at a path such as tasks/0/name; # is how many there are."""
        for step in path.split("/"):
            step = self.filled(step)
            data = len(data) if step == "#" else data[int(step) if isinstance(data, list) else step]
        return data


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    credentials = Credentials.make()
    files = FileStore(tmp_path_factory.mktemp("server") / "files")
    with closing(Store(":memory:")) as store:
        application = create_app(store, credentials, files, WEB_UI)
        with InProcess(application) as transport, Api("http://127.0.0.1:8008", credentials, transport) as api:
            yield api


def log_in(server: Api) -> httpx.Client:
    browser = server.connect()
    pair = ("local_user", server.credentials.password)
    answer = browser.post("/v999.0/auth.login", auth=pair, headers=BROWSER)
    assert answer.status_code == 200
    return browser


@pytest.fixture(scope="module")
def ui(server: Api) -> WebUi:
    """The UI on a server with a project, runs of it, a dataset, a pipeline and a queue."""
    return WebUi(log_in(server), build_world(server))


def build_world(api: Api) -> dict[str, str]:
    world = {"project": api.new("project", name="Digits")}
    project = world["project"]
    world["parent"] = api.new("task", name="prepare", project=project, type="data_processing")
    for name, eta in (("task", "0.1"), ("other", "0.2")):
        hyperparams = {"Args": {"eta": {"section": "Args", "name": "eta", "value": eta}}}
        task = world[name] = api.new(
            "task",
            name={"task": "training 2", "other": "training 10"}[name],
            project=project,
            type="training",
            parent=world["parent"],
            hyperparams=hyperparams,
            tags=["blue"] if name == "task" else [],
            configuration={"cfg": {"name": "cfg", "value": "depth: 3"}},
            script={"repository": "r", "entry_point": "train.py", "diff": "+ a line"},
        )
        api("tasks.started", task=task)
        plot = {"type": "plot", "metric": "Scores", "variant": "bars", "iter": 0, "plot_str": '{"data": []}'}
        image = {"type": "training_debug_image", "metric": "Faces", "variant": "one", "iter": 0}
        api.events(
            *[scalar(task, "loss", "total", n, float(3 - n)) for n in range(3)],
            scalar(task, "Summary", "F1", SINGLE, 0.5),
            {**plot, "task": task},
            {**image, "task": task, "url": "http://127.0.0.1:8008/files/face.png"},
            {"type": "log", "task": task, "msg": "a line", "level": "info", "worker": "w", "timestamp": 1},
        )
    task = world["task"]
    artifact = {
        "key": "table",
        "type": "custom",
        "mode": "output",
        "uri": "http://127.0.0.1:8008/files/t.csv",
    }
    api("tasks.add_or_update_artifacts", task=task, artifacts=[artifact])
    world["model"] = api.new(
        "model", name="best", task=task, project=project, framework="xgboost", labels={"yes": 1}
    )
    threshold = {"key": "threshold", "type": "float", "value": "0.5"}
    api("models.add_or_update_metadata", model=world["model"], metadata=[threshold])
    api("tasks.add_or_update_model", task=task, name="best", type="output", model=world["model"])
    api("tasks.add_or_update_model", task=world["other"], name="start", type="input", model=world["model"])
    api("tasks.completed", task=task)
    api("tasks.failed", task=world["other"])
    (variants,) = [
        (key, *inner)
        for key, inner in api.get("task", task)["last_metrics"].items()
        if next(iter(inner.values()))["metric"] == "loss"
    ]
    world["loss"] = f"last_metrics.{variants[0]}.{variants[1]}.min_value"
    world["metric"], world["variant"] = variants
    _make_hidden(api, world, "dataset", "data_processing", runtime={"version": "1.0.0", "ds_file_count": 3,
                 "ds_total_size": 2048})  # fmt: skip
    _make_hidden(
        api, world, "pipeline", "controller",
        configuration={"Pipeline": {"name": "Pipeline", "value": STEPS}}, runtime={"_pipeline_hash": "h"},
    )  # fmt: skip
    world["report"] = api("reports.create", name="a report", project=project, report="# Text")["id"]
    world["queue"] = api.new("queue", name="gpu")
    world["waiting"] = api.new("task", name="waiting", project=api.new("project", name="Elsewhere"))
    api("tasks.enqueue", task=world["waiting"], queue=world["queue"])
    api("workers.register", worker="machine:0", queues=[world["queue"]])
    stats = {"cpu_usage": [10, 30], "memory_used": 512}
    api("workers.status_report", worker="machine:0", queues=[world["queue"]], machine_stats=stats)
    return world


def _make_hidden(api: Api, world: dict[str, str], tag: str, kind: str, **fields: Any) -> None:
    """Make the hidden project of a dataset or pipeline, with one run, as the SDK does."""
    name = f"Digits/.{tag}s/rows"
    home = world[f"{tag}s"] = api.new("project", name=name, system_tags=["hidden", tag])
    version = {"section": "properties", "name": "version", "value": "1.0.0"}
    hyperparams = {"properties": {"version": version}}
    task = world[tag] = api.new(
        "task", name="rows", type=kind, project=home, system_tags=[tag], hyperparams=hyperparams, **fields
    )
    api("tasks.started", task=task)
    api("tasks.completed", task=task)


TABLE = {
    "id": [],
    "project": ["$project"],
    "scroll_id": None,
    "refresh_scroll": False,
    "size": 15,
    "order_by": ["name"],
    "type": ["__$not", "annotation_manual", "__$not", "annotation", "__$not", "dataset_import"],
    "user": [],
    "system_tags": ["__$not", "archived", "__$not", "pipeline", "__$not", "dataset", "__$not", "reports"],
    "include_subprojects": False,
    "search_hidden": False,
    "only_fields": [
        "name", "status", "system_tags", "project.name", "company", "last_change", "last_update", "started",
        "last_iteration", "tags", "user.name", "runtime.progress", "id", "type", "comment", "active_duration",
        "parent.name", "parent.project.id", "parent.project.name", "$loss", "hyperparams.Args.eta.value",
    ],
}  # fmt: skip
CARDS = {
    "stats_for_state": "active",
    "include_stats": True,
    "scroll_id": None,
    "size": 12,
    "order_by": ["featured", "-last_update"],
    "only_fields": ["name", "company", "user", "created", "basename", "system_tags", "tags", "last_update"],
}
RUN_FIELDS = [
    "id", "name", "user.name", "company", "type", "status", "execution.queue", "configuration", "hyperparams",
    "system_tags", "runtime", "last_metrics", "runtime._pipeline_hash",
]  # fmt: skip
BOTH = {"id": ["$task", "$other"]}
COUNTED = {"pattern": "row", "fields": ["basename", "id"]}
METRIC = {"metric": "loss", "variants": ["total"]}

# (page, call, what it sends, {where it reads: what is there, or of which type it is})
PAGES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("start", "login.supported_modes", {}, {"authenticated": True, "basic/enabled": True, "sso": dict}),
    (
        "start",
        "users.get_current_user",
        {},
        {"user/id": "local_user", "user/name": "local user", "user/company/id": str, "settings": dict},
    ),
    ("start", "users.get_preferences", {}, {"preferences": dict}),
    ("start", "server.info", {}, {"version": str, "build": str, "api_version": str}),
    ("start", "organization.get_tags", {"include_system": True}, {"tags": ["blue"], "system_tags": list}),
    (
        "dashboard",
        "projects.get_all_ex",
        {
            **CARDS, "check_own_contents": True, "include_stats_filter": {"system_tags": ["-pipeline"]},
            "order_by": ["name"],
        },
        {
            "projects/#": 2, "projects/0/name": "Digits",
            "projects/0/own_tasks": 3, "projects/0/own_models": 1,
            "projects/0/stats/active/total_tasks": 3, "projects/0/stats/active/status_count/completed": 1,
            "projects/0/stats/active/status_count/failed": 1, "projects/0/sub_projects": [],
        },
    ),
    (
        "dashboard",
        "tasks.get_all_ex",
        {
            "page": 0, "page_size": 5, "order_by": ["-last_update"], "user": None,
            "status": ["published", "closed", "failed", "stopped", "in_progress", "completed"],
            "type": TABLE["type"], "system_tags": ["-archived", "-pipeline"],
            "only_fields": ["type", "status", "created", "name", "last_update", "started", "project.name"],
        },
        {"tasks/#": 3, "tasks/0/project/name": "Digits/.datasets/rows", "tasks/1/name": "training 10"},
    ),
    (
        "dashboard",
        "reports.get_all_ex",
        {
            "only_fields": ["name", "report", "project.name", "user.name"], "size": 6, "scroll_id": None,
            "order_by": ["-last_update"], "system_tags": ["__$not", "archived"],
        },
        {"tasks/0/name": "a report", "tasks/0/report": "# Text", "tasks/0/user/name": "local user"},
    ),
    (
        "search",
        "organization.get_entities_count",
        {
            "projects": {"_any_": {"pattern": "digit", "fields": ["basename", "id"]}, "search_hidden": False},
            "tasks": {"_any_": {"pattern": "train", "fields": ["name", "id"]}, "type": TABLE["type"]},
            "models": {"_any_": {"pattern": "best", "fields": ["name", "id"]}, "system_tags": ["-archived"]},
            "datasets": {
                "_any_": COUNTED, "search_hidden": True, "name": "/\\.datasets/", "system_tags": ["dataset"],
            },
            "pipelines": {"_any_": COUNTED, "search_hidden": True, "system_tags": ["pipeline"]},
            # JavaScript makes null of what was meant as "-archived".
            "pipeline_runs": {"search_hidden": True, "system_tags": [None, "pipeline"]},
        },
        {"projects": 1, "tasks": 2, "models": 1, "datasets": 1, "pipelines": 1},
    ),
    (
        "projects",
        "projects.get_all_ex",
        {**CARDS, "shallow_search": True, "permission_roots_only": True},
        {"projects/#": 2, "projects/0/company/id": str, "projects/0/user/id": "local_user", "scroll_id": str},
    ),
    (
        "project overview",
        "projects.get_all_ex",
        {
            "id": ["$project"], "include_stats": True, "stats_for_state": "active",
            "check_own_contents": True,
            "include_stats_filter": {"system_tags": ["-pipeline", "-dataset", "-Annotation", "-report"]},
            "stats_with_children": False, "only_fields": ["name", "company", "user", "created"],
        },
        {"projects/0/own_tasks": 3, "projects/0/stats/active/total_tasks": 3},
    ),
    (
        "project overview",
        "tasks.get_all_ex",
        {
            "project": ["$project"], "$loss": [0, None], "started": ["2000-01-01T00:00:00", None],
            "only_fields": ["started", "user.name", "name", "status", "active_duration", "$loss"],
            "status": ["-draft"], "order_by": ["-started"], "type": TABLE["type"],
            "system_tags": ["-archived"], "scroll_id": None, "size": 1000,
        },
        {
            "tasks/#": 2, "tasks/0/last_metrics/$metric/$variant/min_value": 1.0, "tasks/0/started": str,
            "tasks/0/user/name": "local user",
        },
    ),
    (
        "workloads",
        "organization.get_project_workloads",
        {"projects": ["$project"], "include_development": True, "usage_fields": ["duration"], **DATES},
        {
            "projects/total/0/name": "Digits", "projects/series/0/dates": list,
            "users/total/0/duration": int,
        },
    ),
    (
        "task table",
        "tasks.get_all_ex",
        TABLE,
        {
            "tasks/#": 3, "tasks/0/name": "prepare", "tasks/1/name": "training 2",
            "tasks/2/name": "training 10",
            "tasks/1/project/name": "Digits", "tasks/1/user/name": "local user", "tasks/1/tags": ["blue"],
            "tasks/1/parent/name": "prepare", "tasks/1/parent/project/name": "Digits",
            "tasks/1/last_metrics/$metric/$variant/min_value": 1.0, "tasks/1/last_iteration": 2,
            "tasks/1/hyperparams/Args/eta/value": "0.1", "tasks/1/active_duration": int, "scroll_id": str,
        },
    ),
    (
        "task table, sorted by a metric and a parameter",
        "tasks.get_all_ex",
        {**TABLE, "order_by": ["-$loss", "-hyperparams.Args.eta.value"], "$loss": ["0.5", None]},
        {"tasks/#": 2, "tasks/0/name": "training 10"},
    ),
    (
        "task table, filtered by all its columns",
        "tasks.get_all_ex",
        {
            **TABLE, "status": ["completed", "closed"], "type": ["training"], "user": ["local_user"],
            "user.name": ["local_user"], "project.name": ["$project"], "parent": ["$parent"],
            "parent.name": ["$parent"], "last_iteration": ["1", None], "active_duration": [None, "3600"],
            "started": ["2000-01-01T00:00:00", None], "hyperparams.Args.eta.value": ["0.1"],
            "filters": {"tags": {"any": {"include": ["blue", None], "exclude": ["red"]}}},
            "_any_": {"pattern": "TRAIN", "fields": ["id", "name", "comment", "models.output.model"]},
        },
        {"tasks/#": 1, "tasks/0/id": "$task"},
    ),
    (
        "task table, filters",
        "projects.get_unique_metric_variants",
        {"project": "$project", "include_subprojects": False},
        {"metrics/1/metric": "loss", "metrics/1/variant": "total", "metrics/1/metric_hash": "$metric"},
    ),
    (
        "task table, filters",
        "projects.get_hyper_parameters",
        {"project": "$project", "page_size": 5000, "include_subprojects": False},
        {"parameters": [{"section": "Args", "name": "eta"}]},
    ),
    (
        "table of all tasks, filters",
        "projects.get_hyper_parameters",
        {"project": None, "page_size": 5000, "include_subprojects": True},
        {"parameters/0": {"section": "Args", "name": "eta"}, "parameters/#": 2},
    ),
    (
        "task table, filters",
        "projects.get_hyperparam_values",
        {
            "projects": ["$project"], "section": "Args", "name": "eta", "page": 0, "page_size": 100,
            "pattern": "",
        },
        {"values": ["0.1", "0.2"]},
    ),
    (
        "task table, filters",
        "projects.get_user_names",
        {"projects": ["$project"], "include_subprojects": True},
        {"users": [{"id": "local_user", "name": "local user"}]},
    ),
    (
        "task table, filters",
        "projects.get_task_parents",
        {"projects": ["$project"], "tasks_state": "active", "task_name": "(?i)PREP"},
        {"parents/0/id": "$parent", "parents/0/project/name": "Digits", "parents/#": 1},
    ),
    (
        "task table, filters",
        "tasks.get_types",
        {"projects": ["$project"]},
        {"types": ["controller", "data_processing", "report", "training"]},
    ),
    ("task table, filters", "projects.get_task_tags", {"projects": ["$project"]}, {"tags": ["blue"]}),
    (
        "task details",
        "tasks.get_by_id_ex",
        {
            "id": ["$task"],
            "only_fields": [
                "id", "name", "user.name", "company", "type", "status", "status_reason", "comment", "created",
                "started", "completed", "parent.name", "parent.project.name", "project.name", "output",
                "hyperparams", "execution.queue.name", "script.repository", "script.entry_point", "tags",
                "system_tags", "last_worker", "active_duration", "container", "runtime",
            ],
        },
        {
            "tasks/0/script/entry_point": "train.py", "tasks/0/hyperparams/Args/eta/value": "0.1",
            "tasks/0/parent/project/name": "Digits", "tasks/0/completed": str, "tasks/0/runtime": dict,
            "tasks/0/company/id": str,
        },
    ),
    (
        "task details",
        "tasks.get_by_id_ex",
        {"id": ["$task"], "only_fields": ["script.diff"]},
        {"tasks/0/script/diff": "+ a line"},
    ),
    ("a task that is gone", "tasks.get_by_id_ex", {"id": ["gone"], "only_fields": ["name"]}, {"tasks": []}),
    (
        "configuration",
        "tasks.get_configuration_names",
        {"tasks": ["$task"], "skip_empty": False},
        {"configurations/0/names": ["cfg"]},
    ),
    (
        "configuration",
        "tasks.get_configurations",
        {"tasks": ["$task"], "names": ["cfg"]},
        {"configurations/0/configuration/0/value": "depth: 3"},
    ),
    (
        "artifacts",
        "tasks.get_by_id_ex",
        {
            "id": ["$task"],
            "only_fields": [
                "name", "project.id", "execution.artifacts", "models.output.name", "models.output.model.name",
                "models.output.model.uri", "models.output.model.framework", "models.input.name",
                "models.input.model.name", "models.input.model.task.name",
            ],
        },
        {
            "tasks/0/execution/artifacts/0/key": "table", "tasks/0/models/output/0/model/name": "best",
            "tasks/0/models/output/0/model/id": "$model",
            "tasks/0/models/output/0/model/framework": "xgboost",
            "tasks/0/models/input": [],
        },
    ),
    (
        "artifacts of a task with an input model",
        "tasks.get_by_id_ex",
        {
            "id": ["$other"],
            "only_fields": ["models.input.model.task.name", "models.input.model.task.project.id"],
        },
        {
            "tasks/0/models/input/0/model/task/name": "training 2",
            "tasks/0/models/input/0/model/task/project/id": "$project",
        },
    ),
    (
        "console",
        "events.get_task_log",
        {"task": "$task", "batch_size": 100, "navigate_earlier": True, "from_timestamp": None},
        {"total": 1, "events/0/msg": "a line", "events/0/timestamp": 1},
    ),
    (
        "scalars",
        "events.scalar_metrics_iter_histogram",
        {"task": "$task", "key": "iter"},
        {"loss/total/x": [0, 1, 2], "loss/total/y": [3.0, 2.0, 1.0], "loss/total/name": "total"},
    ),
    (
        "scalars",
        "events.get_task_single_value_metrics",
        {"tasks": ["$task"]},
        {"tasks/0/values/0/variant": "F1", "tasks/0/values/0/value": 0.5},
    ),
    (
        "scalars",
        "tasks.get_all_ex",
        {"id": ["$task"], "only_fields": ["last_metrics"]},
        {"tasks/0/last_metrics/$metric/$variant/value": 1.0},
    ),
    (
        "plots",
        "events.get_task_plots",
        {"task": "$task", "iters": 1},
        {"total": 1, "plots/0/metric": "Scores", "plots/0/plot_str": str},
    ),
    (
        "debug samples",
        "events.get_task_metrics",
        {"tasks": ["$task"], "event_type": "training_debug_image"},
        {"metrics/0/task": "$task", "metrics/0/metrics": ["Faces"]},
    ),
    (
        "debug samples",
        "events.debug_images",
        {
            "metrics": [{"task": "$task", "metric": None}], "iters": 3, "scroll_id": None,
            "navigate_earlier": True, "refresh": True,
        },
        {"metrics/0/iterations/0/iter": 0, "metrics/0/iterations/0/events/0/url": str, "scroll_id": str},
    ),
    (
        "debug samples",
        "events.get_debug_image_sample",
        {
            "task": "$task", "iteration": 0, "metric": "Faces", "variant": "one", "scroll_id": None,
            "navigate_current_metric": True,
        },
        {"event/variant": "one", "min_iteration": 0, "max_iteration": 0, "scroll_id": str},
    ),
    (
        "comparison, details",
        "tasks.get_all_ex",
        {
            **BOTH,
            "only_fields": [
                "name", "project.name", "models.output.model.uri", "models.input.model.labels", "container.*",
                "execution.artifacts", "script", "configuration", "tags",
            ],
        },
        {
            "tasks/#": 2, "tasks/0/script/entry_point": "train.py",
            "tasks/0/configuration/cfg/value": "depth: 3",
        },
    ),
    (
        "comparison, parameters",
        "tasks.get_all_ex",
        {**BOTH, "only_fields": ["name", "project.name", "tags", "hyperparams"]},
        {"tasks/0/hyperparams/Args/eta/name": "eta"},
    ),
    (
        "comparison, scalars",
        "events.get_multi_task_metrics",
        {"tasks": ["$task", "$other"], "event_type": "training_stats_scalar", "model_events": False},
        {"metrics/1": METRIC},
    ),
    (
        "comparison, scalars",
        "events.multi_task_scalar_metrics_iter_histogram",
        {"tasks": ["$task", "$other"], "metrics": [METRIC], "model_events": False, "key": "iter"},
        {"metrics/loss/total/$other/name": "training 10", "metrics/loss/total/$task/y": [3.0, 2.0, 1.0]},
    ),
    (
        "comparison, plots",
        "events.get_multi_task_plots",
        {
            "tasks": ["$task", "$other"], "model_events": False, "iters": 1,
            "last_iters_per_task_metric": True,
            "metrics": [{"metric": "Scores", "variants": ["bars"]}],
        },
        {"plots/Scores/bars/$task/0/name": "training 2", "plots/Scores/bars/$task/0/plots/#": 1, "total": 2},
    ),
    (
        "models",
        "models.get_all_ex",
        {
            "id": [], "project": ["$project"], "scroll_id": None, "refresh_scroll": False, "size": 30,
            "include_subprojects": False, "order_by": ["-last_update"], "system_tags": ["-archived"],
            "only_fields": [
                "created", "framework", "labels", "name", "ready", "task.name", "uri", "user.name", "parent",
                "project.name", "metadata.threshold.value",
            ],
            "ready": None,
        },
        {
            "models/0/name": "best", "models/0/task/name": "training 2", "models/0/project/name": "Digits",
            "models/0/metadata/threshold/value": "0.5", "models/0/labels": {"yes": 1}, "scroll_id": str,
        },
    ),
    (
        "model details",
        "models.get_by_id_ex",
        {"id": ["$model"], "only_fields": ["name", "task.name", "task.project", "design", "metadata", "uri"]},
        {"models/0/task/project/id": "$project", "models/0/metadata/threshold/key": "threshold"},
    ),
    (
        "model lineage",
        "tasks.get_all_ex",
        {
            **{key: TABLE[key] for key in ("scroll_id", "size", "order_by")}, "id": [],
            "_any_": {"pattern": "$model", "fields": ["models.input.model"]},
            "only_fields": ["name", "project.name"],
        },
        {"tasks/0/id": "$other", "tasks/#": 1},
    ),
    ("models, filters", "models.get_frameworks", {"projects": ["$project"]}, {"frameworks": ["xgboost"]}),
    (
        "models, filters",
        "projects.get_model_metadata_keys",
        {"project": "$project"},
        {"keys": ["threshold"]},
    ),
    (
        "models, filters",
        "projects.get_model_metadata_values",
        {"include_subprojects": False, "key": "threshold", "projects": ["$project"]},
        {"values": ["0.5"]},
    ),
    (
        "datasets",
        "projects.get_all_ex",
        {
            **CARDS, "shallow_search": False, "search_hidden": True, "name": "/\\.datasets/",
            "system_tags": ["dataset"], "include_dataset_stats": True, "stats_with_children": False,
            "include_stats_filter": {"system_tags": ["dataset"], "type": ["data_processing"]},
        },
        {
            "projects/#": 1, "projects/0/id": "$datasets", "projects/0/basename": "rows",
            "projects/0/hidden": True,
            "projects/0/dataset_stats": {"file_count": 3, "total_size": 2048},
            "projects/0/stats/active/total_tasks": 1,
        },
    ),
    (
        "datasets by project",
        "projects.get_all_ex",
        {
            **CARDS, "permission_roots_only": True, "children_type": "dataset", "shallow_search": True,
            "search_hidden": False, "include_dataset_stats": False, "stats_with_children": True,
        },
        {"projects/#": 1, "projects/0/name": "Digits", "projects/0/stats/datasets/count": 1},
    ),
    (
        "dataset versions",
        "tasks.get_all_ex",
        {
            **TABLE, "project": ["$datasets"], "type": ["data_processing"],
            "system_tags": ["__$not", "archived", "dataset"],
            "only_fields": [*RUN_FIELDS, "parent.name", "runtime.version"],
        },
        {
            "tasks/0/runtime/version": "1.0.0", "tasks/0/hyperparams/properties/version/value": "1.0.0",
            "tasks/0/system_tags": ["dataset"],
        },
    ),
    (
        "pipelines",
        "projects.get_all_ex",
        {
            **CARDS, "shallow_search": False, "search_hidden": True, "name": "/\\.pipelines/",
            "system_tags": ["pipeline"], "stats_with_children": False,
            "include_stats_filter": {"system_tags": ["pipeline"], "type": ["controller"]},
        },
        {"projects/#": 1, "projects/0/id": "$pipelines", "projects/0/stats/active/status_count/completed": 1},
    ),
    (
        "pipeline runs",
        "tasks.get_all_ex",
        {
            **TABLE, "project": ["$pipelines"], "type": ["controller"], "system_tags": ["__$not", "archived"],
            "only_fields": RUN_FIELDS,
        },
        {"tasks/0/id": "$pipeline", "tasks/0/runtime/_pipeline_hash": "h"},
    ),
    (
        "pipeline run",
        "tasks.get_by_id_ex",
        {"id": ["$pipeline"], "only_fields": RUN_FIELDS},
        {"tasks/0/configuration/Pipeline/value": STEPS},
    ),
    (
        "new pipeline run",
        "tasks.get_all_ex",
        {
            "project": "$pipelines", "type": ["controller"], "order_by": ["-started"], "page_size": 1,
            "only_fields": RUN_FIELDS,
        },
        {"tasks/0/id": "$pipeline", "tasks/#": 1},
    ),
    (
        "new pipeline run",
        "pipelines.check_new_run",
        {"task": "$pipeline", "new_project_name": "Digits", "new_pipeline_name": "rows"},
        {"existing_project/id": "$pipelines", "existing_project/name": "Digits/.pipelines/rows"},
    ),
    (
        "workers",
        "workers.get_all",
        {},
        {
            "workers/0/id": "machine:0", "workers/0/key": str, "workers/0/queues/0/name": "gpu",
            "workers/0/queues/0/num_tasks": 1, "workers/0/last_report_time": str,
        },
    ),
    (
        "workers, chart",
        "workers.get_activity_report",
        {**DAY, "interval": 3600},
        {"total/dates": list, "total/counts": list, "active/dates": list, "active/counts": list},
    ),
    (
        "worker, chart",
        "workers.get_stats",
        {
            **DAY, "worker_ids": ["machine:0"], "interval": 2 * 86400,
            "items": [{"key": "cpu_usage"}], "split_by_resource": True,
        },
        {
            "workers/0/worker": "machine:0", "workers/0/metrics/0/metric": "cpu_usage",
            "workers/0/metrics/0/dates": list, "workers/0/metrics/0/stats/0/values": list,
        },
    ),
    (
        "queues",
        "queues.get_all_ex",
        {"id": ["$queue"], "only_fields": ["*", "entries.task.name"]},
        {
            "queues/0/name": "gpu", "queues/0/entries/0/task/name": "waiting",
            "queues/0/entries/0/task/id": "$waiting", "queues/0/workers/0/name": "machine:0",
        },
    ),
    (
        "queues, chart",
        "queues.get_queue_metrics",
        {**DAY, "interval": 40},
        {"queues/0/dates": list, "queues/0/queue_lengths": list, "queues/0/avg_waiting_times": list},
    ),
    (
        "report",
        "reports.get_all_ex",
        {"id": ["$report"], "only_fields": ["name", "status", "company.id", "report", "project.name"]},
        {
            "tasks/0/report": "# Text", "tasks/0/status": "created",
            "tasks/0/project/name": "Digits/.reports",
        },
    ),
    (
        "report, a graph in it",
        "reports.get_task_data",
        {
            "id": ["$task", "$other"], "model_events": False,
            "scalar_metrics_iter_histogram": {"metrics": [METRIC], "key": "iter"},
        },
        {"scalar_metrics_iter_histogram/loss/total/$task/x": [0, 1, 2], "tasks/0/project/id": "$project"},
    ),
    ("endpoints", "serving.get_endpoints", {}, {"endpoints": []}),
    ("endpoints", "serving.get_loading_instances", {}, {"instances": []}),
    ("settings", "auth.get_credentials", {}, {"credentials/0/access_key": str, "credentials/0/label": None}),
    ("settings", "storage.get_settings", {}, {"settings/aws/buckets": [], "settings/google/buckets": []}),
    ("settings", "organization.get_user_companies", {}, {"companies/0/owners/0/name": "local user"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "body", "reads"), [page[1:] for page in PAGES], ids=[f"{page[0]}: {page[1]}" for page in PAGES]
)
def test_a_page_finds_what_it_reads(ui, call, body, reads):
    answer = ui(call, body)
    found = {path: ui.read(answer, path) for path in reads}
    expected = {
        path: found[path]
        if isinstance(wanted, type) and isinstance(found[path], wanted)
        else ui.filled(wanted)
        for path, wanted in reads.items()
    }
    assert found == expected


@pytest.mark.parametrize(
    "call", sorted({page[1] for page in PAGES} - {"login.supported_modes", "server.info"})
)
def test_no_page_shows_anything_to_who_has_not_logged_in(server, ui, call):
    stranger = WebUi(server.connect(), ui.world)
    assert stranger.send(call).status_code == 401


def test_a_table_goes_on_from_page_to_page_and_is_read_again(ui):
    first = ui("tasks.get_all_ex", {**TABLE, "size": 2})
    second = ui("tasks.get_all_ex", {**TABLE, "size": 2, "scroll_id": first["scroll_id"]})
    again = ui(
        "tasks.get_all_ex", {**TABLE, "size": 2, "scroll_id": first["scroll_id"], "refresh_scroll": True}
    )
    assert first["scroll_id"] == second["scroll_id"] == again["scroll_id"]
    names = [task["name"] for task in first["tasks"] + second["tasks"]]
    assert names == [task["name"] for task in again["tasks"]] == ["prepare", "training 2", "training 10"]


def test_a_table_is_downloaded_by_a_link(ui):
    mappings = [{"field": field, "name": field.upper()} for field in ("name", "project.name", "user.name")]
    query = {"entity_type": "task", "field_mappings": mappings, **TABLE}
    prepared = ui("organization.prepare_download_for_get_all", query)["prepare_id"]
    link = {key: value for key, value in BROWSER.items() if key != "Origin"}
    answer = ui.client.get(f"/v999.0/organization.download_for_get_all?prepare_id={prepared}", headers=link)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.text.splitlines()[:2] == [
        '\ufeff"NAME","PROJECT.NAME","USER.NAME"',
        '"prepare","Digits","local user"',
    ]


@pytest.mark.parametrize(
    ("site", "referer", "status"),
    [
        ("same-site", f"{WEB_UI}/", 200),
        ("same-site", f"{WEB_UI}/projects?a=b", 200),
        ("cross-site", f"{WEB_UI}/", 401),
        ("none", f"{WEB_UI}/", 401),
        ("same-site", "http://127.0.0.1:9999/", 401),
        ("same-site", "http://127.0.0.1/", 401),
        ("same-site", f"{WEB_UI}.example/", 401),
        ("same-site", "http://[::1/", 401),
        ("same-site", "", 401),
    ],
)
def test_without_the_proxy_a_link_of_the_ui_leads_to_the_server_s_own_port(ui, site, referer, status):
    link = {
        "Host": "127.0.0.1:8008",
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": "navigate",
        "Referer": referer,
    }
    query = {"task": ui.world["task"], "line_type": "text"}
    answer = ui.client.get("/v999.0/events.download_task_log", params=query, headers=link)
    assert answer.status_code == status
    assert ("a line" in answer.text) == (status == 200)


def test_without_the_proxy_the_ui_calls_the_server_s_own_port(ui):
    direct = {"Host": "127.0.0.1:8008", "Origin": WEB_UI, "Sec-Fetch-Site": "same-site"}
    answer = ui.client.post("/v999.0/users.get_current_user", json={}, headers=direct)
    assert answer.headers["Access-Control-Allow-Origin"] == WEB_UI
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert data_of(answer)["user"]["id"] == "local_user"


def test_the_menu_of_a_task_takes_it_through_its_life(ui):
    copy = ui("tasks.clone", {"task": "$task", "new_task_name": "a copy", "new_project_name": "Copies"})
    task, project = copy["id"], copy["new_project"]

    def status(**more: Any) -> Any:
        found = ui("tasks.get_by_id_ex", {"id": [task], "only_fields": ["status", *more.get("fields", [])]})
        return found["tasks"][0]["status"]

    def of_one(name: str, **options: Any) -> Any:
        answer = ui(name, {"ids": [task], **options})
        assert answer["failed"] == []
        return answer["succeeded"][0]

    assert (project["name"], status()) == ("Copies", "created")
    eta = {"section": "Args", "name": "eta", "value": "0.3"}
    ui("tasks.edit_hyper_params", {"task": task, "hyperparams": [eta], "replace_hyperparams": "section"})
    changed = ui("tasks.update", {"task": task, "comment": "c", "tags": ["red"]})
    assert changed["fields"]["tags"] == ["red"]
    enqueued = ui("tasks.enqueue_many", {"ids": [task], "queue": "$queue", "verify_watched_queue": True})
    assert (enqueued["queue_watched"], enqueued["succeeded"][0]["fields"]["status"]) == (True, "queued")
    assert of_one("tasks.dequeue_many")["fields"]["status"] == "created"
    unwatched = ui(
        "tasks.enqueue_many",
        {
            "ids": [task],
            "queue": None,
            "queue_name": "new",
            "validate_tasks": True,
            "verify_watched_queue": True,
        },
    )
    assert unwatched["queue_watched"] is False
    assert of_one("tasks.stop_many", include_pipeline_steps=None)["fields"]["status"] == "stopped"
    assert of_one("tasks.publish_many")["fields"]["status"] == "published"
    cleared = of_one("tasks.reset_many", force=True, delete_external_artifacts=False, return_file_urls=True)
    assert cleared["fields"]["status"] == status() == "created"
    moved = ui("tasks.move", {"ids": [task], "project": None, "project_name": "Moved"})
    assert ui("projects.get_all_ex", {"id": [moved["project_id"]]})["projects"][0]["name"] == "Moved"
    assert ui("tasks.update_tags", {"ids": [task], "add_tags": ["green"]}) == {"updated": 1}
    assert of_one("tasks.archive_many", include_pipeline_steps=False)["archived"] is True
    archived = ui("tasks.get_all_ex", {"system_tags": ["__$and", "archived"], "only_fields": ["tags"]})[
        "tasks"
    ]
    assert [(found["id"], found["tags"]) for found in archived] == [(task, ["green", "red"])]
    assert of_one("tasks.unarchive_many")["unarchived"] is True
    gone = of_one("tasks.delete_many", force=True, delete_external_artifacts=True, return_file_urls=True)
    assert gone["urls"] == {"artifact_urls": [], "event_urls": [], "model_urls": []}
    assert ui("tasks.get_by_id_ex", {"id": [task], "only_fields": ["name"]}) == {"tasks": []}


def test_a_new_pipeline_run_waits_in_the_queue_and_can_be_deleted(ui):
    run = ui(
        "pipelines.start_pipeline",
        {"task": "$pipeline", "queue": "$queue", "args": [{"name": "a", "value": "1"}],
         "verify_watched_queue": True},
    )  # fmt: skip
    fields = ["name", "status", "execution.queue.name", "hyperparams.Args.a.value"]
    (task,) = ui("tasks.get_by_id_ex", {"id": [run["pipeline"]], "only_fields": fields})["tasks"]
    assert (task["status"], task["execution"]["queue"]["name"]) == ("queued", "gpu")
    assert task["hyperparams"]["Args"]["a"]["value"] == "1"
    body = {"ids": [run["pipeline"]], "project": "$pipelines", "include_pipeline_steps": True}
    deleted = ui("pipelines.delete_runs", body)
    assert [found["id"] for found in deleted["succeeded"]] == [run["pipeline"]]
    last = ui.send("pipelines.delete_runs", {**body, "ids": ["$pipeline"]})
    assert last.status_code == 400  # the UI offers to delete the pipeline then


def test_the_columns_of_a_table_are_kept_for_the_person(ui):
    columns = {"experiments": {"view": {"colsOrder": {"user--DOT--name": 1}}}}
    ui("users.set_preferences", {"preferences": columns})
    assert ui("users.get_preferences")["preferences"]["experiments"] == columns["experiments"]


def test_logging_out_ends_the_session(server, ui):
    person = WebUi(log_in(server), ui.world)
    person("login.logout", {"redirect_url": f"{WEB_UI}/login"})
    assert person("login.supported_modes")["authenticated"] is False
    assert person.send("users.get_current_user").status_code == 401
