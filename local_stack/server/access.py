"""Who may see the pages: a link with a token opens them, and a cookie keeps them open."""

import hmac
import secrets
import time
from contextlib import suppress
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .auth import LONGEST_TOKEN_SECONDS, ONLY_SHOWS, PAGES
from .errors import ApiError
from .login.callers import Caller, Callers

# What all pages allow a browser to load and to say.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not "no-referrer": browsers would send forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# A browser that goes back loads the page again, and keeps nothing for the next user of the machine.
NO_STORE = {"Cache-Control": "no-store"}


class PageForbidden(ApiError):
    """The page may not be shown. `reason` says more than that the link is needed, or is empty."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(status, 20, reason or "Unauthorized (missing credentials)")
        self.reason = reason


class PageAccess:
    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def check(self, request: Request) -> Response | None:
        """Raise PageForbidden unless the request may see pages. Return a redirect if it came by a link.

        The redirect moves the link's token into a cookie, as browsers remember addresses.
        """
        if "token" in request.query_params:
            return self._redirect_with_cookie(request, token_in(request.query_params["token"]))
        self.visitor(request)
        return None

    def visitor(self, request: Request) -> Caller:
        """Return whose session the cookie is of; PageForbidden if there is none."""
        session = request.cookies.get(cookie_name(request), "")
        try:
            caller = self._callers.by_token(session, PAGES)
        except ApiError as error:
            raise PageForbidden(401) from error
        caller.form_key = "" if caller.only_shows else caller.credentials.signature(session)
        return caller

    def check_form(self, request: Request, visitor: Caller, key: str) -> None:
        """Raise PageForbidden unless a form with this key comes from a page of the visitor's session."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise PageForbidden(403, "Only the stack's own pages may send this form.")
        if not visitor.form_key:
            raise PageForbidden(403, "This browser came by a link that shows only: it may change nothing.")
        if not hmac.compare_digest(visitor.form_key.encode(), key.encode()):
            raise PageForbidden(
                403, "This form is not of this session: go back, load its page again, and send it once more."
            )

    def _redirect_with_cookie(self, request: Request, token: str) -> Response:
        caller = self._caller(token)
        left = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        target = request.url.path + ("?" + urlencode(left) if left else "")
        answer = RedirectResponse(target, status_code=303, headers={**HEADERS, **NO_STORE})
        answer.set_cookie(
            cookie_name(request),
            # Browsers send it to every port of this machine, so it opens nothing but the pages.
            page_token(caller, caller.only_shows),
            max_age=max(1, int((caller.expires or 0) - time.time())),
            httponly=True,
            # Not "strict": a link in a notebook, which may be another site, should open. No
            # browser sends it with another site's form.
            samesite="lax",
        )
        return answer

    def _caller(self, token: str) -> Caller:
        """Return who comes by a link. A token for the API may do more than read: it opens pages, too."""
        for audience in (PAGES, None):
            with suppress(ApiError):
                return self._callers.by_token(token, audience)
        raise PageForbidden(401, "This link belongs to another stack, or has expired.")


def page_token(caller: Caller, only_shows: bool) -> str:
    """Return a token that opens the pages for as long as the caller's own session lasts."""
    claims = {"access_key": caller.access_key, "session": secrets.token_hex(8), ONLY_SHOWS: only_shows}
    return caller.credentials.token(LONGEST_TOKEN_SECONDS, PAGES, until=caller.expires, **claims)


def cookie_name(request: Request) -> str:
    """Return a name for each port: all ports of a machine share cookies, and several stacks may run on it."""
    return f"local_stack_{request.url.port or 80}"


def token_in(text: str) -> str:
    """Return the token in a text that is a token, or a whole link."""
    text = text.strip()
    try:
        return dict(parse_qsl(urlsplit(text).query)).get("token", text)
    except ValueError:  # such as http://[
        return text
