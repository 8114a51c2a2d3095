"""The endpoints by which clients and people log in, and manage key pairs."""

from ..auth import COMPANY, SESSION, USER
from ..documents import Document
from ..errors import ApiError
from ..registry import Service
from ..store import Store
from . import state
from .callers import Caller, caller_by_token

service = Service()

# What the UI asks of the other ways to log in. There are none.
NO_GUEST = {"enabled": False}


@service.endpoint("auth.login", with_caller=True, expiration_sec=(int, str))
def login(store: Store, request: Document, caller: Caller) -> Document:
    """Return a token, and begin a session."""
    seconds = _wanted_seconds(request)
    # What a token is exchanged for ends when it does, and falls with the same key pair.
    inherited: Document = {"until": caller.expires, "access_key": caller.access_key}
    caller.cookie = caller.credentials.token(seconds, SESSION, **inherited)
    return {"token": caller.credentials.token(seconds, **inherited)}


def _wanted_seconds(request: Document) -> int | None:
    wanted = request.get("expiration_sec")
    if isinstance(wanted, str):  # as it is in the query of a URL
        wanted = int(wanted[:20]) if wanted.isdecimal() else None
    return wanted if wanted and wanted > 0 else None


@service.endpoint("auth.logout", with_caller=True)
@service.endpoint("login.logout", with_caller=True)
def logout(store: Store, request: Document, caller: Caller) -> Document:
    caller.cookie = ""
    return {}


@service.endpoint("login.supported_modes", with_caller=True)
def supported_modes(store: Store, request: Document, caller: Caller) -> Document:
    return {
        "basic": {"enabled": True, "guest": NO_GUEST},
        "sso": {},
        "sso_providers": [],
        "server_errors": {"missed_es_upgrade": False, "es_connection_error": False},
        "authenticated": caller.known,
    }


@service.endpoint("auth.fixed_users_mode")
def fixed_users_mode(store: Store, request: Document) -> Document:
    return {"enabled": True, "guest": NO_GUEST, "server_errors": {}}


@service.endpoint("auth.validate_token", "token", with_caller=True, token=str)
def validate_token(store: Store, request: Document, caller: Caller) -> Document:
    try:
        caller_by_token(store, caller.credentials, request["token"])
    except ApiError as error:
        return {"valid": False, "msg": str(error)}
    return {"valid": True, "user": USER["id"], "company": COMPANY["id"]}


@service.endpoint("auth.create_credentials", label=str)
def create_credentials(store: Store, request: Document) -> Document:
    pair, secret = state.create_key_pair(store, request.get("label"))
    return {"credentials": {"access_key": pair["id"], "secret_key": secret, "label": pair.get("label")}}


@service.endpoint("auth.get_credentials")
def get_credentials(store: Store, request: Document) -> Document:
    fields = ("label", "last_used", "last_used_from")
    found = [
        {"access_key": pair["id"], **{field: pair.get(field) for field in fields}}
        for pair in store.all("key_pair")
    ]
    return {"credentials": found}


@service.endpoint("auth.edit_credentials", "access_key", access_key=str, label=str)
def edit_credentials(store: Store, request: Document) -> Document:
    pair = store.get("key_pair", request["access_key"])
    if pair is None:
        raise _unknown(request["access_key"])
    store.put("key_pair", {**pair, "label": request.get("label")})
    return {"updated": 1}


@service.endpoint("auth.revoke_credentials", "access_key", access_key=str)
def revoke_credentials(store: Store, request: Document) -> Document:
    """Forget a key pair: neither it nor a token that it brought is good for anything from now on."""
    pair = store.get("key_pair", request["access_key"])
    if pair is None:
        raise _unknown(request["access_key"])
    if "secret_sha256" not in pair:
        own = "the key pair of clearml.conf, which the agents use"
        raise ApiError(400, 301, f"Invalid user id: protected identity; this is {own}")
    store.delete("key_pair", pair["id"])
    return {"revoked": 1}


def _unknown(access_key: str) -> ApiError:
    return ApiError(400, 300, f"Invalid user: no credentials have the access key {access_key!r}")
