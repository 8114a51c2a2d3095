"""Pictures taken by a headless Chromium, twice as fine as CSS pixels."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from images.style import SCALE

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_page(width: int, height: int) -> Iterator[Page]:
    """An empty page in a window of so many CSS pixels; in playwright's own Chromium if none is on PATH."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        try:
            yield browser.new_page(
                viewport={"width": width, "height": height}, device_scale_factor=SCALE, color_scheme="dark"
            )
        finally:
            browser.close()


def photograph_svg(svg: str, width: int, height: int, file: Path) -> None:
    """A drawing as PNG; what it leaves free stays transparent."""
    with open_page(width, height) as page:
        page.set_content(f'<body style="margin: 0">{svg}</body>')
        page.screenshot(path=file, omit_background=True)
