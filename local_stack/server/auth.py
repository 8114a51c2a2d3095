"""Random credentials, and the tokens that stand for them.

A token is a JWT signed with a secret of this server's own. Clients read its claims without checking the
signature: the API version they may speak, the server's version and its feature set.
"""

import base64
import binascii
import hmac
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import jwt

from .documents import Document
from .errors import ApiError

API_VERSION = "2.31"
SERVER_VERSION = "2.1.0"
COMPANY = {"id": "local", "name": "local stack"}
USER = {"id": "local_user", "name": "local user"}

TOKEN_SECONDS = 30 * 24 * 3600
LONGEST_TOKEN_SECONDS = 10 * 365 * 24 * 3600
OWNER = {"user": USER["id"], "company": COMPANY["id"]}  # the owner of every document
API_CLAIMS: Document = {
    "auth_type": "Bearer",
    "identity": {
        "user": USER["id"],
        "user_name": USER["name"],
        "company": COMPANY["id"],
        "company_name": COMPANY["name"],
        "role": "admin",
    },
    "api_version": API_VERSION,
    "server_version": SERVER_VERSION,
    "server_build": "local-stack",
    "feature_set": "basic",
}
PAGES = "pages"  # the audience of tokens that open the pages and no API


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str
    token_secret: str

    @classmethod
    def load_or_make(cls, path: Path) -> "Credentials":
        """Read the credentials at `path`, or write new ones there that only their owner can read."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        made = cls(secrets.token_hex(10).upper(), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        write_private(path, json.dumps(made.__dict__, indent=2) + "\n")
        return made

    def login(self, authorization: str | None, seconds: int | None) -> str:
        """Return a token for the right keys (HTTP Basic) or in exchange for a valid token."""
        scheme, _, value = (authorization or "").partition(" ")
        if not value:
            raise ApiError(401, 20, "Unauthorized (missing credentials)")
        if scheme.lower() == "bearer":
            self.check(authorization)
        elif not self._keys_match(value):
            raise ApiError(401, 22, "Unauthorized (invalid credentials): access key or secret key is wrong")
        return self.token(seconds)

    def token(self, seconds: int | None = None, audience: str | None = None) -> str:
        """Return a token for the API, or for the audience alone: `check` refuses such a token."""
        lifetime = min(seconds or TOKEN_SECONDS, LONGEST_TOKEN_SECONDS)
        issued = int(time.time())
        claims = {"aud": audience} if audience else API_CLAIMS
        claims = {**claims, "iat": issued, "exp": issued + lifetime}
        return jwt.encode(claims, self.token_secret, algorithm="HS256")

    def check(self, authorization: str | None) -> None:
        """Raise the API's 401 unless the header holds the keys or a valid token of this server."""
        scheme, _, value = (authorization or "").partition(" ")
        if not value:
            raise ApiError(401, 20, "Unauthorized (missing credentials): log in with auth.login first")
        if scheme.lower() == "basic" and self._keys_match(value):
            return
        if scheme.lower() != "bearer":
            raise ApiError(401, 22, "Unauthorized (invalid credentials)")
        try:
            jwt.decode(value, self.token_secret, algorithms=["HS256"])
        except jwt.PyJWTError as error:
            raise ApiError(401, 30, f"Invalid token: {error}") from error

    def _keys_match(self, encoded: str) -> bool:
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ApiError(401, 21, "Unauthorized (malformed credentials)") from error
        return hmac.compare_digest(given, f"{self.access_key}:{self.secret_key}".encode())


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read. It is never open to others, not even for a moment."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
