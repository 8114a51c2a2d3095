"""A window of a real Chromium on the pages of a stack, in which nothing may go wrong."""

from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from local_stack.stack import Stack

WIDE, SMALL, PHONE = ({"width": width, "height": 900} for width in (1400, 1280, 390))
# Pages look for news every few seconds. On a machine with much else to do, all of it takes a multiple.
MILLISECONDS = 120_000
expect.set_options(timeout=MILLISECONDS)
DRIVER_NOISE = "GL Driver Message"  # a machine without a graphics card draws slowly, and says so
SERIOUS = ("serious", "critical")


class Window:
    """A browser window that has come in by the link of the stack, and what went wrong in it."""

    def __init__(self, browser: Browser, stack: Stack, **options) -> None:
        """`options` are those of playwright's contexts, such as java_script_enabled or color_scheme."""
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.context.set_default_timeout(MILLISECONDS)
        self.page = self.context.new_page()
        self.url = stack.url
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: (self.problems.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(urlsplit(request.url).path))
        self.page.on("requestfailed", self._on_failure)
        self.page.on(
            "response", lambda r: self.problems.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )
        self.page.goto(stack.pages_link())

    def _on_console(self, message) -> None:
        if message.type in ("error", "warning", "trace") and DRIVER_NOISE not in message.text:
            self.problems.append(f"console: {message.text}")

    def _on_failure(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # of a page that was left
            self.problems.append(f"failed: {request.url} {request.failure}")

    def open(self, url: str) -> Page:
        self.requests.clear()
        self.page.goto(url if url.startswith("http") else self.url + url)
        return self.page

    def tab_to(self, name: str, role: str = "button") -> None:
        """Press Tab until the button, link or field with the name has the focus."""
        wanted = self.page.get_by_role(role, name=name, exact=True)
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("item => item === document.activeElement"):
                return
        raise AssertionError(f"Tab does not reach {name!r}")

    def axe_problems(self) -> list[str]:
        """What axe-core finds on the page that is open, and calls serious: rule and first element of each."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in SERIOUS
        ]

    def flaws(self) -> list[str]:
        """What is wrong with the page that is open, for readers: light and wide, dark and on a phone."""
        found = []
        for scheme, size in (("light", SMALL), ("dark", PHONE)):
            self.page.emulate_media(color_scheme=scheme)
            self.page.set_viewport_size(size)
            found += [f"{scheme}, {size['width']}: {problem}" for problem in self.axe_problems()]
            if (pixels := self.page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
                found.append(f"{size['width']}: {pixels} pixels too wide")
        return found
