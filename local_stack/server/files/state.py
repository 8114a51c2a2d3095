"""Files by their paths, and uploads that are written to disk as their bytes come in."""

import errno
import uuid
from contextlib import suppress
from email.message import Message
from email.utils import collapse_rfc2231_value
from pathlib import Path
from typing import BinaryIO

from python_multipart.multipart import MultipartParser

from ..errors import ApiError, validation_error

MOST_FOLDERS = 100  # in a path: ClearML makes a handful
MOST_PARTS = 1000  # of an upload: they are moved to their places all at once
LONGEST_HEADER = 2**16  # of a part: the path is in it
# How a name may be written down. Python knows many more, which fail in their own ways, or are slow.
ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "")
# How the file system says that it never takes a path. Of other errors, a full disk for one, that is not said.
NO_SUCH_PATH = (
    errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR,
)  # fmt: skip


class FileStore:
    """A folder of files. A file's path is the one below the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uploads = self.root.with_name("uploads")
        for folder in (self.root, self.uploads):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.uploads.iterdir():
            leftover.unlink()  # of uploads that a crash cut off

    def locate(self, path: str) -> Path:
        """Return where a file of that path is or would be; refuse a path that leads out of the store."""
        # In the name of a part, clients write a quotation mark as %22, and a %22 unchanged. The two look the
        # same, so this server treats them as the same everywhere.
        relative = path.strip("/").replace("%22", '"')
        if not relative or "\0" in relative:
            raise validation_error("a file needs a path")
        if relative.count("/") > MOST_FOLDERS:
            raise validation_error(f"a file's path has at most {MOST_FOLDERS} folders")
        target = (self.root / relative).resolve()
        if ".." in Path(relative).parts or not target.is_relative_to(self.root):
            raise validation_error("the path leads out of the file store")
        return target

    def find(self, path: str) -> Path:
        """Return where the file of that path is, or raise the API's error if there is none."""
        target = self.locate(path)
        with suppress(OSError):  # the name is longer than any file's may be
            if target.is_file():
                return target
        raise ApiError(404, 0, f"No such file: {path}")

    def remove(self, path: str) -> None:
        """Delete the file of that path, and the folders that are empty without it."""
        target = self.find(path)
        target.unlink()
        for folder in target.parents:
            if folder == self.root or any(folder.iterdir()):
                break
            folder.rmdir()


class Upload:
    """A multipart body. Each part is written to a file of its own as its bytes come in."""

    def __init__(self, files: FileStore, boundary: bytes) -> None:
        self.files = files
        self.finished: list[tuple[Path, Path]] = []  # (where the bytes are, where they belong)
        self.complete = False
        self._header = b""
        self._value = b""
        self._disposition = ""
        self._part: tuple[Path, Path, BinaryIO] | None = None  # as above, and the open file
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
        if len(self.finished) == MOST_PARTS:
            raise ApiError(413, 0, f"The upload has more than {MOST_PARTS} parts: send several uploads")
        self._disposition = ""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._header) + len(self._value) > LONGEST_HEADER:
            raise validation_error("a header of a part is too long")

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value.decode("utf-8", "replace")
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        name = _name_in(self._disposition)
        if not name:
            raise validation_error("each part of an upload needs a name: the path to store it at")
        target = self.files.locate(name)
        partial = self.files.uploads / uuid.uuid4().hex
        self._part = partial, target, partial.open("wb")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part:
            self._part[2].write(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        if self._part:
            partial, target, out = self._part
            out.close()
            self.finished.append((partial, target))
            self._part = None

    def _on_end(self) -> None:
        self.complete = True

    def keep(self) -> list[str]:
        """Move the files, all or none, to where they belong. Call it when every byte has come."""
        made: list[Path] = []
        try:
            for _, target in self.finished:
                self._make_folders(target.parent, made)
            for _, target in self.finished:
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "there is a folder of that name")
            for partial, target in self.finished:
                partial.replace(target)
        except OSError as error:
            for folder in reversed(made):
                with suppress(OSError):  # a file is in it by now
                    folder.rmdir()
            if error.errno not in NO_SUCH_PATH:
                raise
            raise validation_error(f"cannot store a file there: {error.strerror}") from error
        return [target.relative_to(self.files.root).as_posix() for _, target in self.finished]

    def _make_folders(self, folder: Path, made: list[Path]) -> None:
        """Make a folder and those above it, and note in `made` which were not there."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)

    def discard(self) -> None:
        """Remove whatever was written and not kept."""
        if self._part:
            partial, target, out = self._part
            out.close()
            self.finished.append((partial, target))
        for partial, _ in self.finished:
            partial.unlink(missing_ok=True)


def _name_in(disposition: str) -> str:
    """Return the name that a part's Content-Disposition gives it; "" for none."""
    header = Message()
    header["Content-Disposition"] = disposition
    try:
        name = header.get_param("name", "", header="Content-Disposition")
        if isinstance(name, tuple) and (name[0] or "").lower() not in ENCODINGS:
            raise validation_error(f"the name of a part is in {name[0]!r}: write it in UTF-8")
        return collapse_rfc2231_value(name)
    except ValueError as error:  # UnicodeError is one
        raise validation_error(f"the name of a part cannot be read: {error}") from error
