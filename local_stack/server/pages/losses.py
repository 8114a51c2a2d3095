"""What is lost when tasks and models are aborted, reset, published or deleted: a page says it before."""

from ..documents import Document
from ..store import Store
from ..tasks.state import made_models, pipeline_steps, unneeded_drafts
from . import views
from .datasets import STRUCTURE

Documents = list[Document]


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _lines(*found: tuple[int, str, str]) -> list[str]:
    """Return a line for each number that is not 0, from the number, its noun and the rest."""
    return [f"{counted(number, noun)} {rest}" for number, noun, rest in found if number]


def is_open(task: Document) -> bool:
    return task["status"] in ("queued", "in_progress")


def with_steps(store: Store, tasks: Documents) -> dict[str, Document]:
    """Return the tasks, and the steps of those that are pipelines, by id."""
    every = [each for task in tasks for each in (task, *pipeline_steps(store, task))]
    return {task["id"]: task for task in every}


def lost_by_abort(store: Store, tasks: Documents) -> list[str]:
    stopped = {key: task for key, task in with_steps(store, tasks).items() if is_open(task)}
    running = sum(task["status"] == "in_progress" for task in stopped.values())
    if not running:  # what only waits can be enqueued again
        return []
    steps = len(stopped.keys() - {task["id"] for task in tasks})
    along = (steps, "step", "of pipelines that wait or run, along with them")
    return _lines((running, "run", "cut off where it is"), along)


def lost_by_reset(store: Store, tasks: Documents) -> list[str]:
    return _lost_results(store, [task for task in tasks if task["status"] != "published"])


def _lost_results(store: Store, tasks: Documents) -> list[str]:
    runs = sum(bool(task.get("started") or task["last_metrics"]) for task in tasks)
    artifacts = [item for task in tasks for item in task["execution"]["artifacts"]]
    made = sum(item.get("mode") != "input" for item in artifacts)
    drafts = {model["id"] for task in tasks for model in unneeded_drafts(store, made_models(store, task))}
    return _lines(
        (runs, "run", "with console, scalars and plots"),
        (made, "artifact", "with all files"),
        (len(drafts), "model", "not published, with all files"),
    )


def lost_by_deleting_tasks(store: Store, tasks: Documents) -> list[str]:
    every = with_steps(store, tasks)
    children = {child["id"] for key in every for child in store.referring("task", "parent", key)}
    return [
        *_lines(
            (len(tasks), "task", "with parameters, code and history"),
            (len(every) - len(tasks), "step", "of pipelines, deleted along"),
        ),
        *_lost_results(store, list(every.values())),
        *_lines(
            (len(children - every.keys()), "other task", "left without a parent"),
            (_built_on(store, every), "later dataset", "left without the files that are here"),
        ),
    ]


def _built_on(store: Store, deleted: dict[str, Document]) -> int:
    """Return how many datasets that stay have one of the deleted among their ancestors."""
    datasets = [key for key, task in deleted.items() if views.is_dataset(task)]
    texts = [
        str((task["configuration"].get(STRUCTURE) or {}).get("value"))
        for task in (store.all("task") if datasets else [])
        if views.is_dataset(task) and task["id"] not in deleted
    ]
    return sum(any(key in text for key in datasets) for text in texts)


def fixed_by_publishing_tasks(store: Store, tasks: Documents) -> list[str]:
    tasks = [task for task in tasks if task["status"] != "published"]
    last = [item["model"] for task in tasks for item in task["models"]["output"][-1:]]
    models = {key for key in last if (model := store.get("model", key)) and not model["ready"]}
    return _lines((len(tasks), "task", "published for good"), (len(models), "model", "published along"))


def fixed_by_publishing_models(store: Store, models: Documents) -> list[str]:
    models = [model for model in models if not model["ready"]]
    makers = [store.get("task", model.get("task")) for model in models]
    tasks = {task["id"] for task in makers if task and task["status"] != "published"}
    return _lines((len(models), "model", "published for good"), (len(tasks), "task", "published along"))


def lost_by_deleting_models(store: Store, models: Documents) -> list[str]:
    return _lines((len(models), "model", "with all files"))
