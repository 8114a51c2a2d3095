"""Make the README's pictures again, from a real run on the local stack.

    python -m images.make_images                               # all of them, which takes half an hour
    python -m images.make_images diagram pipeline pages        # some, in two minutes
    python -m tests.draw_alert                                 # one more, from simulated traffic

The run is the model's whole life: the scripts, the pipeline on agents, the champion on clearml-serving, then
27 minutes of requests with a drift and a deployment among them. Pipeline and dashboard are photographs of
the stack's own pages.
"""

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import playwright.sync_api as playwright
from PIL import Image

from demo import life, running
from demo.summary import places
from global_config import SERVING_ENDPOINT
from images import diagram
from images.page_pictures import WINDOW, photograph_pages
from images.style import SCALE, WIDTH
from images.traffic import run_traffic
from local_stack.endpoint_names import metric_name
from local_stack.errors import StackError
from local_stack.stack import Stack

FOLDER = Path(__file__).resolve().parent
PICTURES = ("diagram", "pipeline", "pages", "dashboard")

WINDOW_WIDTHS, WINDOW_HEIGHT = range(900, 1300, 20), 800  # CSS pixels
DASHBOARD_WIDTH = 1000
PLACE = "part => [part.getBoundingClientRect().top, part.getBoundingClientRect().height]"
# Whether a part of the steps or the tables shows only when one scrolls sideways.
CUT_OFF = """
    [...document.querySelectorAll("#graph *, #charts *")].some(
        (part) => getComputedStyle(part).overflowX === "auto" && part.scrollWidth > part.clientWidth)
"""


def photograph_run(pictures: list[str]) -> None:
    """Run the demo's steps, and photograph their pages."""
    with life.fresh_stack(None) as stack:
        run = running.DemoRun(stack)
        for script in [name for name, _, step in life.STEPS if step is None]:
            running.run_script(run, script)
        life.run_pipeline(run)
        if "pipeline" in pictures:
            _, path = next(places(run))  # which is that of the run that has just ended
            photograph_page(stack.pages_link(), stack.url + path, FOLDER / "pipeline.png")
        if "dashboard" in pictures:
            life.deploy(run)
            run_traffic(run)
            photograph_dashboard(stack)
        if "pages" in pictures:
            with open_page(*WINDOW) as page:
                photograph_pages(page, run, FOLDER)


def photograph_dashboard(stack: Stack, file: Path = FOLDER / "dashboard.png") -> None:
    """Photograph the dashboard on the page of the monitoring, with all its panels and its caption."""
    with open_page(DASHBOARD_WIDTH, WINDOW_HEIGHT, WIDTH * SCALE / DASHBOARD_WIDTH) as page:
        page.goto(stack.pages_link())
        page.goto(f"{stack.url}/monitoring?var-endpoint={metric_name(SERVING_ENDPOINT)}")
        wait_for_charts(page, page.locator("#dashboard .chart"))
        top, height = page.locator("#dashboard").evaluate(PLACE)
        width, height = DASHBOARD_WIDTH, height + 32
        page.screenshot(
            path=file, clip={"x": 0, "y": top - 16, "width": width, "height": height}, full_page=True
        )


def make(pictures: list[str]) -> None:
    # The run comes first: agents would refuse a checkout in which a picture was edited.
    if {"pipeline", "pages", "dashboard"} & set(pictures):
        photograph_run(pictures)
    if "diagram" in pictures:
        photograph_svg(diagram.svg(), WIDTH, diagram.HEIGHT, FOLDER / "diagram.png")
    for picture in pictures:
        for file in sorted(FOLDER.glob(f"{picture}*.png")):
            shrink(file)
            print(file)


def shrink(file: Path) -> None:
    """Keep 256 colours: a quarter of the bytes, and no visible difference."""
    with Image.open(file) as picture:
        few = picture.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


@contextmanager
def open_page(width: int, height: int, scale: float = SCALE) -> Iterator[playwright.Page]:
    """Open an empty page of this many CSS pixels, in playwright's own Chromium if none is on PATH."""
    browser_on_path = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=browser_on_path)
        try:
            yield browser.new_page(
                viewport={"width": width, "height": height}, device_scale_factor=scale, color_scheme="dark"
            )
        finally:
            browser.close()


def photograph_svg(svg: str, width: int, height: int, file: Path) -> None:
    """Write a drawing as PNG; its background stays transparent."""
    with open_page(width, height) as page:
        page.set_content(f'<body style="margin: 0">{svg}</body>')
        page.screenshot(path=file, omit_background=True)


def photograph_page(login: str, address: str, file: Path) -> None:
    """Write the upper part of a pipeline's page on the local stack as PNG: its title, steps and tables.

    `login` is a link that opens the pages. What follows the tables is long, and about this machine. The
    window is just wide enough for all steps, since the picture is scaled to the width of a README.
    """
    with open_page(WINDOW_WIDTHS[0], WINDOW_HEIGHT) as page:
        page.goto(login)
        page.goto(address)
        wait_for_charts(page, page.locator("#charts .chart"))
        for width in WINDOW_WIDTHS:
            page.set_viewport_size({"width": width, "height": WINDOW_HEIGHT})
            if not page.evaluate(CUT_OFF):
                break
        width = page.evaluate("document.documentElement.clientWidth")  # without the scroll bar
        height = page.locator("#charts").evaluate("charts => charts.getBoundingClientRect().bottom") + 16
        taken = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height}, full_page=True)
    picture = Image.open(io.BytesIO(taken))
    height = round(picture.height * WIDTH * SCALE / picture.width)
    picture.resize((WIDTH * SCALE, height), Image.Resampling.LANCZOS).save(file)


def wait_for_charts(page: playwright.Page, charts: playwright.Locator) -> None:
    """Return when all charts, which are drawn when one scrolls to them, are there."""
    for number in range(charts.count()):
        charts.nth(number).scroll_into_view_if_needed()
        charts.nth(number).and_(page.locator("[data-drawn]")).wait_for()
    page.evaluate("scrollTo(0, 0)")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help=f"{', '.join(PICTURES)} (default: all)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.pictures).difference(PICTURES):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    try:
        make(arguments.pictures or list(PICTURES))
    except (StackError, playwright.Error) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
