"""The file server: artifacts, models, dataset archives and debug samples, streamed to and from disk."""

import errno
import uuid
from contextlib import suppress
from email.message import Message
from email.utils import collapse_rfc2231_value
from mimetypes import guess_type
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from ..errors import ApiError, validation_error

# Files come from users: a browser must neither guess their type nor run what they hold.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# What a browser may show by itself; all else, HTML and SVG among it, it stores.
SHOWN_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/", "video/", "text/plain")


class FileStore:
    """A folder of files, known by their paths below it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uploads = self.root.with_name("uploads")
        for folder in (self.root, self.uploads):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.uploads.iterdir():
            leftover.unlink()  # of uploads that a crash cut off

    def locate(self, path: str) -> Path:
        """Where a file of that path is or would be; a path that leads out of the store is refused."""
        # Clients write a quotation mark as %22 in the name of a part, and a part's own %22 as it is: the two
        # cannot be told apart, so they are the same everywhere.
        relative = path.strip("/").replace("%22", '"')
        if not relative or "\0" in relative:
            raise validation_error("a file needs a path")
        target = (self.root / relative).resolve()
        if ".." in Path(relative).parts or not target.is_relative_to(self.root):
            raise validation_error("the path leads out of the file store")
        return target

    def find(self, path: str) -> Path:
        """Where the file of that path is, if there is one."""
        target = self.locate(path)
        with suppress(OSError):  # a name that is longer than any file's
            if target.is_file():
                return target
        raise ApiError(404, 0, f"No such file: {path}")


class _Upload:
    """The parts of one multipart body, each written to a file of its own as its bytes come in."""

    def __init__(self, files: FileStore, boundary: bytes) -> None:
        self.files = files
        self.finished: list[tuple[Path, Path]] = []  # (where the bytes are, where they belong)
        self.complete = False
        self._header = b""
        self._value = b""
        self._disposition = ""
        self._partial: Path | None = None
        self._target: Path | None = None
        self._out: BinaryIO | None = None
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def _on_part_begin(self) -> None:
        self._disposition = ""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value.decode("utf-8", "replace")
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        header = Message()
        header["Content-Disposition"] = self._disposition
        name = header.get_param("name", header="Content-Disposition")
        if not name:
            raise validation_error("each part of an upload needs a name: the path to store it at")
        self._target = self.files.locate(collapse_rfc2231_value(name))
        self._partial = self.files.uploads / uuid.uuid4().hex
        self._out = self._partial.open("wb")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._out.write(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        self._out.close()
        self.finished.append((self._partial, self._target))
        self._partial = self._out = None

    def _on_end(self) -> None:
        self.complete = True

    def keep(self) -> list[str]:
        """Move the files to where they belong, all or none, now that every byte has come."""
        try:
            for _, target in self.finished:
                target.parent.mkdir(parents=True, exist_ok=True)
            for _, target in self.finished:
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "there is a folder of that name")
            for partial, target in self.finished:
                partial.replace(target)
        except OSError as error:
            raise validation_error(f"cannot store a file there: {error.strerror}") from error
        return [target.relative_to(self.files.root).as_posix() for _, target in self.finished]

    def discard(self) -> None:
        """Remove whatever was written and not kept."""
        if self._out:
            self._out.close()
        for partial in [self._partial, *(partial for partial, _ in self.finished)]:
            if partial:
                partial.unlink(missing_ok=True)


async def upload(files: FileStore, request: Request) -> Response:
    """POST, multipart: the name of each part is the path to store its bytes at."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise validation_error("an upload should be multipart/form-data")
    try:
        received = _Upload(files, options[b"boundary"])
        try:
            async for chunk in request.stream():
                received.parser.write(chunk)
            received.parser.finalize()
            if not received.complete:
                raise validation_error("the upload ended before its last part did")
            paths = received.keep()
        finally:
            received.discard()
    except FormParserError as error:
        raise validation_error(f"the multipart body is malformed: {error}") from error
    except OSError as error:
        raise ApiError(507, 0, f"The upload cannot be stored: {error.strerror}") from error
    return PlainTextResponse("\n".join(paths))


def download(files: FileStore, path: str) -> Response:
    target = files.find(path)
    kind, encoding = guess_type(target.name)
    shown = kind and not encoding and kind.startswith(SHOWN_TYPES)
    disposition = "inline" if shown else "attachment"
    return FileResponse(
        target, headers=SAFE_HEADERS, filename=target.name, content_disposition_type=disposition
    )


def delete(files: FileStore, path: str) -> Response:
    target = files.find(path)
    target.unlink()
    for folder in target.parents:
        if folder == files.root or any(folder.iterdir()):
            break
        folder.rmdir()
    return PlainTextResponse("deleted")
