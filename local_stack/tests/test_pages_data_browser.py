"""Lineage, previews and differences of datasets in a real browser."""

import pytest
from playwright.sync_api import expect

from local_stack.tests.test_pages_dataset_tables import column, new_dataset
from local_stack.tests.test_pages_lineage import judged

pytestmark = pytest.mark.browser

HOSTILE = '"><img src=x onerror=alert(1)>'
TEXT = HOSTILE[1:]  # without the quotation mark, which means something in CSV
TABLE = column(f"n,{TEXT}", *(f"{number % 7},{TEXT}" for number in range(60)))


@pytest.fixture(scope="module")
def pages(stack_api) -> dict[str, str]:
    """The addresses of a model, its training, and the two versions of the data that it was trained on."""
    project = stack_api.new("project", name=f"lineage {HOSTILE}")
    first = new_dataset(stack_api, {"rows.csv": TABLE}, project=project, runtime={"version": HOSTILE})
    second = new_dataset(
        stack_api, {"rows.csv": TABLE.replace("6", "9"), HOSTILE: "x"}, parent=first, project=project
    )
    training, model = judged(stack_api, f"training {HOSTILE}", accuracy=0.5)
    parameters = [{"section": "Args", "name": "data", "value": second}]
    stack_api("tasks.edit_hyper_params", task=training, hyperparams=parameters, force=True)
    dataset = f"/datasets/simple/*/experiments/{second}"
    return {
        "model": f"/projects/*/models/{model}",
        "training": f"/projects/*/tasks/{training}",
        "dataset": dataset,
        "changes": f"{dataset}/changes",
        "preview": f"{dataset}/preview?file=rows.csv",
    }


@pytest.mark.parametrize("name", ["model", "training", "dataset", "changes", "preview"])
def test_a_page_of_data_and_models_can_be_read_by_all(window, pages, name):
    page = window.open(pages[name])
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_attribute("data-drawn", "")
    assert window.flaws() == []
    assert page.locator("img[src=x], [onerror]").count() == 0


def test_the_lineage_is_walked_by_keyboard(window, pages):
    page = window.open(pages["model"])
    page.get_by_role("region", name="Lineage").focus()
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.querySelector('title').textContent.split(' ')[0]"))
    assert sorted(names) == ["dataset", "dataset", "model", "task"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.get_by_role("link", name="task training").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"training {HOSTILE}")
    assert outline != "none"
    page.locator("#lineage .node.current").wait_for()


def test_the_distributions_of_two_versions_are_drawn_over_each_other(window, pages):
    page = window.open(pages["dataset"])
    page.get_by_role("link", name="changes").click()
    drawing = page.locator(".chart .drawing").first
    expect(drawing.locator(".plot-container")).to_have_count(1)
    shares = drawing.evaluate("place => place.calcdata.map(bars => bars.map(bar => bar.s > 0))")
    assert len(shares) == 2
    assert (shares[0][6], shares[1][6], shares[0][9], shares[1][9]) == (True, False, False, True)


def test_a_file_is_previewed_from_the_list_of_files(window, pages):
    page = window.open(pages["dataset"])
    page.locator("#files").get_by_role("link", name="rows.csv").click()
    expect(page.locator(".data tbody tr")).to_have_count(50)
    assert page.locator(".data td").nth(1).inner_text() == TEXT
