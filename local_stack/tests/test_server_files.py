"""The local server's file store: what goes in comes out, streamed, and nothing leads out of it."""

import errno
import os
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from clearml.utilities.requests_toolbelt import MultipartEncoder

from local_stack.server.errors import ApiError
from local_stack.server.files.state import MOST_PARTS, FileStore
from local_stack.tests.api import Api

FORM = "multipart/form-data; boundary=b"


class Files:
    """The file store of a server, as a client uses it."""

    def __init__(self, api: Api, root: Path) -> None:
        self.api = api
        self.root = root

    def upload(self, path: str, content: bytes = b"content") -> httpx.Response:
        return self.upload_parts({path: content})

    def upload_parts(self, parts: dict[str, bytes], url: str = "/files") -> httpx.Response:
        """Upload parts, whose names the SDK's encoder writes down, as it does for the SDK."""
        body = MultipartEncoder({path: ("name.bin", content) for path, content in parts.items()})
        return self.post(body.content_type, body.read(), url)

    def post(self, content_type: str | None, body: bytes, url: str = "/files") -> httpx.Response:
        headers = {"Content-Type": content_type} if content_type else {}
        return self.api.request("POST", url, content=body, headers=headers)

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        return self.api.request(method, f"/files/{quote(path)}", headers=headers)

    def delete(self, path: str) -> httpx.Response:
        return self.get(path, "DELETE")

    def folders(self) -> list[str]:
        """List all folders of the store."""
        return sorted(str(path) for path in (self.root / "files").rglob("*") if path.is_dir())

    def stored(self) -> list[str]:
        """List all files below the server's home, and what is left of unfinished uploads."""
        folders = (self.root / "files", self.root / "uploads")
        return [str(path.relative_to(self.root)) for f in folders for path in f.rglob("*") if path.is_file()]


@pytest.fixture
def files(api, server_home) -> Files:
    return Files(api, server_home)


@pytest.fixture
def file_store(tmp_path) -> FileStore:
    return FileStore(tmp_path / "files")


# In and out


@pytest.mark.parametrize(
    "path",
    [
        "plain.txt",
        "a/project/a task.123/artifacts/data frame/data.csv.gz",
        "percent %41/plus+/hash#/question?/quote'\"/semi;colon=",
        "größe/文件/🙂.bin",
        "back\\slash/dots..in..names/...",
        "  spaces  / around ",
    ],
)
def test_a_file_comes_back_from_the_very_path_it_was_stored_at(files, path):
    content = os.urandom(1000)
    assert files.upload(path, content).status_code == 200
    assert files.get(path).content == content
    assert files.delete(path).status_code == 200


@pytest.mark.parametrize("path", ['a "quoted" name.txt', "a %22quoted%22 name.txt"])
def test_a_quotation_mark_may_be_written_either_way(files, path):
    files.upload(path, b"said")
    assert files.get('a "quoted" name.txt').content == files.get("a %22quoted%22 name.txt").content == b"said"
    files.delete(path)


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        *((name, "inline") for name in ("a.png", "a.txt", "a.mp4")),
        *(
            (name, "attachment")
            for name in ("a.html", "a.svg", "a.js", "a.mjs", "a.css", "a.xml", "a", "a.js.gz")
        ),
    ],
)
def test_a_browser_shows_pictures_and_text_and_runs_nothing(files, name, disposition):
    """Scripts ignore the disposition: what is no picture or text has no type that a browser would run."""
    files.upload(f"shown/{name}", b"<script>alert(1)</script>")
    headers = files.get(f"shown/{name}").headers
    assert headers["Content-Disposition"] == f'{disposition}; filename="{name}"'
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (headers["Content-Type"] == "application/octet-stream") == (disposition == "attachment")
    files.delete(f"shown/{name}")


@pytest.mark.parametrize("url", ["/", "/files", "/files/"])
def test_files_may_be_posted_to_the_root_as_well_but_to_no_other_path(files, url):
    assert files.upload_parts({"root.bin": url.encode()}, url).text == "root.bin"
    assert files.upload_parts({"name": b"1"}, "/files/name").status_code == 405  # not stored there
    assert files.get("root.bin").content == url.encode()  # each upload takes the place of the one before


def test_several_files_may_come_in_one_upload(files):
    answer = files.upload_parts({"several/one": b"1", "several/two": b"2", "several/none": b""})
    assert answer.text.splitlines() == ["several/one", "several/two", "several/none"]
    assert [files.get(path).content for path in answer.text.splitlines()] == [b"1", b"2", b""]


def test_of_an_upload_with_too_many_parts_nothing_is_kept(files):
    before = files.stored()
    head = '--b\r\nContent-Disposition: form-data; name="too/many/'
    parts = "".join(f'{head}{number}"\r\n\r\n\r\n' for number in range(MOST_PARTS + 1))
    answer = files.post(FORM, f"{parts}--b--\r\n".encode())
    assert answer.status_code == 413
    assert "more than 1000 parts" in answer.text
    assert files.stored() == before


def test_a_deleted_file_is_gone_and_so_are_its_empty_folders(files):
    files.upload("deep/down/gone")
    assert files.delete("deep/down/gone").status_code == 200
    assert files.get("deep/down/gone").status_code == 404
    assert not (files.root / "files" / "deep").exists()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_there_is_named(files, method):
    answer = files.get("never/stored", method)
    assert (answer.status_code, answer.json()["meta"]["result_msg"]) == (404, "No such file: never/stored")


@pytest.mark.parametrize(
    ("asked", "status", "given"),
    [("2-4", 206, b"234"), ("7-", 206, b"789"), ("-2", 206, b"89"), ("20-", 416, None)],
)
def test_a_part_of_a_file_can_be_downloaded(files, asked, status, given):
    files.upload("digits", b"0123456789")
    answer = files.get("digits", Range=f"bytes={asked}")
    assert answer.status_code == status
    if given:
        assert (answer.content, answer.headers["Content-Length"]) == (given, str(len(given)))


def test_head_tells_the_size_and_sends_nothing(files):
    files.upload("sized", b"x" * 1234)
    answer = files.get("sized", "HEAD")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "1234", b"")


# Paths that lead out


CLIMBING = "../credentials.json a/../../credentials.json a/.. .. ./../x a/b/../../../clearml.sqlite"


@pytest.mark.parametrize("path", CLIMBING.split())
def test_a_path_that_climbs_out_is_refused_for_uploads(files, path):
    before = files.stored()
    answer = files.upload(path, b"{}")
    assert answer.status_code == 400
    assert answer.json()["meta"]["result_msg"] == "Validation error: the path leads out of the file store"
    assert files.stored() == before


@pytest.mark.parametrize("path", ["", "/", "//", "a\0b", "a/\0"])
def test_a_path_that_names_no_file_is_refused(file_store, path):
    with pytest.raises(ApiError, match="a file needs a path"):
        file_store.locate(path)
    assert file_store.locate("//etc/passwd") == file_store.root / "etc" / "passwd"  # inside the store


def test_a_link_that_leads_out_is_refused(file_store, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (file_store.root / "link").symlink_to(tmp_path / "secret")
    (file_store.root / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/secret", "folder"):
        with pytest.raises(ApiError, match="leads out of the file store"):
            file_store.locate(path)


@pytest.mark.parametrize(
    "name", [b"name*=utf-8''%2e%2e%2fescaped", b'name="..\\/x"', b"name=../x", b'name="\xff../x"']
)
def test_a_part_whose_name_is_written_in_other_ways_does_not_climb_out(files, name):
    body = b"--b\r\nContent-Disposition: form-data; " + name + b'; filename="f"\r\n\r\nx\r\n--b--\r\n'
    answer = files.post("multipart/form-data; boundary=b", body)
    assert answer.status_code == 400 or (files.root / "files" / answer.text).is_file()
    assert not (files.root / "escaped").exists()
    assert not (files.root / "x").exists()


# Invalid uploads


@pytest.mark.parametrize(
    ("taken", "wanted"),
    [("taken", "taken/inside"), ("folder/taken", "folder"), ("deep/taken", "deep/taken/a/b")],
)
def test_a_file_and_a_folder_cannot_have_one_name_and_nothing_of_the_upload_is_stored(files, taken, wanted):
    files.upload(taken, b"first")
    before, folders = files.stored(), files.folders()
    answer = files.upload_parts({"good/part": b"1", wanted: b"second"})
    assert answer.status_code == 400
    assert "cannot store a file there" in answer.json()["meta"]["result_msg"]
    assert files.get(taken).content == b"first"
    assert (files.stored(), files.folders()) == (before, folders)
    files.delete(taken)


def test_a_disk_that_is_full_when_the_folders_are_made_is_told_of_and_nothing_is_left(files, monkeypatch):
    before, make = (files.stored(), files.folders()), Path.mkdir

    def fail_below(folder: Path, *options: object, **more: object) -> None:
        if folder.name == "below":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(folder, *options, **more)

    monkeypatch.setattr(Path, "mkdir", fail_below)
    answer = files.upload("above/below/file")
    assert (answer.status_code, "No space left on device" in answer.text) == (507, True)
    assert (files.stored(), files.folders()) == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
@pytest.mark.parametrize(
    "path", ["n" * 300, "a/" * 3000 + "a", "a/" * 1500 + "a", "a/" * 101 + "a", "a/b/" + "n" * 300 + "/c"]
)
def test_a_name_that_no_file_system_takes_is_refused(files, method, path):
    before = files.stored(), files.folders()
    answer = files.upload(path) if method == "POST" else files.get(path, method)
    assert answer.status_code in (400, 404)
    assert (files.stored(), files.folders()) == before


def test_a_path_of_a_hundred_folders_is_fine(files):
    path = "a/" * 100 + "a"
    assert files.upload(path).status_code == 200
    assert files.delete(path).status_code == 200


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "hex", "rot13", "utf-16", "a b", "\0", "x" * 500, "idna"]
)
@pytest.mark.parametrize("form", ["name*={}''zz", "name*={}'en'%ff%fe", "name*0*={}''z; name*1=z"])
def test_a_name_in_an_encoding_that_is_not_used_for_names_is_refused(files, charset, form):
    before = files.stored(), files.folders()
    part = f"--b\r\nContent-Disposition: form-data; {form.format(charset)}\r\n\r\nx\r\n--b--\r\n"
    assert files.post(FORM, part.encode()).status_code == 400
    assert (files.stored(), files.folders()) == before


@pytest.mark.parametrize("form", ["name*=UTF-8''a%20%C3%A9", "name*=iso-8859-1'en'a%20%e9", 'name="a é"'])
def test_a_name_may_be_written_as_any_client_writes_it(files, form):
    part = f"--b\r\nContent-Disposition: form-data; {form}\r\n\r\nx\r\n--b--\r\n"
    assert files.post(FORM, part.encode()).text == "a é"
    files.delete("a é")


@pytest.mark.parametrize("where", ["name", "value"])
def test_a_header_that_does_not_end_is_refused(files, where):
    header = "x" * 100_000 + ": y" if where == "name" else "x: " + "y" * 100_000
    assert files.post(FORM, f"--b\r\n{header}\r\n".encode()).status_code == 400


NAME = "Content-Disposition: form-data; name="
MALFORMED = {
    "no multipart": ("application/json", ["{}"]),
    "no content type": (None, ["abc"]),
    "no boundary": ("multipart/form-data", ["--b--"]),
    "another boundary": (FORM, ["--c", "", "x", "--c--"]),
    "an empty body": (FORM, []),
    "no name": (FORM, ["--b", "Content-Type: a/b", "", "x", "--b--", ""]),
    "an empty name": (FORM, ["--b", f'{NAME}""', "", "x", "--b--", ""]),
    "no end": (FORM, ["--b", f'{NAME}"cut"', "", "half of"]),
    "garbage in the headers": (FORM, ["--b", "\x00\x01: \x02", "", "x", "--b--"]),
    "a boundary that is too long": ("multipart/form-data; boundary=" + "b" * 5000, ["--b--"]),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_an_upload_that_is_malformed_is_refused_and_leaves_nothing(files, kind):
    content_type, lines = MALFORMED[kind]
    before = files.stored()
    answer = files.post(content_type, "\r\n".join(lines).encode())
    assert answer.status_code == 400
    assert answer.json()["meta"]["result_msg"].startswith("Validation error: ")
    assert files.stored() == before


def test_what_a_crash_left_of_uploads_is_removed_at_the_next_start(tmp_path):
    FileStore(tmp_path / "files")
    (tmp_path / "uploads" / "leftover").write_bytes(b"half")
    FileStore(tmp_path / "files")
    assert list((tmp_path / "uploads").iterdir()) == []
