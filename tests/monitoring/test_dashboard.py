"""asteroid.json: sound by itself, true to the alert rules, and accepted by Grafana's published types.

There is no Grafana here. The tests check that each version's own types accept every part of the file.
test_dashboard_on_traffic.py asks a Prometheus with real metrics for each expression in it.
"""

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from local_stack.server.pages.grafana_dashboard import COLUMNS
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import run
from tests.support import dashboard
from tests.support.alarms import RULES, TOOLS_CACHE
from tests.support.dashboard import FEATURES, Document

SCHEMA = Path(__file__).resolve().parent / "grafana_schema"
GRAFANA_VERSIONS = ["9", "10", "11", "12"]


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
    panels, annotations = model["panels"], model["annotations"]["list"]
    for part in [*panels, *annotations, *(target for panel in panels for target in panel["targets"])]:
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
    about = [*model["templating"]["list"], *model["annotations"]["list"], *model["links"], *model["panels"]]
    for part in about:
        text = json.dumps({**part, "description": ""})
        assert not re.search(r"asteroid|magnitude|orbit|hazard", text, re.IGNORECASE)
    assert "15.6" not in json.dumps(model)


def test_links_lead_where_a_variable_of_the_dashboard_says(model):
    addresses = {
        each["name"]: each["query"] for each in model["templating"]["list"] if each["type"] == "textbox"
    }
    assert all(address.startswith("https://") for address in addresses.values())
    links = [link["url"] for link in model["links"]]
    links += re.findall(r'"url": "(.*?)"', json.dumps(model["panels"]))
    assert {re.match(r"\$\{(\w+):raw\}", link)[1] for link in links} == addresses.keys()


def test_annotations_ask_the_same_of_each_version_of_grafana(model):
    for annotation in model["annotations"]["list"]:
        assert annotation["target"]["expr"] == annotation["expr"]
        assert annotation["target"]["interval"] == annotation["step"]


def test_every_feature_has_a_heatmap():
    heatmaps = [panel["title"] for panel in dashboard.panels() if panel["type"] == "heatmap"]
    assert heatmaps == [heatmap_of(feature) for feature in FEATURES]


def test_every_alert_has_a_line_in_the_order_of_the_rules_and_notices_are_told_from_alarms():
    lines = [re.findall(r'alertname="(\w+)".*\) \* (\d)', target)[0] for target in targets_of("Alarms")]
    levels = {"info": "2", "warning": "3"}
    assert lines == [(alert["alert"], levels[alert["labels"]["severity"]]) for alert in alerts()]


@pytest.mark.parametrize(
    ("panel", "compared"),
    [
        ("How far: population stability index (PSI)", "endpoint_variable:psi(?:_at_least)?"),
        ("Is it chance?", "endpoint_variable:evidence"),
        ("Outside the training data", "endpoint_variable:outside_share"),
        ("Slow answers", "endpoint:slow_share:5m"),
        ("Statistics lag", "endpoint:statistics_lag"),
    ],
)
def test_thresholds_are_those_of_the_alerts(panel, compared, model):
    (shown,) = (each for each in model["panels"] if each["title"] == panel)
    steps = [step["value"] for step in shown["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    limits = {
        float(limit) for alert in alerts() for limit in re.findall(rf"{compared} > ([\d.]+)", alert["expr"])
    }
    assert steps == [None, *sorted(limits)]


def alerts() -> list[Document]:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return [rule for rule in rules if "alert" in rule]


def heatmap_of(feature: str) -> str:
    return f"Tenths of {feature}"


def targets_of(title: str, endpoint: str = dashboard.ENDPOINT) -> list[str]:
    return [expression for panel, expression in dashboard.expressions(endpoint) if panel == title]


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


# Grafana's types have enumerations where its files have their texts. They know what all annotations have, and
# as a target only that of Grafana's own: the rest is Prometheus's.
PREAMBLE = """
import type { AnnotationQuery, Dashboard as Whole, Panel } from "@grafana/schema";
type Plain<T> =
    T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
    : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Asked = { expr: string, step: string, titleFormat: string, textFormat: string, tagKeys: string };
type Annotation =
    Omit<AnnotationQuery, "target"> & Asked & { target: { refId: string, expr: string, interval: string } };
type Dashboard = Omit<Whole, "annotations"> & { annotations: { list: Annotation[] } };
"""

# The types of version 9 ask for properties that Grafana 9 itself leaves out, do not allow a threshold to
# begin at null, as every file has it, and know half of what a variable has. The rest is checked there, too.
PREAMBLE_9 = """
import type { Dashboard as Whole, Panel as WholePanel } from "@grafana/schema";
type Plain<T> =
    T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
    : T extends number ? T | null
    : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
type Dashboard = Omit<Whole, "templating" | "annotations">
    & { templating: { list: unknown[] }, annotations: { list: unknown[] } };
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
    damaged["links"][0]["targetBlank"] = "yes"
    del damaged["annotations"]["list"][0]["iconColor"]
    errors = type_errors(version, node_modules, damaged, tmp_path)
    assert "'\"legendformat\"' does not exist" in errors
    assert "Type 'string' is not assignable to type 'number" in errors
    assert "Type 'number' is not assignable to type '" in errors
    assert "Type 'string' is not assignable to type 'boolean" in errors
    assert ("Property 'iconColor' is missing" in errors) == (version != "9")


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
