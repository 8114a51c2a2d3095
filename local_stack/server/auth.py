"""Random credentials, and the tokens that stand for them.

A token is a JWT signed with a secret of this server's own. Clients read its claims without checking the
signature: the API version they may speak, the server's version and its feature set.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from .documents import Document

API_VERSION = "2.31"
SERVER_VERSION = "2.1.0"
COMPANY = {"id": "local", "name": "local stack"}
USER = {"id": "local_user", "name": "local user"}

TOKEN_SECONDS = 30 * 24 * 3600
LONGEST_TOKEN_SECONDS = 365 * 24 * 3600  # ClearML's own, as is the one above
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
# The audiences of tokens that are no keys to the API: in the cookie that opens the pages, and in the one of
# ClearML's own web UI, which counts only where no foreign page can have sent it.
PAGES, SESSION = "pages", "session"
ONLY_SHOWS = "only_shows"  # the claim of a token with which the pages show, and change nothing


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
        made = cls.make()
        write_private(path, json.dumps(made.__dict__, indent=2) + "\n")
        return made

    @classmethod
    def make(cls) -> "Credentials":
        """Return random credentials."""
        return cls(*new_key_pair(), secrets.token_urlsafe(48))

    @property
    def password(self) -> str:
        """The password with which USER logs in to ClearML's own web UI."""
        return self.signature("password")[:32]

    def signature(self, text: str) -> str:
        """Return what nobody else can compute of this text."""
        return hmac.new(self.token_secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def token(
        self, seconds: int | None = None, audience: str | None = None, until: int | None = None, **claims: Any
    ) -> str:
        """Return a token for the API, or for the audience alone: the API refuses such a token.

        It ends after so many seconds, and not later than `until`, the end of the token that it is made from.
        """
        issued = int(time.time())
        end = issued + min(seconds or TOKEN_SECONDS, LONGEST_TOKEN_SECONDS)
        claims |= {"aud": audience} if audience else API_CLAIMS
        claims |= {"iat": issued, "exp": min(end, until or end)}
        return jwt.encode(claims, self.token_secret, algorithm="HS256")

    def claims(self, token: str, audience: str | None = None) -> Document:
        """Return what a token says; jwt.PyJWTError if it is not valid, or is for another audience."""
        found: Document = jwt.decode(
            token, self.token_secret, algorithms=["HS256"], audience=audience, options={"require": ["exp"]}
        )
        return found


def new_key_pair() -> tuple[str, str]:
    """Return a random access key and its secret key."""
    return secrets.token_hex(10).upper(), secrets.token_urlsafe(32)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read. It is never open to others, not even for a moment."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
