"""The tables of the pages: what the address names, what stands in them without a choice, and who keeps it."""

import html
import re

import httpx
import pytest
from playwright.sync_api import expect

from local_stack.server.pages.tables import COLUMNS, MOST_COLUMNS, MOST_OPTIONS
from local_stack.tests.api import Api, scalar

SINGLE = -(2**31)  # the iteration of single values
HOSTILE = 'a/b & "c" \' <img src=x onerror=alert(1)> é + % #'


@pytest.fixture
def pages(api: Api) -> httpx.Client:
    """A client that came in by the link."""
    return api.visit()


@pytest.fixture
def project(api: Api, request: pytest.FixtureRequest) -> str:
    return api.new("project", name=request.node.name)


def run(api: Api, project: str, name: str, values: dict | None = None, type: str = "training", **parameters):
    """Make a task with single values and parameters, which are named with two underscores for a slash."""
    sections: dict[str, dict] = {}
    for key, value in parameters.items():
        section, _, parameter = key.rpartition("__")
        sections.setdefault(section or "Args", {})[parameter] = {"value": value}
    task = api.new("task", name=name, type=type, project=project, hyperparams=sections)
    if values:
        api.events(*(scalar(task, "Summary", key, SINGLE, value) for key, value in values.items()))
    return task


class Table:
    """The table of a page, as it was sent."""

    def __init__(self, pages: httpx.Client, path: str, **query) -> None:
        answer = pages.get(path, params=query) if query else pages.get(path)
        assert answer.status_code == 200, answer.text
        self.page = answer.text
        self.links = {}  # of the heads
        self.sorted = {}
        for attributes, inside in re.findall('<th scope="col"([^>]*)>(.*?)</th>', self.page):
            title = text(inside)
            self.links[title] = html.unescape(re.search('href="(.*?)"', inside)[1])
            if found := re.search('aria-sort="(.*?)"', attributes):
                self.sorted[title] = found[1]
        self.heads = list(self.links)
        rows = re.findall(r"<th scope=\"row\".*?</tr>", self.page, re.DOTALL)
        self.rows = [[text(cell) for cell in re.findall("<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]
        self.names = [text(name) for name in re.findall('scope="row".*?<a [^>]*>(.*?)</a>', self.page)]
        self.offered = [
            html.unescape(value)
            for value in re.findall('type="checkbox" name="column" value="(.*?)"', self.page)
        ]

    def column(self, title: str) -> list[str]:
        return [row[self.heads.index(title)] for row in self.rows]


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", "", markup)).split())


# Without a choice


def test_runs_are_told_apart_by_parameters_that_differ_and_metrics_that_do_with_validation_first(
    api, pages, project
):
    for seed in range(4):
        values = {"accuracy": 1.0, "train F1": seed, "validation F1": seed / 7, "cases": seed % 2}
        parameters = {"dataset": f"{seed:032x}", "folder": f"/data/{seed}", "eta": "0.2", "seed": str(seed)}
        task = run(api, project, f"run {seed}", values, **parameters, properties__version=f"1.{seed}")
        api.events(scalar(task, "loss", "val", 3, seed / 9), scalar(task, ":monitor:cpu", "use", 3, seed))
        run(api, project, f"query {seed}", type="data_processing", day=str(seed))
    table = Table(pages, f"/projects/{project}")
    chosen = ["Args/seed", "validation F1", "loss / val", "train F1"]
    assert table.heads == ["Name", "Status", "Type", "Started", "Duration", *chosen]
    assert table.rows[1] == ["run 3", "draft", "training", "–", "–", "3", "0.42857", "0.33333", "3"]


def test_a_run_that_is_alone_shows_its_metrics_and_no_parameters(api, pages, project):
    run(api, project, "alone", {f"score {n}": n for n in range(9)}, seed="1")
    assert Table(pages, f"/projects/{project}").heads[5:] == [f"score {n}" for n in range(4)]


def test_without_metrics_the_parameters_that_differ_are_shown(api, pages, project):
    for number in range(3):
        run(api, project, "prepared", day=str(number), same="1")
    assert Table(pages, f"/projects/{project}").heads[5:] == ["Args/day"]


def test_models_show_the_metrics_of_the_tasks_that_made_them(api, pages, project):
    for number in range(2):
        task = run(api, project, "maker", {"score": number})
        api.new("model", name=f"model {number}", task=task, project=project)
    assert Table(pages, f"/projects/{project}/models", sort="-metric:score").column("score") == ["1", "0"]


# What the address names


def test_hostile_names_stand_in_addresses_and_come_back_as_they_were(api, pages, project):
    for number, name in enumerate(("first", "second")):
        section = {f"b/{HOSTILE}": {"value": str(number)}}
        task = api.new("task", name=name, project=project, hyperparams={f"a/{HOSTILE}": section})
        api.events(scalar(task, f"m / {HOSTILE}", f"v / {HOSTILE}", 1, number))
    metric, parameter = f"m / {HOSTILE} / v / {HOSTILE}", f"a/{HOSTILE}/b/{HOSTILE}"
    closed = Table(pages, f"/projects/{project}")
    assert closed.offered == []
    assert "<img src=x" not in closed.page
    names = Table(pages, f"/projects/{project}", choose="columns").offered
    assert names[-2:] == [f"parameter:{parameter}", f"metric:{metric}"]
    table = Table(pages, f"/projects/{project}", column=names[-2:])
    for position in (1, 2):
        table = Table(pages, table.links[table.heads[position]])  # first up, then down
        assert (table.names, table.sorted) == (["first", "second"], {table.heads[position]: "ascending"})
        table = Table(pages, table.links[table.heads[position]])
        assert (table.names, table.sorted) == (["second", "first"], {table.heads[position]: "descending"})
        assert [row[1:] for row in table.rows] == [["1", "1"], ["0", "0"]]


ASCENDING = ["-1", "1e-3", "0.5", "2", "10", "nan", "run2", "run10"]


def test_numbers_are_sorted_as_numbers_also_in_texts_and_what_is_missing_comes_last(api, pages, project):
    for value in ("run10", "2", "1e-3", "nan", "", "10", "-1", "run2", "0.5"):
        run(api, project, f"value {value}", value=value)
    run(api, project, "without")
    for sort, values in (("value", ASCENDING), ("-value", ASCENDING[::-1])):
        table = Table(pages, f"/projects/{project}", sort=sort.replace("value", "parameter:Args/value"))
        assert table.column("Args/value") == [*values, "–", "–"]
    for number in (10, 9.5, -1):
        run(api, project, f"measured {number}", {"score": number})
    table = Table(pages, f"/projects/{project}", sort="metric:score")
    assert table.column("score")[:4] == ["-1", "9.5", "10", "–"]


def test_versions_are_no_numbers_so_1_10_comes_after_1_9(api, pages, project):
    for version in ("1.10", "1.9", "1.9.1"):
        api.new("task", name="versioned", project=project, runtime={"version": version})
    table = Table(pages, f"/projects/{project}", sort="version")
    assert table.column("Version") == ["1.9", "1.9.1", "1.10"]


@pytest.mark.parametrize("kind", ["task", "model"])
def test_every_column_can_be_chosen_and_sorted_by_whatever_is_stored(api, pages, project, kind):
    task = api.new("task", name="plain", project=project)
    if kind == "model":
        api.new("model", name="plain", project=project, task=task, comment="x" * 500)
    else:
        runtime = {"version": {"deep": [{}]}, "ds_file_count": 10**400, "ds_total_size": "much"}
        api.new("task", name="large", project=project, runtime=runtime, parent=task)
    path = f"/projects/{project}" + ("/models" if kind == "model" else "")
    columns = [key for key in COLUMNS[kind] if key != "name"]
    for key in COLUMNS[kind]:
        for sort in (key, f"-{key}"):
            table = Table(pages, path, sort=sort, column=columns)
            assert table.heads == ["Name", *(key.capitalize() for key in columns)]
            assert list(table.sorted) == [key.capitalize()]
            assert sorted(table.names) == (["plain"] if kind == "model" else ["large", "plain"])


def test_an_address_that_names_what_is_not_there_shows_the_table_all_the_same(api, pages, project):
    run(api, project, "there")
    odd = {
        "column": ["nothing", "metric:", "metric:gone", "status", "x" * 5000],
        "sort": "-rubbish",
        "page": "x",
    }
    assert Table(pages, f"/projects/{project}", **odd).heads == ["Name", "gone", "Status"]


def test_too_many_columns_are_cut_and_counted(api, pages, project):
    run(api, project, "wide")
    table = Table(pages, f"/projects/{project}", column=[f"metric:{n}" for n in range(MOST_COLUMNS + 3)])
    assert len(table.heads) == 1 + MOST_COLUMNS
    assert "3 chosen columns are not shown" in table.page


def test_filters_narrow_the_rows_together_and_every_link_keeps_them(api, pages, project):
    for number in range(8):
        api.new(
            "task",
            name=f"number {number}",
            project=project,
            type="training" if number % 2 else "testing",
            tags=["a&b"] if number < 6 else ["other"],
        )
    query = {"type": "training", "tags": "a&b", "status": "created", "name": "NUMBER", "sort": "name"}
    table = Table(pages, f"/projects/{project}", **query)
    assert table.names == ["number 1", "number 3", "number 5"]
    assert Table(pages, table.links["Name"]).names == ["number 5", "number 3", "number 1"]
    opened = Table(pages, html.unescape(re.search('class="button" href="(.*?)"', table.page)[1]))
    assert opened.names == table.names
    hidden = re.findall('type="hidden" name="(.*?)" value="(.*?)"', opened.page.partition('id="chooser"')[2])
    assert {name: html.unescape(value) for name, value in hidden} == query
    assert Table(pages, f"/projects/{project}", tags=["a&b", "other"]).names[0] == "number 7"
    nothing = pages.get(f"/projects/{project}", params={"status": "failed"}).text
    assert "Nothing here is as chosen" in nothing


def test_archived_tasks_are_shown_only_when_they_are_asked_for(api, pages, project):
    kept, archived = run(api, project, "kept"), run(api, project, "put away")
    api("tasks.archive", tasks=[archived])
    assert Table(pages, f"/projects/{project}").names == ["kept"]
    assert Table(pages, f"/projects/{project}", archived="yes").names == ["put away"]
    assert kept != archived


def test_of_thousands_of_metrics_some_are_offered_and_the_others_are_found_by_name(api, pages, project):
    run(api, project, "many", {f"score {number:04}": number for number in range(1500)})
    table = Table(pages, f"/projects/{project}", choose="columns", column="metric:score 1234")
    offered = [name for name in table.offered if name.startswith("metric:")]
    assert (offered[0], len(offered)) == ("metric:score 1234", 1 + MOST_OPTIONS)
    assert f"{1500 - 1 - MOST_OPTIONS} more" in table.page
    found = Table(pages, f"/projects/{project}", choose="columns", column="status", find="E 049")
    assert found.offered[-10:] == [f"metric:score {number:04}" for number in range(490, 500)]


def test_rows_can_be_chosen_for_what_stands_above_the_table(api, pages, project):
    task = run(api, project, 'odd "name"')
    label = "Choose odd &#34;name&#34;"
    box = f'<input type="checkbox" name="id" value="{task}" form="chosen" aria-label="{label}">'
    assert box in Table(pages, f"/projects/{project}").page


# In a browser


@pytest.fixture
def shown(stack_api: Api, request: pytest.FixtureRequest) -> list[str]:
    """The ids of a project and of three runs in it."""
    project = stack_api.new("project", name=request.node.name)
    tasks = [
        run(stack_api, project, f"run {n}", {"validation F1": n / 8, "rest": n}, seed=str(n))
        for n in range(3)
    ]
    return [project, *tasks]


@pytest.mark.browser
def test_columns_are_chosen_and_sorted_by_keyboard_and_a_reader_finds_nothing_wrong(window, shown):
    page = window.open(f"/projects/{shown[0]}?type=training")
    page.get_by_role("link", name="Columns").press("Enter")
    page.get_by_role("checkbox", name="Iteration").press("Space")
    page.get_by_role("checkbox", name="rest").press("Space")
    assert window.flaws() == []
    page.get_by_role("button", name="Show the chosen columns").press("Enter")
    titles = ["Name", "Status", "Type", "Started", "Duration", "Iteration", "Args/seed", "validation F1"]
    expect(page.locator("thead th")).to_have_text(titles)  # without "rest", which was chosen before
    page.get_by_role("link", name="validation F1").press("Enter")
    expect(page.get_by_role("columnheader", name="validation F1")).to_have_attribute("aria-sort", "ascending")
    assert page.locator("tbody a").all_inner_texts() == ["run 0", "run 1", "run 2"]
    assert "type=training" in page.url
    assert window.flaws() == []


@pytest.mark.browser
def test_a_choice_of_rows_and_the_focus_outlive_a_refresh(window, stack_api, shown):
    page = window.open(f"/projects/{shown[0]}")
    rows = page.locator("tbody input")
    everything = page.get_by_role("checkbox", name="Choose all on this page")
    everything.check()
    page.get_by_role("checkbox", name="Choose run 1").press("Space")
    expect(everything).not_to_be_checked()
    run(stack_api, shown[0], "a new one")
    expect(rows).to_have_count(4)
    assert rows.evaluate_all("all => all.map(row => row.checked)") == [False, True, False, True]
    assert page.evaluate("document.activeElement.ariaLabel") == "Choose run 1"
