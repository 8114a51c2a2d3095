"""What is lost when something is done to tasks and models: a page says it before."""

from ..documents import Document
from ..store import Store
from ..tasks.state import made_models, pipeline_steps, unneeded_drafts
from . import views

Counts = list[tuple[int, str, str]]  # numbers, what they count, and what happens to it


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def is_open(task: Document) -> bool:
    return task["status"] in ("queued", "in_progress")


def with_steps(store: Store, tasks: list[Document]) -> dict[str, Document]:
    """Return the tasks, and the steps of those that are pipelines, by id."""
    return {each["id"]: each for task in tasks for each in (task, *pipeline_steps(store, task))}


def lines_of_loss(store: Store, kind: str, word: str, found: list[Document]) -> list[str]:
    """Return lines on what cannot be undone of a button's work; none, if it loses nothing."""
    counts: Counts = []
    match kind, word:
        case "model", "publish":
            drafts = [model for model in found if not model["ready"]]
            makers = [store.get("task", model.get("task")) for model in drafts]
            along = {task["id"] for task in makers if task and task["status"] != "published"}
            counts = [(len(drafts), "model", "published for good"), (len(along), "task", "published along")]
        case "model", "delete":
            counts = [(len(found), "model", "with all files")]
        case "task", "publish":
            tasks = [task for task in found if task["status"] != "published"]
            last = {item["model"] for task in tasks for item in task["models"]["output"][-1:]}
            models = [model for key in last if (model := store.get("model", key)) and not model["ready"]]
            counts = [(len(tasks), "task", "published for good"), (len(models), "model", "published along")]
        case "task", "abort" | "archive":
            stopped = [task for task in with_steps(store, found).values() if is_open(task)]
            running = sum(task["status"] == "in_progress" for task in stopped)
            steps = sum(task not in found for task in stopped)
            if running:  # what only waits can be enqueued again
                counts = [
                    (running, "run", "cut off where it is"),
                    (steps, "step", "of pipelines aborted along"),
                ]
        case "task", "reset":
            counts = _results(store, [task for task in found if task["status"] != "published"])
        case "task", "delete":
            counts = _with_tasks(store, with_steps(store, found), len(found))
    return [f"{counted(number, noun)} {rest}" for number, noun, rest in counts if number]


def _results(store: Store, tasks: list[Document]) -> Counts:
    artifacts = [item for task in tasks for item in task["execution"]["artifacts"]]
    drafts = {model["id"] for task in tasks for model in unneeded_drafts(store, made_models(store, task))}
    runs = sum(bool(task.get("started") or task["last_metrics"]) for task in tasks)
    return [
        (runs, "run", "with console, scalars and plots"),
        (sum(item.get("mode") != "input" for item in artifacts), "artifact", "with all files"),
        (len(drafts), "model", "not published, with all files"),
    ]


def _with_tasks(store: Store, tasks: dict[str, Document], chosen: int) -> Counts:
    children = {child["id"] for key in tasks for child in store.referring("task", "parent", key)}
    datasets = [key for key, task in tasks.items() if views.is_dataset(task)]
    users = {user["id"]: user for key in datasets for user in store.referring("task", "named", key)}
    later = sum(views.is_dataset(user) for key, user in users.items() if key not in tasks)
    return [
        (chosen, "task", "with parameters, code and history"),
        (len(tasks) - chosen, "step", "of pipelines deleted along"),
        *_results(store, list(tasks.values())),
        (len(children - tasks.keys()), "other task", "left without a parent"),
        (later, "later dataset", "left without the files that are here"),
    ]
