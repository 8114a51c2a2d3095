"""Another table goes all the way, with other values in global_config.py and other columns in the hook."""

import csv
import re

import pytest

from tests.second_example import overlay
from tests.support.checkouts import Checkout

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def tumours(tmp_path_factory, clearml_environment) -> Checkout:
    """The second example, in a checkout in which its three scripts have run."""
    checkout = Checkout(tmp_path_factory.mktemp("second") / "tumours", clearml_environment, overlay=overlay)
    checkout.printed = "".join(
        checkout.run(f"{name}.py").stdout for name in ("get_data", "preprocessing", "model_training")
    )
    return checkout


def test_the_scripts_tell_of_its_rows_and_classes(tumours):
    assert re.search(r": 569 rows, 569 patients$", tumours.printed, re.MULTILINE)
    assert re.search(r": 569 rows, 12 features, 37\.3% malignant$", tumours.printed, re.MULTILINE)
    own_words = re.sub(r"http\S+", "", tumours.printed)  # the addresses have the name of the test's project
    assert not re.findall("(?i).*(?:asteroid|hazard).*", own_words)


def test_the_model_learns_and_stands_beside_its_own_rule(tumours):
    rows = re.findall(r"^(model|rule)((?: +[\d.]+){6})$", tumours.printed, re.MULTILINE)
    scores = {name: [float(number) for number in numbers.split()] for name, numbers in rows}
    assert scores["model"][4] > scores["rule"][4] > 0.6  # PR-AUC


def test_its_own_features_are_to_be_watched_at_its_own_endpoint(tumours):
    *_, command = tumours.printed.splitlines()
    assert re.search(r'--endpoint "tumour" --variable-scalar "worst radius=[\d.,]+" "worst texture=', command)


def test_its_pipeline_promotes_a_champion(tumours):
    done = tumours.run("pipeline.py", "--local", "--training-seeds", 1, 2)
    assert "is the new champion: there is no champion yet" in done.stdout


def test_its_mock_rows_drift_in_its_own_columns(tumours):
    tumours.run("inference.py", "--save", "--count", 50)
    normal, drifted = (
        list(csv.DictReader((tumours.folder / "data" / name).open()))
        for name in ("synthetic.csv", "synthetic_drift.csv")
    )
    for before, after in zip(normal, drifted, strict=True):
        factors = {
            name: float(after[name]) / float(before[name]) for name in ("worst radius", "mean texture")
        }
        assert factors == pytest.approx({"worst radius": 1.5, "mean texture": 1})


def test_without_dates_a_query_date_is_no_complaint(tumours):
    done = tumours.run("get_data.py", "--query-date", "2010-01-01")
    assert ": 569 rows, 569 patients" in done.stdout
