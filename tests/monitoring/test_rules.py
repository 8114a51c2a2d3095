"""asteroid_alerts.yml as it is written: complete, explained, and true of the shipped table."""

import re
from typing import Any

import pytest
import yaml

from demo.simulated_traffic import REPOSITORY, RULES, table
from global_config import LABEL_COLUMN

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """The rules in the file, in one list."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def alerts(rules: list[Rule]) -> list[Rule]:
    return [rule for rule in rules if "alert" in rule]


def test_every_alert_says_how_bad_it_is_what_it_means_and_what_to_do(alerts):
    assert alerts
    for alert in alerts:
        assert alert["labels"]["severity"] in {"info", "warning"}
        assert set(alert["annotations"]) == {"summary", "description"}
        assert alert["for"]


def test_the_runbook_has_a_section_for_every_alert(alerts):
    runbook = (REPOSITORY / "deploy" / "README.md").read_text()
    assert re.findall(r"^### (\w+)$", runbook, re.MULTILINE) == [alert["alert"] for alert in alerts]


def test_the_expected_share_of_positive_answers_is_that_of_the_shipped_table(rules):
    first = rules[0]
    assert first["record"] == "model:expected_positive_share"
    assert first["expr"] == f"vector({table()[LABEL_COLUMN].mean():.3f})"
    assert RULES.read_text().count(first["expr"]) == 1


def test_the_rules_name_no_endpoint_and_no_feature(rules):
    expressions = " ".join(rule["expr"] for rule in rules).lower()
    assert not re.search(r"asteroid|magnitude|orbit|hazard", expressions)
