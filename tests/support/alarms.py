"""Evaluate the alert rules on simulated traffic, by promtool, and tell which alerts were on, and when."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from local_stack.prometheus import find_tools
from local_stack.settings import default_home
from tests.support.checkouts import REPOSITORY
from tests.support.simulated_traffic import Series

RULES = REPOSITORY / "deploy" / "asteroid_alerts.yml"
TOOLS_CACHE = default_home() / "tools"

STEP = 30  # seconds between two scrapes and between two evaluations, if nothing else is said


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool with the arguments; raise ProgramsNotFound, with the remedy, if there is none."""
    command = [find_tools(TOOLS_CACHE).promtool, *arguments]
    environment = os.environ | {"GOGC": "400"}  # it collects garbage less often, and is a fifth faster
    return subprocess.run(command, capture_output=True, text=True, timeout=3600, env=environment)


class Alarms:
    """Which alerts were on at which of the evaluations."""

    def __init__(self, on: dict[tuple[str, ...], npt.NDArray[np.bool_]], step: int = STEP) -> None:
        """Take for each alert, by its name, variable and endpoint, whether it was on at each evaluation."""
        self.on, self.step = on, step

    def at(self, endpoint: str) -> "Alarms":
        """Return those about one endpoint."""
        return Alarms({key: on for key, on in self.on.items() if key[2] == endpoint}, self.step)

    def names(self) -> set[str]:
        """Return the names of the alerts that were on at any time."""
        return {name for name, *_ in self.on}

    def of(self, *name: str) -> npt.NDArray[np.bool_]:
        """Return for each evaluation whether an alert was on: its name, or with its variable and endpoint."""
        chosen = [on for key, on in self.on.items() if key[: len(name)] == name]
        return np.any(chosen, axis=0) if chosen else np.zeros(1, bool)

    def first(self, *name: str, after: int = 0) -> float:
        """Return the second of the first evaluation from `after` on with the alert on; infinity if none."""
        later = np.flatnonzero(self.of(*name)[after // self.step :])
        return float(later[0] * self.step + after) if len(later) else float("inf")

    def last(self, *name: str) -> float:
        """Return the second of the last evaluation with the alert on; minus infinity if none."""
        times = np.flatnonzero(self.of(*name))
        return float(times[-1] * self.step) if len(times) else float("-inf")

    def always(self, *name: str, start: float, end: float) -> bool:
        """Return whether the alert was on at every evaluation from one second to another."""
        return bool(self.of(*name)[int(start) // self.step : int(end) // self.step].all())

    def episodes(self, *name: str) -> int:
        """Return how often the alert went on."""
        on = self.of(*name)
        return int(on[0] + np.count_nonzero(on[1:] & ~on[:-1]))


def watch(*exported: Series, rules: Path = RULES, step: int = STEP, every: int = 1) -> Alarms:
    """Evaluate the rules on series, and return which alerts were on, and when.

    A value stands for `step` seconds, and the rules are evaluated at every one, every second one and so on.
    promtool prints only values that differ from the expected ones: so the test expects nothing, and asks for
    the alerts at every evaluation.
    """
    merged = {name: values for each in exported for name, values in each.items()}
    steps = range(0, max(len(values.split()) for values in merged.values()), every)
    # The vector(0) is an answer when no alert is on: a missing answer must not pass for silence.
    firing = 'count by (alertname, variable, endpoint) (ALERTS{alertstate="firing"}) or vector(0)'
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{every * step}s",
        "tests": [
            {
                "interval": f"{step}s",
                "input_series": [{"series": name, "values": values} for name, values in merged.items()],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{number * step}s", "exp_samples": []} for number in steps
                ],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "test.yml")
        file.write_text(json.dumps(test))  # JSON is YAML, too
        done = promtool("test", "rules", file)
    answers = re.findall(r"^ *got: *(.*)$", done.stdout + done.stderr, re.MULTILINE)
    assert len(answers) == len(steps), f"promtool printed:\n{(done.stdout + done.stderr)[:3000]}"
    on: dict[tuple[str, ...], npt.NDArray[np.bool_]] = {}
    for number, answer in enumerate(answers):
        samples = re.findall(r"\{([^}]*)\} [\d.E+]+", answer)
        assert samples, answer
        for labels in samples:
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if found:
                key = tuple(found.get(label, "") for label in ("alertname", "variable", "endpoint"))
                on.setdefault(key, np.zeros(len(steps), bool))[number] = True
    return Alarms(on, every * step)
