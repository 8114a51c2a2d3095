"""Make the README's pictures again, from a real run on the local stack.

    python -m images.make_images                                   # all four, which takes half an hour
    python -m images.make_images diagram pipeline                  # some, in two minutes
    python -m images.make_images dashboard alert --record FILE     # from a run that is kept in FILE

The run is the model's whole life: the scripts, the pipeline on agents, the champion on clearml-serving, then
27 minutes of requests with a drift among them. --record reads the measurements from the file, or writes them
there if it does not exist: so a drawing can be changed without another run.
"""

import argparse
import sys
from pathlib import Path

import playwright.sync_api as playwright
from PIL import Image

from demo import life
from images import diagram
from images.alert import draw_alerts
from images.dashboard import draw_dashboard
from images.photograph import photograph_page, photograph_svg
from images.style import WIDTH
from images.traffic import Traffic, run_traffic
from local_stack.errors import StackError
from local_stack.stack import Stack

FOLDER = Path(__file__).resolve().parent
PICTURES = ("diagram", "pipeline", "dashboard", "alert")
SCRIPTS = ("get_data.py", "preprocessing.py", "model_training.py")


def live(picture_pipeline: bool, send_traffic: bool) -> Traffic | None:
    """Run the demo's steps, photograph the pipeline, and return the traffic that was sent, if any."""
    with life.fresh_stack(None) as stack:
        run = life.DemoRun(stack)
        for script in SCRIPTS:
            life.run_script(run, script)
        life.run_pipeline(run)
        if picture_pipeline:
            photograph_pipeline(stack)
        if not send_traffic:
            return None
        life.deploy(run)
        return run_traffic(run)


def photograph_pipeline(stack: Stack) -> None:
    """Photograph the page of the run that has just ended, at the address that ClearML's SDK prints."""
    wanted = {"type": ["controller"], "search_hidden": True, "only_fields": ["project"]}
    (pipeline,) = stack.call("tasks.get_all", **wanted)["tasks"]
    address = f"{stack.url}/pipelines/{pipeline['project']}/experiments/{pipeline['id']}"
    photograph_page(stack.pages_link(), address, FOLDER / "pipeline.png")


def make(pictures: list[str], record: Path | None) -> None:
    if "diagram" in pictures:
        photograph_svg(diagram.svg(), WIDTH, diagram.HEIGHT, FOLDER / "diagram.png")
    drawn = {"dashboard", "alert"}.intersection(pictures)
    traffic = Traffic.load(record) if drawn and record and record.exists() else None
    if "pipeline" in pictures or (drawn and not traffic):
        traffic = live("pipeline" in pictures, send_traffic=bool(drawn and not traffic)) or traffic
    if traffic:
        if record and not record.exists():
            traffic.save(record)
        if "dashboard" in drawn:
            draw_dashboard(traffic).save(FOLDER / "dashboard.png")
        if "alert" in drawn:
            draw_alerts(traffic).save(FOLDER / "alert.png")
    for picture in pictures:
        file = FOLDER / f"{picture}.png"
        shrink(file)
        print(file)


def shrink(file: Path) -> None:
    """Keep 256 colours: a quarter of the bytes, and no visible difference."""
    with Image.open(file) as picture:
        few = picture.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help=f"{', '.join(PICTURES)} (default: all)"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="measurements, to be used again or to be kept"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.pictures).difference(PICTURES):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    try:
        make(arguments.pictures or list(PICTURES), arguments.record)
    except (StackError, playwright.Error) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
