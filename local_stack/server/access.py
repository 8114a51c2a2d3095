"""Who may look: a link with a token opens the pages, and a cookie keeps them open."""

import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .auth import PAGES, Credentials
from .errors import ApiError
from .pages.rendering import ALWAYS_NEW, HEADERS

# The names by which a browser on this machine reaches it. Any other may be a trick to read the pages from
# a foreign site, whose name was made to lead here.
OWN_NAMES = ("127.0.0.1", "localhost")


class Refused(ApiError):
    """The page may not be shown. `why` tells people more than that they need the link, or is empty."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(status, 20, why or "Unauthorized (missing credentials)")
        self.why = why


class Access:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def check(self, request: Request) -> Response | None:
        """Raise Refused unless the request may see pages; the answer to give, if it came by a link.

        The token of a link goes into a cookie and out of the address, which browsers remember.
        """
        if request.url.hostname not in OWN_NAMES:
            raise Refused(403, "These pages are for browsers on this machine: open them at 127.0.0.1.")
        if "token" in request.query_params:
            return self._let_in(request, token_in(request.query_params["token"]))
        if not self._has_cookie(request):
            raise Refused(401)
        return None

    def _has_cookie(self, request: Request) -> bool:
        try:
            cookie = request.cookies.get(cookie_name(request), "")
            jwt.decode(cookie, self._credentials.token_secret, algorithms=["HS256"], audience=PAGES)
        except jwt.PyJWTError:
            return False
        return True

    def _let_in(self, request: Request, token: str) -> Response:
        try:
            # A token for the API may do more than look, so it opens the pages as well.
            claims = jwt.decode(
                token, self._credentials.token_secret, algorithms=["HS256"], options={"verify_aud": False}
            )
        except jwt.PyJWTError as error:
            raise Refused(401, "This link is not of this stack, or has run out.") from error
        seconds = max(1, int(claims["exp"] - time.time()))
        left = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        target = request.url.path + ("?" + urlencode(left) if left else "")
        answer = RedirectResponse(target, status_code=303, headers={**HEADERS, **ALWAYS_NEW})
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
    """One per port: all ports of a machine share their cookies, and several stacks may run on it."""
    return f"local_stack_{request.url.port or 80}"


def token_in(text: str) -> str:
    """The token, of itself or of a link that was pasted whole."""
    text = text.strip()
    try:
        return dict(parse_qsl(urlsplit(text).query)).get("token", text)
    except ValueError:  # such as http://[
        return text
