"""Who may see the pages: a link with a token opens them, and a cookie keeps them open."""

import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .auth import PAGES, Credentials
from .errors import ApiError

# The names by which a browser on this machine reaches the server. With any other name, a foreign site may
# try to read the pages: it can make its own name lead here.
OWN_NAMES = ("127.0.0.1", "localhost")
# What all pages allow a browser to load and to say.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
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
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def check(self, request: Request) -> Response | None:
        """Raise PageForbidden unless the request may see pages. Return a redirect if it came by a link.

        The redirect moves the link's token into a cookie, as browsers remember addresses.
        """
        if request.url.hostname not in OWN_NAMES:
            raise PageForbidden(403, "These pages are for browsers on this machine: open them at 127.0.0.1.")
        if "token" in request.query_params:
            return self._redirect_with_cookie(request, token_in(request.query_params["token"]))
        if not self._has_cookie(request):
            raise PageForbidden(401)
        return None

    def _has_cookie(self, request: Request) -> bool:
        try:
            cookie = request.cookies.get(cookie_name(request), "")
            jwt.decode(cookie, self._credentials.token_secret, algorithms=["HS256"], audience=PAGES)
        except jwt.PyJWTError:
            return False
        return True

    def _redirect_with_cookie(self, request: Request, token: str) -> Response:
        try:
            # A token for the API may do more than read, so it opens the pages as well.
            claims = jwt.decode(
                token, self._credentials.token_secret, algorithms=["HS256"], options={"verify_aud": False}
            )
        except jwt.PyJWTError as error:
            raise PageForbidden(401, "This link belongs to another stack, or has expired.") from error
        seconds = max(1, int(claims["exp"] - time.time()))
        left = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        target = request.url.path + ("?" + urlencode(left) if left else "")
        answer = RedirectResponse(target, status_code=303, headers={**HEADERS, **NO_STORE})
        answer.set_cookie(
            cookie_name(request),
            # Browsers send it to every port of this machine, so it opens nothing but the pages.
            self._credentials.token(seconds, PAGES),
            max_age=seconds,
            httponly=True,
            # Not "strict": a link in a notebook, which may be another site, should open. Pages only read.
            samesite="lax",
        )
        return answer


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
