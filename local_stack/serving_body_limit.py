"""A limit of the bodies that inference takes: ASGI middleware, for bodies packed with gzip above all.

clearml-serving unpacks whatever it is sent: a body of 50 KB may become 50 MB, and a JSON document of them.
"""

import gzip
import io
import zlib

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 10 * 2**20  # of a request, unpacked: an image in base64, or some 10,000 rows


class BodyLimit:
    """Hand requests on with their bodies, unpacked; answer 413 where that is more than `largest` bytes."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self.app = app
        self.largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body: bytes | bytearray = bytearray()
        try:
            async for chunk in Request(scope, receive).stream():
                body += chunk
                if len(body) > self.largest:
                    break
            if Headers(scope=scope).get("content-encoding") == "gzip" and len(body) <= self.largest:
                body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(self.largest + 1)
                kept = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]
                scope = {**scope, "headers": kept}
        except ClientDisconnect:
            return None
        except (EOFError, OSError, zlib.error):
            return await _refuse(400, "the body is not gzip, as its header says")(scope, receive, send)
        if len(body) > self.largest:
            reason = f"the body, unpacked, is larger than {self.largest // 2**20} MB"
            return await _refuse(413, reason)(scope, receive, send)
        parts: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return parts.pop() if parts else await receive()

        return await self.app(scope, replay, send)


def _refuse(status: int, reason: str) -> JSONResponse:
    # The rest of a body that is refused is not read, so the connection ends with the answer.
    return JSONResponse({"detail": f"Invalid request: {reason}"}, status, {"Connection": "close"})
