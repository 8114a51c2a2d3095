"""Who calls, read from a request's headers alone: nothing else is read of what strangers send."""

import base64
import binascii
import hmac
import logging
import sqlite3
from dataclasses import dataclass

import jwt
from starlette.requests import Request

from ..auth import ONLY_SHOWS, SESSION, USER, Credentials
from ..errors import ApiError
from ..store import Store
from . import state

log = logging.getLogger("local_stack.server")

SESSION_COOKIE = "clearml_token_basic"  # ClearML's own name for it
FROM_WEB_UI = "local_stack.from_web_ui"  # in the scope of requests that a page of the web UI led to


@dataclass
class Caller:
    """Who makes a call, and what becomes of the session's cookie."""

    credentials: Credentials
    known: bool = False
    access_key: str | None = None  # of the key pair behind the call, if there is one
    expires: int | None = None  # when the token runs out that came with the call, in seconds since 1970
    cookie: str | None = None  # handlers set it: a token, or "" to end the session
    only_shows: bool = False  # the pages let this caller change nothing
    form_key: str = ""  # proves that a form comes from a page of the caller's session


class Callers:
    """Tells who makes a request."""

    def __init__(self, store: Store, credentials: Credentials) -> None:
        self._store, self._credentials = store, credentials

    def find(self, request: Request, only_reads: bool = False) -> Caller:
        """Return who makes the request, who may be a stranger; `only_reads` as for `identify`."""
        try:
            return self.identify(request, only_reads)
        except ApiError:
            return Caller(self._credentials)

    def identify(self, request: Request, only_reads: bool = False) -> Caller:
        """Return who makes the request, or raise the API's 401.

        The cookie of a session counts where the browser says that it was no other site's page which made
        the request, or where the request can do no more than read a file.
        """
        authorization = request.headers.get("authorization")
        if authorization is None and (token := request.cookies.get(SESSION_COOKIE)):
            # A page's POST always names its origin, and foreign ones are refused before this. A link of the
            # web UI may lead from its port to this one; no other page can say that it is the web UI's.
            site = request.headers.get("sec-fetch-site")
            linked = site == "same-site" and request.scope.get(FROM_WEB_UI)
            if request.method == "POST" or site == "same-origin" or linked or only_reads:
                return self.by_token(token, SESSION)
        scheme, _, value = (authorization or "").partition(" ")
        if not value:
            raise ApiError(401, 20, "Unauthorized (missing credentials): log in with auth.login first")
        match scheme.lower():
            case "basic":
                return self._from_keys(value, request)
            case "bearer":
                return self.by_token(value)
        raise ApiError(401, 10, "Unauthorized (bad authentication header type): use Basic or Bearer")

    def by_token(self, token: str, audience: str | None = None) -> Caller:
        """Return whose token it is, as `caller_by_token`."""
        return caller_by_token(self._store, self._credentials, token, audience)

    def _from_keys(self, encoded: str, request: Request) -> Caller:
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")
        except (binascii.Error, ValueError) as error:
            raise ApiError(401, 21, "Unauthorized (malformed credentials)") from error
        if name == USER["id"] and hmac.compare_digest(secret.encode(), self._credentials.password.encode()):
            return Caller(self._credentials, True)
        if not state.is_right_secret(self._store, self._credentials, name, secret):
            raise ApiError(401, 22, "Unauthorized (invalid credentials): access key or secret key is wrong")
        try:
            state.note_use(self._store, name, address(request))
        except sqlite3.Error:  # a full disk, say: it keeps nobody from reading
            log.exception("the use of a key pair was not noted")
        return Caller(self._credentials, True, name)


def caller_by_token(
    store: Store, credentials: Credentials, token: str, audience: str | None = None
) -> Caller:
    """Return whose token it is, or raise the API's 401 for one that is not, or no longer, valid."""
    try:
        claims = credentials.claims(token, audience)
    except jwt.PyJWTError as error:
        raise ApiError(401, 30, f"Invalid token: {error}") from error
    access_key = claims.get("access_key")
    if access_key is not None and store.get("key_pair", access_key) is None:
        raise ApiError(401, 31, "Token is blocked: its credentials were revoked")
    return Caller(credentials, True, access_key, claims["exp"], only_shows=claims.get(ONLY_SHOWS) is True)


def address(request: Request) -> str:
    """Return who a request says it comes from: a worker, or the address of a machine."""
    names = ("x-clearml-worker", "x-trains-worker", "x-real-ip")
    told = next((request.headers[name] for name in names if name in request.headers), None)
    return (told or (request.client.host if request.client else ""))[:200]
