"""The tables of datasets on the pages, without a browser: previews, and what differs between versions."""

import gzip
import html
import io
import json
import re
import tempfile
import zipfile
from pathlib import Path

import duckdb
import pytest

from local_stack.server.pages import dataset_tables, datasets, table_reader
from local_stack.server.pages.dataset_tables import compared_files
from local_stack.server.pages.datasets import _file_of as file_of
from local_stack.server.pages.table_reader import answer_to, connect
from local_stack.tests.api import Api
from local_stack.tests.test_pages_http import DATASET, text_of
from local_stack.tests.test_pages_http import browser as browser

CSV = "number,word,day\n1,one,2026-01-01\n2,,2026-01-02\n3,<b>three</b>,2026-01-03\n"


MISSING = "The dataset holds no such file on this server."


def archive_of(files: dict[str, bytes | str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def new_dataset(
    api: Api,
    files: dict[str, bytes | str],
    *,
    parent: str | None = None,
    inherited: tuple[str, ...] = (),
    archive: bytes | None = None,
    server: str | None = None,
    **fields: object,
) -> str:
    """Store a version as the SDK does: a list of its files, and an archive of those that are new in it."""
    dataset = api.new("task", name="the rows", **DATASET, **fields)
    holders = {**dict.fromkeys(inherited, parent), **dict.fromkeys(files, dataset)}
    entries = [
        {"relative_path": name, "parent_dataset_id": holder, "artifact_name": "data"}
        for name, holder in holders.items()
    ]
    stored = {
        f"{dataset}/state.json": json.dumps({"dataset_file_entries": entries}),
        f"{dataset}/a b.zip": archive_of(files) if archive is None else archive,
    }
    api.request("POST", "/files", files=stored)
    base = server or f"{api.url}/files/"
    artifacts = [
        {"key": key, "type": "custom", "uri": f"{base}{dataset}/{file}"}
        for key, file in (("state", "state.json"), ("data", "a%20b.zip"))
    ]
    api("tasks.add_or_update_artifacts", task=dataset, artifacts=artifacts)
    structure = {"0": {"job_id": parent, "parents": []}, "1": {"job_id": dataset, "parents": ["0"]}}
    lines = [f"{name}, {len(files.get(name, ''))}, {hash(files.get(name))}" for name in holders]
    configuration = [
        {"name": "Dataset Content", "value": "\n".join(["header", *lines])},
        {"name": "Dataset Struct", "value": json.dumps(structure)},
    ]
    api("tasks.edit_configuration", task=dataset, configuration=configuration)
    return dataset


def page_of(browser, dataset: str, kind: str, **query: str) -> str:
    return text_of(browser.get(f"/datasets/simple/*/experiments/{dataset}/{kind}", params=query))


def preview(browser, dataset: str, file: str) -> tuple[str, list[str], list[str]]:
    """Return what the preview says, the columns, and the cells."""
    page = page_of(browser, dataset, "preview", file=file).partition("<h1>")[2]
    columns = re.findall(r'<th scope="col">(.*?) <span class="type">(.*?)</span>', page)
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", page)]
    said = " ".join(re.sub("<table.*?</table>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    return html.unescape(said.partition(" ")[2]), [" ".join(column) for column in columns], cells


# Previews


def parquet(query: str, folder: Path) -> bytes:
    duckdb.execute(f"COPY ({query}) TO '{folder / 'written.parquet'}'")
    return (folder / "written.parquet").read_bytes()


def test_a_preview_shows_the_rows_their_number_and_their_types(api, browser, tmp_path):
    (tmp_path / "rows.csv").write_text(CSV)
    dataset = new_dataset(
        api,
        {
            "sub/rows.csv": CSV,
            "rows.csv.gz": gzip.compress(CSV.encode()),
            "rows.Parquet": parquet(f"SELECT * FROM read_csv('{tmp_path}/rows.csv')", tmp_path),
        },
    )
    listed = text_of(browser.get(f"/datasets/simple/*/experiments/{dataset}"))
    names = re.findall(r'href="/datasets/simple/\*/experiments/\w+/preview\?file=([^"]+)"', listed)
    assert names == ["sub%2Frows.csv", "rows.csv.gz", "rows.Parquet"]
    columns = ["number BIGINT", "word VARCHAR", "day DATE"]
    cells = ["1", "one", "2026-01-01", "2", "–", "2026-01-02", "3", "&lt;b&gt;three&lt;/b&gt;", "2026-01-03"]
    for name in ("sub/rows.csv", "rows.csv.gz", "rows.Parquet"):
        assert preview(browser, dataset, name) == ("3 rows 3 columns", columns, cells)


def test_a_file_that_a_version_has_from_its_parent_is_read_from_the_parents_archive(api, browser):
    parent = new_dataset(api, {"rows.csv": "a\n1\n"})
    child = new_dataset(api, {"more.csv": "b\n2\n"}, parent=parent, inherited=("rows.csv",))
    assert preview(browser, child, "rows.csv")[1:] == (["a BIGINT"], ["1"])


def test_of_a_large_table_the_beginning_is_shown_and_the_rest_counted(api, browser):
    header = ",".join(f"c{number}" for number in range(102))
    rows = [",".join([f"{number:0300}", *["x"] * 101]) for number in range(70)]
    dataset = new_dataset(api, {"wide.csv": "\n".join([header, *rows])})
    said, columns, cells = preview(browser, dataset, "wide.csv")
    assert said == "70 rows 102 columns The first 50 rows and 100 columns are shown."
    assert (len(columns), len(cells), max(map(len, cells))) == (100, 5000, 200)


def test_a_column_is_text_where_a_later_value_is_no_number_and_short_rows_are_filled(api, browser):
    lines = ["a,b", *["1,2"] * 30_000, "x,3", "4"]
    said, columns, _ = preview(browser, new_dataset(api, {"odd.csv": "\n".join(lines)}), "odd.csv")
    assert said.startswith("30002 rows 2 columns")
    assert columns == ["a VARCHAR", "b BIGINT"]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("gone.csv", {}, MISSING),
        ("rows.csv", {"server": "http://192.0.2.1:8008/files/"}, MISSING),
        ("rows.csv", {"server": "http://127.0.0.1:8008/files/../"}, MISSING),
        ("rows.csv", {"archive": b"no archive"}, "Its archive cannot be read."),
        ("rows.csv", {"archive": archive_of({"other.csv": CSV})}, MISSING),
        ("rows.parquet", {"files": {"rows.parquet": "PAR1 or not"}}, "It cannot be read as a table."),
        ("rows.csv.gz", {"files": {"rows.csv.gz": "no gzip"}}, "It cannot be read as a table."),
    ],
)
def test_what_cannot_be_read_says_why_in_a_line(api, browser, tmp_path, monkeypatch, name, options, reason):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dataset = new_dataset(api, **{"files": {"rows.csv": CSV}, **options})
    said, columns, _ = preview(browser, dataset, name)
    assert said.startswith(reason), said
    assert (columns, str(tmp_path) in said) == ([], False)
    assert list(tmp_path.iterdir()) == []  # whatever happened, nothing is left


def test_a_table_that_takes_too_long_is_given_up_and_none_waits_for_another(api, browser, monkeypatch):
    dataset = new_dataset(api, {"rows.csv": CSV})
    with dataset_tables.READING:
        said = preview(browser, dataset, "rows.csv")[0]
    assert said == "Another table is being read. Try again in a moment."
    monkeypatch.setattr(dataset_tables, "SECONDS", 0.001)
    assert preview(browser, dataset, "rows.csv")[0] == "Reading takes longer than 0.001 seconds."


def test_a_reader_that_dies_takes_no_server_with_it(api, browser, monkeypatch, tmp_path):
    dataset = new_dataset(api, {"rows.csv": CSV})
    for program in (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "raise MemoryError('all full')",
    ):
        (tmp_path / "reader.py").write_text(program)
        monkeypatch.setattr(dataset_tables, "READER", tmp_path / "reader.py")
        assert preview(browser, dataset, "rows.csv")[0].startswith("Reading ended early. ")


def side_of(folder: Path, files: dict[str, bytes | str]) -> dict:
    """Return a version as the reader is told of it."""
    folder.mkdir()
    entries = [{"relative_path": n, "parent_dataset_id": "d", "artifact_name": "data"} for n in files]
    (folder / "state.json").write_text(json.dumps({"dataset_file_entries": entries}))
    (folder / "data.zip").write_bytes(archive_of(files))
    return {"state": str(folder / "state.json"), "archives": {"d": {"data": str(folder / "data.zip")}}}


def test_a_file_that_is_larger_than_its_archive_says_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(table_reader, "LARGEST", 2 * 2**20)
    side = side_of(tmp_path / "side", {"bomb.csv": b"0\n" * 2**22})
    request = {"folder": str(tmp_path), "sides": [side], "files": ["bomb.csv"]}
    assert answer_to(request)[0]["problem"].startswith("It is larger than")
    assert sum(file.stat().st_size for file in tmp_path.glob("table*")) <= 2 * 2**20


def test_the_database_of_the_reader_reaches_no_other_file_and_no_network(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside.csv").write_text("secret\n1\n")
    database = connect(tmp_path / "inside")
    sources = (f"{tmp_path}/outside.csv", f"{tmp_path}/inside/../outside.csv", "http://127.0.0.1:9/a.csv")
    for source in sources:
        with pytest.raises(duckdb.PermissionException):
            database.execute("SELECT * FROM read_csv(?)", [source])
    with pytest.raises(duckdb.PermissionException):
        database.execute(f"COPY (SELECT 1) TO '{tmp_path}/written.csv'")
    with pytest.raises(duckdb.InvalidInputException):
        database.execute("SET enable_external_access = true")


def test_names_of_columns_are_shortened_and_too_many_of_them_are_refused(tmp_path):
    side = side_of(tmp_path / "side", {"long.csv": f"{'a' * 9999},n\n1,1\n", "wide.csv": "a," * 20_000})
    request = {"folder": str(tmp_path), "sides": [side], "files": ["long.csv", "wide.csv"]}
    long, wide = answer_to(request)
    assert long["columns"] == [("a" * 200, "BIGINT"), ("n", "BIGINT")]
    assert wide["problem"] == "It has too many columns, or values that are too long."
    (tmp_path / "two").mkdir()
    found = compare(tmp_path / "two", *(f"{key * 9999},n\n1,1\n" for key in "ab"))
    assert (found["added"], found["removed"]) == (["b" * 200], ["a" * 200])


# Versions beside each other


def test_files_are_told_apart_by_their_sizes_and_hashes():
    def file(name: str, size: int | None, digest: str) -> dict:
        return {"name": name, "size": size, "hash": digest}

    before = [file("same", 1, "a"), file("gone", 2, "b"), file("size", 3, ""), file("hash", 4, "c")]
    after = [file("new", None, "d"), file("same", 1, "a"), file("size", 5, ""), file("hash", 4, "e")]
    found = [(each["name"], each["change"], *each["sizes"]) for each in compared_files(before, after)]
    assert found == [
        ("gone", "removed", 2, None),
        ("hash", "changed", 4, 4),
        ("new", "added", None, None),
        ("same", "same", 1, 1),
        ("size", "changed", 3, 5),
    ]


def compare(tmp_path: Path, before: str | bytes, after: str | bytes, name: str = "t.csv") -> dict:
    sides = [side_of(tmp_path / key, {name: table}) for key, table in (("old", before), ("new", after))]
    (tmp_path / "work").mkdir()
    (found,) = answer_to({"folder": str(tmp_path / "work"), "sides": sides, "files": [name]})
    return found


def column(name: str, *values: object) -> str:
    return "\n".join([name, *map(str, values)])


def test_columns_that_came_went_or_changed_their_type_are_named(tmp_path):
    found = compare(tmp_path, "a,b,c\n1,1,x\n", 'a,c,"d ""q"" {}"\n1.5,x,2\n2.5,x,2\n')
    assert (found["count"], found["added"], found["removed"]) == ((1, 2), ['d "q" {}'], ["b"])
    assert found["retyped"] == [("a", "BIGINT", "DOUBLE")]
    assert [each["name"] for each in found["alike"]] == ["c"]  # twice as many, but all the same
    assert [each["name"] for each in found["numbers"]] == ["a"]


def test_whole_numbers_are_counted_one_by_one_and_shown_as_shares(tmp_path):
    found = compare(tmp_path, column("n", 1, 1, 3, 3), column("n", 1, 3, 3, 3, 3))
    (numbers,) = found["numbers"]
    assert (numbers["x"], numbers["width"]) == ([1, 2, 3], 1)
    assert numbers["shares"] == ([50, 0, 50], [20, 0, 80])
    assert (numbers["means"], numbers["distance"], numbers["missing"]) == ((2, 2.6), 60, None)


def test_a_few_values_far_from_all_others_do_not_hide_how_these_are_distributed(tmp_path):
    usual = [number / 1000 for number in range(1000)]
    found = compare(tmp_path, column("x", *usual), column("x", *usual, 1e250))
    (numbers,) = found["numbers"]
    assert 0 < numbers["x"][0] < numbers["x"][-1] < 1
    assert numbers["shares"][1][-1] > numbers["shares"][0][-1] > 3  # with all beyond
    assert [round(sum(shares), 6) for shares in numbers["shares"]] == [100, 100]


def test_missing_numbers_are_a_difference_too(tmp_path):
    found = compare(tmp_path, column("n,m", "1,1", "1,1"), column("n,m", "1,1", ",1"))
    assert [(each["name"], each["missing"]) for each in found["numbers"]] == [("n", (0, 50))]
    assert [each["name"] for each in found["alike"]] == ["m"]


def test_what_differs_most_comes_first_and_what_does_not_differ_is_only_named(tmp_path):
    def table(near: float, far: float) -> str:
        rows = [f"{row},{row + near},{row + far},2026-01-{row % 20 + 1:02}" for row in range(100)]
        return "\n".join(["same,near,far,day", *rows])

    found = compare(tmp_path, table(0, 0), table(1, 50))
    assert [each["name"] for each in found["numbers"]] == ["far", "near"]
    assert [each["name"] for each in found["alike"]] == ["same", "day"]


def test_dates_are_distributed_over_time(tmp_path):
    found = compare(tmp_path, column("day", "2026-01-01", "2026-01-03"), column("day", "2026-01-01"))
    (numbers,) = found["numbers"]
    assert (numbers["times"], numbers["means"]) == (True, None)
    assert 1767225600000 < numbers["x"][0] < numbers["x"][-1] < 1767398400000


def test_of_texts_the_most_frequent_are_counted_in_both(tmp_path):
    found = compare(tmp_path, column("w,n", "a,1", "a,1", ",1", "b,1"), column("w,n", "b,1", "c,1", "b,1"))
    (words,) = found["texts"]
    assert (words["name"], words["different"]) == ("w", 4)
    assert words["values"] == [("b", 1, 2), ("a", 2, 0), ("c", 0, 1), (None, 1, 0)]


def test_values_that_no_histogram_can_hold_break_nothing(tmp_path):
    rows = [f"{value},{value}" for value in ("1e308", "-1e308", "nan", "inf", "1e999", "")]
    query = (
        "SELECT [1] AS list, {'a': 1} AS struct, 1e308 * n AS x, NULL AS nothing, 2::HUGEINT ** 100 AS h, "
    )
    query += "TIMESTAMPTZ '2026-01-01 00:00+00' AS z, 1.5::DECIMAL(4, 1) * n AS d, 'a'::BLOB AS b"
    found = compare(tmp_path, "a,b\n" + "\n".join(rows), "a,b\n1,1\n2,2\n")
    json.dumps(found, allow_nan=False)
    tables = [parquet(f"{query} FROM range({count}) t(n)", tmp_path) for count in (2, 3)]
    (tmp_path / "parquet").mkdir()
    found = compare(tmp_path / "parquet", *tables, name="t.parquet")
    json.dumps(found, allow_nan=False)
    assert {each["name"] for each in found["numbers"]} == {"d", "x"}


def test_of_a_huge_table_a_sample_is_compared_the_same_one_of_both(tmp_path, monkeypatch):
    monkeypatch.setattr(table_reader, "SAMPLE", 100)
    rows = {
        key: "\n".join(["a,b", *(f"{n},{n * factor}" for n in range(5000))])
        for key, factor in ((0, 1), (1, 2))
    }
    found = compare(tmp_path, rows[0], rows[1])
    assert (found["sample"], [each["name"] for each in found["alike"]]) == (100, ["a"])


def test_a_version_is_compared_with_its_parent_first_and_with_any_other_by_choice(api, browser):
    project = api.new("project", name="versions")
    first = new_dataset(
        api, {"a.csv": "x\n1\n", "b.csv": "x\n1\n"}, project=project, runtime={"version": "1.0"}
    )
    other = new_dataset(api, {"a.csv": "x\n1\n"}, project=project, runtime={"version": "1.1"})
    child = new_dataset(
        api, {"a.csv": "x\n2\n", "c.txt": "new"}, parent=first, project=project, runtime={"version": "2.0"}
    )
    page = page_of(browser, child, "changes")
    assert f'/{first}">the rows 1.0</a>' in page
    assert re.findall(r'<td class="name">(.*?)</td><td>(.*?)</td>', page) == [
        ("a.csv", "changed"),
        ("b.csv", "removed"),
        ("c.txt", "added"),
    ]
    (stored,) = re.findall(r'data-figure="([^"]*)"', page)
    figure = json.loads(html.unescape(stored))["figure"]
    assert [(trace["name"], trace["x"], trace["y"]) for trace in figure["data"]] == [
        ("1.0", [1, 2], [100, 0]),
        ("2.0", [1, 2], [0, 100]),
    ]
    listed = text_of(browser.get(f"/datasets/simple/*/experiments/{child}"))
    choices = re.findall(r'<a href="([^"]+against=\w+)">compare with ([^<]+)', listed)
    assert [version for _, version in choices] == ["1.1", "1.0"]
    assert f'/{other}">the rows 1.1</a>' in text_of(browser.get(choices[0][0]))
    alone = new_dataset(api, {}, project=api.new("project", name="lonely version"))
    answer = browser.get(f"/datasets/simple/*/experiments/{alone}/changes")
    assert (answer.status_code, "no other version" in answer.text) == (404, True)


def test_files_are_found_by_their_names_alone_and_only_those_that_are_shown_are_parsed(
    api, browser, monkeypatch
):
    dataset = new_dataset(api, {f"a, {number:03}.txt": "" for number in range(250)})
    parsed = []
    monkeypatch.setattr(datasets, "_file_of", lambda line: parsed.append(line) or file_of(line))
    for query, names in (
        ({"page": "3"}, [f"a, {number:03}.txt" for number in range(200, 250)]),
        ({"file": "A, 03"}, [f"a, {number:03}.txt" for number in range(30, 40)]),
        ({"file": "0, 0"}, []),
    ):
        parsed.clear()
        page = text_of(browser.get(f"/datasets/simple/*/experiments/{dataset}", params=query))
        assert re.findall(r'<td class="name">(a, .*?)</td>', page) == names
        assert len(parsed) == len(names)


def test_of_very_many_files_that_differ_some_are_named_and_all_counted(api, browser, monkeypatch):
    monkeypatch.setattr(dataset_tables, "MOST_FILES", 2)
    project = api.new("project", name="many files")
    old, new = (
        new_dataset(api, dict.fromkeys(names, ""), project=project) for names in (("a", "b", "c"), ("c", "d"))
    )
    page = page_of(browser, new, "changes", against=old)
    assert re.findall(r'<td class="name">(.*?)</td><td>(.*?)</td>', page) == [
        ("a", "removed"),
        ("b", "removed"),
    ]
    assert re.findall('"fact">(.*?)<', page) == ["1 added", "2 removed", "1 same"]
    assert "1 more differ." in page


def test_only_tables_of_datasets_are_shown(api, browser):
    task, dataset = api.new("task", name="no dataset"), new_dataset(api, {"rows.txt": CSV})
    for address, reason in (
        (f"{task}/changes", "is not a dataset"),
        (f"{task}/preview", "is not a dataset"),
        (f"{dataset}/preview?file=rows.txt", "is not a CSV or Parquet file"),
    ):
        answer = browser.get(f"/datasets/simple/*/experiments/{address}")
        assert (answer.status_code, reason in answer.text) == (404, True)
