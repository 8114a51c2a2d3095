"""Another table goes all the way, with other values in global_config.py and other columns in the hook."""

import csv
import re
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from local_stack.serving import SYNC_SECONDS
from local_stack.tests.programs import require_programs
from local_stack.waiting import SECONDS, Child, run, wait_until
from tests.second_example import overlay
from tests.support.checkouts import Checkout
from tests.support.deployment import clean_environment, up

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def tumours(tmp_path_factory) -> Iterator[Checkout]:
    """The second example, in a checkout in which its three scripts have run, on `up --serving`."""
    require_programs()
    folder = tmp_path_factory.mktemp("second")
    checkout = Checkout(folder / "tumours", clean_environment(), overlay=overlay)
    with up(folder / "home", folder=checkout.folder) as checkout.deployment:
        checkout.environment |= checkout.deployment.environment
        checkout.printed = "".join(
            checkout.run(f"{name}.py").stdout for name in ("get_data", "preprocessing", "model_training")
        )
        yield checkout


def test_the_scripts_tell_of_its_rows_and_classes(tumours):
    assert re.search(r": 569 rows, 569 patients$", tumours.printed, re.MULTILINE)
    assert re.search(r": 569 rows, 12 features, 37\.3% malignant$", tumours.printed, re.MULTILINE)
    own_words = re.sub(r"http\S+", "", tumours.printed)  # the addresses have the name of the test's project
    assert not re.findall("(?i).*(?:asteroid|hazard).*", own_words)


def test_the_model_learns_and_stands_beside_its_own_rule(tumours):
    rows = re.findall(r"^(model|rule)((?: +[\d.]+){7})$", tumours.printed, re.MULTILINE)
    scores = {name: [float(number) for number in numbers.split()] for name, numbers in rows}
    assert scores["model"][4] > scores["rule"][4] > 0.6  # PR-AUC


def test_its_own_features_are_to_be_watched_at_its_own_endpoint(tumours):
    *_, command = tumours.printed.splitlines()
    assert re.search(
        r'--endpoint "tumour" --variable-scalar "rank of worst radius=[\d.,]+" "rank of worst texture=',
        command,
    )


def test_its_pipeline_promotes_a_champion(tumours):
    done = tumours.run("pipeline.py", "--local", "--training-seeds", 1, 2)
    assert "is the new champion: there is no champion yet" in done.stdout


def test_its_champion_is_served_and_its_drift_raises_an_alert(tumours):
    """After the pipeline, whose champion it is. The command is the one that `up --serving` prints then."""
    deployment = tumours.deployment
    command = deployment.process.wait_for(r"(?m)^    (clearml-serving .*model add .*)$\n")[1]
    done = run(["bash", "-e"], input=command, cwd=tumours.folder, env=tumours.environment)
    assert done.returncode == 0, done.stdout + done.stderr

    def drift_alerts() -> set[str]:
        alerts = deployment.query('ALERTS{alertname="MajorDrift", alertstate="firing", endpoint="tumour"}')
        return {labels["variable"] for labels, _ in alerts}

    url = f"{deployment.url}/tumour"
    wait_until(lambda: "Invalid request" in requests.post(url, json={}, timeout=SECONDS).text, "the endpoint")
    deployment.process.wait_for('metrics add --endpoint "tumour" ')
    time.sleep(2 * SYNC_SECONDS)  # until its requests are counted
    tumours.run("inference.py", "--url", url, "--rate", 50, "--count", 500)
    assert drift_alerts() == set()
    with Child(
        [sys.executable, "inference.py", "--url", url, "--rate", "50", "--drift"],
        cwd=tumours.folder,
        env=tumours.environment,
    ):
        wait_until(drift_alerts, "an alert")
    assert drift_alerts() == {"worst_radius"}


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
