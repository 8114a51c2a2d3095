"""Take pictures with a headless Chromium: of a drawing, and of a page of the local stack."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from images.style import SCALE, WIDTH

WINDOW_WIDTHS, WINDOW_HEIGHT = range(900, 1300, 20), 800  # CSS pixels
# Whether a part of the steps or the tables shows only when one scrolls sideways.
CUT_OFF = """
    [...document.querySelectorAll("#graph *, #charts *")].some(
        (part) => getComputedStyle(part).overflowX === "auto" && part.scrollWidth > part.clientWidth)
"""


def find_chromium() -> str | None:
    """Return the path of the browser on PATH, None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_page(width: int, height: int) -> Iterator[Page]:
    """Open an empty page of this many CSS pixels, in playwright's own Chromium if none is on PATH."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        try:
            yield browser.new_page(
                viewport={"width": width, "height": height}, device_scale_factor=SCALE, color_scheme="dark"
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
        charts = page.locator("#charts .chart")
        for number in range(charts.count()):
            charts.nth(number).scroll_into_view_if_needed()
            charts.nth(number).and_(page.locator("[data-drawn]")).wait_for()
        page.evaluate("scrollTo(0, 0)")
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
