"""HTTP: files posted, read and deleted. They are streamed to and from the disk."""

from mimetypes import guess_type

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..access import PageAccess
from ..errors import ApiError, validation_error
from ..json_bodies import chunks
from ..login.callers import Callers
from .state import FileStore, Upload

# Files come from users: a browser must neither guess their type nor run what they hold.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Browsers may show files of these types. They store all others, which have no type: a page that names one as
# its script or style sheet gets nothing that a browser runs.
INLINE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/", "video/", "text/plain")


def file_routes(files: FileStore, callers: Callers, access: PageAccess) -> list[Route]:
    async def answer(request: Request) -> Response:
        if request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            # Browsers send cookies along with whatever any page makes them ask for: they allow to read.
            if not callers.find(request, only_reads=True).known and (redirect := access.check(request)):
                return redirect
        else:
            callers.identify(request)
        path = request.path_params.get("path", "")
        if request.method == "POST":
            if path:
                raise ApiError(405, 0, "Files are posted to /files; the name of each part is its path")
            return await upload_files(files, request)
        return delete_file(files, path) if request.method == "DELETE" else download_file(files, path)

    return [
        Route("/", answer, methods=["POST"]),
        Route("/files", answer, methods=["POST"]),
        Route("/files/{path:path}", answer, methods=["GET", "POST", "DELETE"]),
    ]


async def upload_files(files: FileStore, request: Request) -> Response:
    """Store the parts of a multipart body. The name of each part is its path."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise validation_error("an upload should be multipart/form-data")
    try:
        upload = Upload(files, options[b"boundary"])
        try:
            async for chunk in chunks(request):
                upload.parser.write(chunk)
            upload.parser.finalize()
            if not upload.complete:
                raise validation_error("the upload ended before its last part did")
            paths = upload.keep()
        finally:
            upload.discard()
    except FormParserError as error:
        raise validation_error(f"the multipart body is malformed: {error}") from error
    except OSError as error:  # too little room, say
        raise ApiError(507, 0, f"The upload cannot be stored, make room for it: {error.strerror}") from error
    return PlainTextResponse("\n".join(paths))


def download_file(files: FileStore, path: str) -> Response:
    target = files.find(path)
    kind, encoding = guess_type(target.name)
    inline = kind and not encoding and kind.startswith(INLINE_TYPES)
    return FileResponse(
        target,
        headers=SAFE_HEADERS,
        media_type=kind if inline else "application/octet-stream",
        filename=target.name,
        content_disposition_type="inline" if inline else "attachment",
    )


def delete_file(files: FileStore, path: str) -> Response:
    files.remove(path)
    return PlainTextResponse("deleted")
