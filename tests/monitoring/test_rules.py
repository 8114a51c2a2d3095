"""asteroid_alerts.yml as it is written: complete, explained, and of no model in particular."""

import re
from typing import Any

import pytest
import yaml

from tests.support.alarms import RULES
from tests.support.checkouts import REPOSITORY

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
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}


def test_the_runbook_has_a_section_for_every_alert_and_each_links_to_its_own(alerts):
    runbook = (REPOSITORY / "deploy" / "runbook.md").read_text()
    assert re.findall(r"^### (\w+)$", runbook, re.MULTILINE) == [alert["alert"] for alert in alerts]
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith(f"deploy/runbook.md#{alert['alert'].lower()}")


def test_the_rules_name_no_endpoint_and_no_feature(rules):
    expressions = " ".join(rule["expr"] for rule in rules).lower()
    assert not re.search(r"asteroid|magnitude|orbit|hazard|0\.156", expressions)
