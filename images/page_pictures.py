"""Photograph the pages that tell most, on a stack on which the steps of the demo have run."""

from collections.abc import Iterator
from pathlib import Path

import playwright.sync_api as playwright

from demo.running import DemoRun
from demo.summary import places
from global_config import PROJECT_NAME
from images.style import SCALE, WIDTH

PAGES = ("overview", "table", "comparison", "lineage", "form")
# Width and height in CSS pixels, and pixels for each: the picture is just as wide as the others.
WINDOW = 1240, 700, WIDTH * SCALE / 1240
DRAWN = """
    [...document.querySelectorAll(".chart")].every((chart) =>
        chart.getBoundingClientRect().top > innerHeight || "drawn" in chart.dataset)
"""


def photograph_pages(page: playwright.Page, run: DemoRun, folder: Path) -> None:
    """Write a picture of each page into the folder."""
    for name, _ in zip(PAGES, open_pages(page, run), strict=True):
        page.wait_for_load_state("networkidle")
        page.wait_for_function(DRAWN)
        page.screenshot(path=folder / f"pages_{name}.png")


def open_pages(page: playwright.Page, run: DemoRun) -> Iterator[None]:
    """Open one page after the other, as a newcomer would find them."""
    page.goto(run.stack.pages_link())
    yield
    page.locator("#projects").get_by_role("link", name=PROJECT_NAME).click()
    page.goto(f"{page.url}?type=training")
    yield
    (comparison,) = [path for _, path in places(run) if path.startswith("/compare")]
    page.goto(run.stack.url + comparison)
    yield
    page.goto(run.stack.url)
    page.locator("#glance section", has_text="Champion").get_by_role("link").first.click()
    yield  # the model's page, which begins with its lineage
    page.get_by_role("row", name="Made by").get_by_role("link").click()
    page.get_by_role("button", name="Clone").click()  # which opens the form of the clone
    page.get_by_label("max_depth", exact=True).evaluate("field => field.scrollIntoView({ block: 'center' })")
    yield
