"""What the demo shows in the end: what ran, what came of it, and where to look and to go on."""

from collections.abc import Iterator
from urllib.parse import urlencode

from rich.table import Table

from demo.running import REPOSITORY, DemoRun, console, say
from local_stack.__main__ import keep_running
from local_stack.settings import Settings
from local_stack.stack import display_path

LEFT_OUT = ("accuracy", "recall", "precision", "Brier")  # for all figures a terminal is too narrow


def summarize(run: DemoRun, took: dict[str, float]) -> None:
    """Show what ran and how long, the models, and the drift."""
    console.print()
    show_table("What ran", ["step", "took"], [[name, f"{seconds:.1f} s"] for name, seconds in took.items()])
    shown = [number for number, name in enumerate(run.candidates[0]) if name not in LEFT_OUT]
    header, *rows = [[row[number] for number in shown] for row in run.candidates]
    show_table("The models of the pipeline, on asteroids that they have not learned from", header, rows)
    say(f"{run.decision}")
    say(f"Then, by retrain.py: {run.retrained}")
    say(f"Meanwhile: {run.meanwhile}\n")
    rows = [
        [variable, *(f"{value:.3f}" for value in psi.values()), run.alarms.get(variable, "silent")]
        for variable, psi in sorted(run.psi.items())
    ]
    show_table("Population stability index", ["", "normal traffic", "drifted", "alarm"], rows)


def show_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left", box=None, title_style="bold", pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=not number)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def tell_what_next(run: DemoRun) -> None:
    """Say how to see all of it again, and how to begin with nothing."""
    up, empty = "python -m local_stack up --serving --home", Settings.load(REPOSITORY).home / "empty"
    say("What to try next:")
    say(f"    {up} {display_path(run.stack.home)}    # the ClearML of this demo, and what it deployed")
    say(f"    {up} {display_path(empty)}    # an empty one with all parts")


def keep_open(run: DemoRun) -> int:
    """Say where to look, and let all parts go on until Ctrl-C; return the code for what ended it."""

    def tell_places() -> None:
        print("Open the link of the pages in a browser. Then look at:\n")
        for what, path in places(run):
            print(f"    {what}: {run.stack.url}{path}")
        print(f"\nTo see a drift: python inference.py --url {run.endpoint_url} --drift --rate 50\n")

    return keep_running(Settings.load(REPOSITORY), run.stack, vars(run).get("serving"), tell_places)


def places(run: DemoRun) -> Iterator[tuple[str, str]]:
    """Yield three pages that show most, as far as the run came: what each is, and its path."""
    wanted = {"search_hidden": True, "only_fields": ["id", "project"], "status": ["completed"]}
    newest = {"type": ["controller"], "order_by": ["-created"], "page": 0, "page_size": 1}
    for pipeline in run.stack.call("tasks.get_all", **wanted, **newest)["tasks"]:
        yield "the newest pipeline", f"/pipelines/{pipeline['project']}/experiments/{pipeline['id']}"
        steps = run.stack.call("tasks.get_all", **wanted, parent=pipeline["id"], type=["training"])["tasks"]
        query = urlencode({"id": [step["id"] for step in steps]}, doseq=True)
        yield "its trainings, side by side", f"/compare?{query}"
    yield "the alarms, and the dashboard as it changes", "/monitoring"
