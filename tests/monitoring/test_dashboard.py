"""asteroid.json: sound by itself, by Grafana's published types, and by what a real Prometheus answers.

There is no Grafana here. The tests check that each version's own types accept every part of the file, and
that each expression in it has a value when real metrics are there.
"""

import itertools
import json
import math
import re
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from demo.simulated_traffic import RULES, TOOLS_CACHE, metric_name, table, training_edges

from asteroids.evaluation import rule_of_thumb
from demo import dashboard
from demo.dashboard import COLUMNS, FEATURES, Document
from local_stack.errors import StackError
from local_stack.processes import Processes
from local_stack.prometheus import find_tools, is_ready, prometheus_command, query, query_range
from local_stack.serving import accepts, take_port
from local_stack.serving_programs import check_packages
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import run, wait_until

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "grafana_schema"
GRAFANA_VERSIONS = ["9", "10", "11", "12"]
EDGES = {metric_name(feature): edges for feature, edges in training_edges().items()}


@pytest.fixture(scope="module")
def model() -> Document:
    """The dashboard as a dict."""
    return dashboard.load()


def test_it_can_be_imported_anywhere(model):
    assert model["title"] == "Asteroid Dashboard"
    assert model["refresh"] == "5s"
    assert model["id"] is None
    assert not {"uid", "__inputs", "__requires", "iteration"} & model.keys()


def test_panels_are_within_the_grid_and_none_covers_another(model):
    cells = [
        (x, y)
        for panel in dashboard.panels()
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(COLUMNS))
    assert len({panel["id"] for panel in model["panels"]}) == len(model["panels"])


def test_every_panel_says_what_it_shows_by_targets_with_an_expression_and_a_letter_of_their_own(model):
    for panel in model["panels"]:
        assert panel["title"] and panel["description"]
        assert all(target["expr"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_all_data_come_from_the_source_that_the_user_chooses(model):
    assert model["templating"]["list"][0]["name"] == "datasource"
    assert model["templating"]["list"][0]["query"] == "prometheus"
    for part in [*model["panels"], *(target for panel in model["panels"] for target in panel["targets"])]:
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert set(re.findall(r'"uid": "([^"]*)"', json.dumps(model))) == {"${datasource}"}


def test_no_expression_takes_the_histograms_for_prometheus_s_own(model):
    for _, expression in dashboard.expressions():
        assert "histogram_quantile" not in expression
        # The sum is repeated for every le: added up over them it is far too much.
        assert not re.search(r"sum\s*\([^)]*_sum", expression)
    formats = {target["format"] for panel in model["panels"] for target in panel["targets"]}
    assert formats == {"time_series"}  # "heatmap" would subtract each bucket from the next


def test_the_dashboard_names_no_endpoint_no_feature_and_no_share(model):
    for part in [*model["templating"]["list"], *model["panels"]]:
        text = json.dumps({**part, "description": ""})
        assert not re.search(r"asteroid|magnitude|orbit|hazard|15\.6", text, re.IGNORECASE)


def test_every_feature_has_a_heatmap_and_every_alert_has_a_line():
    heatmaps = [panel["title"] for panel in dashboard.panels() if panel["type"] == "heatmap"]
    assert heatmaps == [f"Deciles of {feature}" for feature in FEATURES]
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    shown = re.findall(r'firing"\}\) \* 2 or max\(ALERTS\{alertname="(\w+)"', " ".join(targets_of("Alarms")))
    assert shown == [rule["alert"] for rule in rules if "alert" in rule]


def targets_of(title: str) -> list[str]:
    return [expression for panel, expression in dashboard.expressions() if panel == title]


# Grafana's types.


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Grafana's types and TypeScript, of the locked versions, kept in the cache of tools."""
    missing = [program for program in ("node", "npm") if not shutil.which(program)]
    if missing:
        skip_outside_ci(f"{' and '.join(missing)} not found: install Node.js 18 or newer")
    lock = (SCHEMA / "package-lock.json").read_bytes()
    folder = TOOLS_CACHE / f"grafana_schema-{sha256(lock).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SCHEMA, folder)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = run(install, cwd=folder)
        if done.returncode:
            skip_outside_ci(f"Grafana's types cannot be installed with npm: {done.stderr.strip()[-300:]}")
        (folder / "complete").touch()
    return folder / "node_modules"


# Grafana's types have enumerations where its files have their texts.
PREAMBLE = """
import type { Dashboard, Panel } from "@grafana/schema";
type Plain<T> =
    T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
    : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""

# The types of version 9 ask for properties that Grafana 9 itself leaves out, do not allow a threshold to
# begin at null, as every file has it, and know half of what a variable has. The rest is checked there, too.
PREAMBLE_9 = """
import type { Dashboard as Whole, Panel as WholePanel } from "@grafana/schema";
type Plain<T> =
    T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
    : T extends number ? T | null
    : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
type Dashboard = Omit<Whole, "templating"> & { templating: { list: unknown[] } };
type Panel = WholePanel;
"""


@pytest.mark.e2e
@pytest.mark.parametrize("version", GRAFANA_VERSIONS)
def test_grafana_s_types_accept_the_dashboard_and_refuse_a_damaged_one(
    version, node_modules, model, tmp_path
):
    assert type_errors(version, node_modules, model, tmp_path) == ""
    damaged = json.loads(json.dumps(model))
    damaged["panels"][2]["legendformat"] = ""
    damaged["panels"][0]["gridPos"]["x"] = "0"
    damaged["panels"][1]["fieldConfig"]["defaults"]["color"] = {"mode": 7}
    errors = type_errors(version, node_modules, damaged, tmp_path)
    assert "'\"legendformat\"' does not exist" in errors
    assert "Type 'string' is not assignable to type 'number" in errors
    assert "Type 'number' is not assignable to type '" in errors


def type_errors(version: str, node_modules: Path, model: Document, folder: Path) -> str:
    """Return what TypeScript prints when it checks a dashboard against the types of a version of Grafana."""
    package = node_modules / f"grafana-{version}"
    lines = [PREAMBLE_9 if version == "9" else PREAMBLE]
    lines.append(f"({json.dumps(model)}) satisfies Plain<Dashboard>;")
    for number, panel in enumerate(model["panels"]):
        lines.append(f"({json.dumps(panel)}) satisfies Plain<Panel>;")
        # Version 9 publishes no types for what is particular to a kind of panel.
        kind = panel["type"].replace("-", "")
        types = sorted(package.glob(f"dist/*/raw/composable/{kind}/panelcfg/x/*types.gen.d.ts"))
        assert bool(types) == (version != "9")
        if types:
            module = types[0].as_posix().removesuffix(".d.ts")
            lines.append(f'import type * as panel{number} from "{module}";')
            # An option that is left out has Grafana's default. Up to version 10 a heatmap's tooltip is
            # switched by `show`, which later ones no longer have.
            also = " & { tooltip: { show: boolean } }" if kind == "heatmap" else ""
            options = f"Partial<Plain<panel{number}.Options>>{also}"
            lines.append(f"({json.dumps(panel['options'])}) satisfies {options};")
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                lines.append(f"({json.dumps(custom)}) satisfies Plain<panel{number}.FieldConfig>;")
    (folder / "check.ts").write_text("\n".join(lines))
    settings = {
        "compilerOptions": {
            "strict": True,
            "noEmit": True,
            "skipLibCheck": True,
            "module": "esnext",
            "moduleResolution": "bundler",
            "target": "es2022",
            "types": [],
            "paths": {"@grafana/schema": [str(package)]},
        },
        "files": ["check.ts"],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    compiler = ["node", node_modules / "typescript" / "bin" / "tsc", "-p", folder, "--pretty", "false"]
    return run(compiler).stdout


# A real Prometheus with real metrics.


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes clearml-serving's own statistics process and evaluates the rules.

    Every expression in the dashboard has a value then, or all tests that ask for it fail.
    """
    try:
        check_packages()
        tools = find_tools(TOOLS_CACHE)
    except StackError as error:
        skip_outside_ci(str(error))
    home = tmp_path_factory.mktemp("prometheus")
    port = take_port(0)
    traffic = home / "traffic.json"
    traffic.write_text(json.dumps(made_up_traffic()))
    with Processes(home / "logs") as processes:
        command = [sys.executable, str(HERE / "statistics_without_kafka.py"), str(traffic), str(port)]
        processes.start("statistics", command, ready=lambda: accepts(port))
        targets, port = [f"127.0.0.1:{port}"], take_port(0)
        command = prometheus_command(tools, home, port, targets, RULES, interval_seconds=1)
        url = f"http://127.0.0.1:{port}"
        processes.start("prometheus", command, ready=lambda: is_ready(url))
        empty = partial(without_a_value, url)
        wait_until(lambda: not empty(), "a value of every expression", lambda: "\n".join(empty()))
        yield url


def without_a_value(prometheus_url: str) -> list[str]:
    """Return the expressions in the dashboard that have no value now, each with its panel.

    Not a number is no value: it is what shares are while there are no requests.
    """
    return [
        f"{title}: {expression}"
        for title, expression in dashboard.expressions()
        if not any(math.isfinite(value) for _, value in query(prometheus_url, expression))
    ]


def label_values(prometheus_url: str, selector: str, label: str) -> list[str]:
    """Return the values that a label has in the series of a selector, as Grafana's label_values does."""
    parameters = urllib.parse.urlencode({"match[]": selector})
    address = f"{prometheus_url}/api/v1/label/{label}/values?{parameters}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        values: list[str] = json.load(answer)["data"]
    return values


def made_up_traffic() -> Document:
    """Return what inference reports of real rows, answered in turn by an endpoint and a version of it."""
    variables = {**training_edges(), "y": [0, 1]}
    rows = table()[[*training_edges()]].assign(y=rule_of_thumb(table()))
    shuffled = rows.sample(frac=1, random_state=0).to_dict("records")
    endpoints = itertools.cycle(["asteroid", "asteroid/2"])
    messages = [{"_url": next(endpoints), "_latency": 0.004, "_count": 1, **row} for row in shuffled]
    return {"metrics": {"asteroid": variables, "asteroid/2": variables}, "messages": messages}


@pytest.mark.e2e
def test_the_endpoints_and_features_to_choose_from_are_those_that_are_counted(prometheus_url, model):
    choices = {}
    for variable in model["templating"]["list"][1:]:
        query = variable["query"]["query"].replace("${endpoint}", "asteroid_2")
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
        choices[variable["name"]] = label_values(prometheus_url, selector, label)
    assert choices == {"endpoint": ["asteroid", "asteroid_2"], "feature": sorted(FEATURES)}


@pytest.mark.e2e
@pytest.mark.parametrize("feature", FEATURES)
def test_the_buckets_of_a_heatmap_come_in_order_and_add_up_to_all_requests(feature, prometheus_url):
    targets = targets_of(f"Deciles of {feature}")
    edges = []
    for expression in targets:
        # Prometheus sorts a range's series by their labels, as text, and Grafana 9 takes them as they come.
        answer = sorted(query(prometheus_url, expression), key=lambda series: series[0]["le"])
        edges += [float(labels["le"]) for labels, _ in answer]
    assert edges == [*EDGES[feature], float("inf")]
    # In one query: between two Prometheus may collect new counts, and shares of different ones do not add up.
    answer = query(prometheus_url, " or ".join(f"({expression})" for expression in targets))
    assert len(answer) == len(edges)
    assert sum(share for _, share in answer) == pytest.approx(100)


@pytest.mark.e2e
def test_psi_of_the_training_data_s_own_rows_is_small_and_alarms_are_quiet(prometheus_url):
    found = query(prometheus_url, f'endpoint_variable:psi:10m{{variable="{FEATURES[0]}"}}')
    assert [labels["endpoint"] for labels, _ in found] == ["asteroid", "asteroid_2"]
    assert all(0 <= psi < 0.1 for _, psi in found)
    assert query(prometheus_url, 'ALERTS{alertstate="firing"}') == []


@pytest.mark.e2e
def test_a_range_has_a_value_for_each_moment_both_ends_included(prometheus_url):
    answer = query_range(prometheus_url, "vector(2)", 1000, 1010, step=5)
    assert answer == [({}, [(1000, 2.0), (1005, 2.0), (1010, 2.0)])]
