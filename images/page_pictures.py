"""Photograph the pages that tell most, on a stack on which the steps of the demo have run."""

from collections.abc import Callable
from pathlib import Path

import playwright.sync_api as playwright

from demo.running import DemoRun
from demo.summary import places
from global_config import PROJECT_NAME
from images.style import SCALE, WIDTH

# Width and height in CSS pixels, and pixels for each: the picture is just as wide as the others.
WINDOW = 1240, 700, WIDTH * SCALE / 1240
DRAWN = """
    [...document.querySelectorAll(".chart")].every((chart) =>
        chart.getBoundingClientRect().top > innerHeight || "drawn" in chart.dataset)
"""


def show_overview(page: playwright.Page, run: DemoRun) -> None:
    page.goto(f"{run.stack.url}/")


def show_table(page: playwright.Page, run: DemoRun) -> None:
    """Show the trainings in the project's table, the newest first."""
    show_overview(page, run)
    page.locator("#projects").get_by_role("link", name=PROJECT_NAME).click()
    page.goto(f"{page.url}?type=training")


def show_comparison(page: playwright.Page, run: DemoRun) -> None:
    (path,) = [path for _, path in places(run) if path.startswith("/compare")]
    page.goto(run.stack.url + path)


def show_champion(page: playwright.Page, run: DemoRun) -> None:
    """Show the model's page, which begins with its lineage."""
    show_overview(page, run)
    page.locator("#glance section", has_text="Champion").get_by_role("link").first.click()


def show_form(page: playwright.Page, run: DemoRun) -> None:
    """Clone the task that has made the champion, which opens the form of the clone."""
    show_champion(page, run)
    page.get_by_role("row", name="Made by").get_by_role("link").click()
    page.get_by_role("button", name="Clone").click()
    page.get_by_label("max_depth", exact=True).evaluate("field => field.scrollIntoView({ block: 'center' })")


PAGES: tuple[tuple[str, Callable[[playwright.Page, DemoRun], None]], ...] = (
    ("overview", show_overview),
    ("table", show_table),
    ("comparison", show_comparison),
    ("lineage", show_champion),
    ("form", show_form),
)


def photograph_pages(page: playwright.Page, run: DemoRun, folder: Path) -> None:
    """Write a picture of each page into the folder."""
    page.goto(run.stack.pages_link())
    for name, show in PAGES:
        show(page, run)
        page.wait_for_load_state("networkidle")
        page.wait_for_function(DRAWN)
        page.screenshot(path=folder / f"pages_{name}.png")
