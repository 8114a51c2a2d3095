"""Calls of the API as plain HTTP, each answer checked against the SDK's own schema."""

import json
from dataclasses import dataclass

import requests

from local_stack.server.auth import Credentials
from local_stack.stack import Stack
from local_stack.tests import sdk_schemas
from local_stack.waiting import SECONDS


@dataclass
class Api:
    """Calls of a ClearML server's API as plain HTTP, for tests of the API itself.

    Every answer is checked against the SDK's own schema.
    """

    url: str
    credentials: Credentials
    token: str = ""

    def login(self) -> "Api":
        keys = (self.credentials.access_key, self.credentials.secret_key)
        answer = requests.get(f"{self.url}/auth.login", auth=keys, timeout=SECONDS)
        self.token = answer.json()["data"]["token"]
        return self

    def send(self, name: str, /, version: str = "v2.23", **parameters) -> requests.Response:
        response = requests.get(
            f"{self.url}/{version}/{name}", json=parameters, headers=self.headers, timeout=SECONDS
        )
        if response.ok:
            assert sdk_schemas.problems("response", name, response.json()["data"]) == []
        return response

    def __call__(self, name: str, /, version: str = "v2.23", **parameters) -> dict:
        """The data of a call that succeeds."""
        response = self.send(name, version, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def send_events(self, *events: dict) -> requests.Response:
        """Report events in one batch: JSON lines, as the SDK sends them."""
        body = "\n".join(json.dumps(event) for event in events)
        return requests.post(f"{self.url}/events.add_batch", body, headers=self.headers, timeout=SECONDS)

    def events(self, *events: dict) -> dict:
        """The data of a report of events that succeeds."""
        response = self.send_events(*events)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def api_of(stack: Stack) -> Api:
    return Api(stack.url, Credentials.load_or_make(stack.home / "server" / "credentials.json")).login()
