"""preprocess_serving.py: which requests are answered and how, and which model files are refused."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost

from asteroids.drift import reference_of
from preprocess_serving import (
    FEATURES,
    MODEL_VALUES,
    RANK_EDGES,
    RAW_COLUMNS,
    Model,
    Preprocess,
    build_features,
    rank,
    refuse_misread,
)
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture
def row() -> dict:
    """A row of the table as JSON gives it: all 40 columns, texts among them."""
    return json.loads(asteroid_table(asteroids=1).head(1).to_json(orient="records"))[0]


@pytest.fixture(scope="module")
def table():
    return asteroid_table(asteroids=200)


@pytest.fixture(scope="module")
def model_file(table, tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "best_model.ubj", table, threshold=0.25)


def save_model(
    path: Path,
    table,
    threshold: float | None,
    feature_names: list[str] = FEATURES,
    reference: dict | None = None,
) -> Path:
    data = xgboost.DMatrix(
        build_features({name: table[name].to_numpy() for name in RAW_COLUMNS}),
        table["Hazardous"],
        feature_names=feature_names,
    )
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, data, 20)
    if threshold is not None:
        booster.set_attr(threshold=repr(threshold))
    if reference is not None:
        booster.set_attr(reference=json.dumps(reference))
    booster.save_model(path)
    return path


def problem_with(body: object) -> str:
    """What a refused request is told."""
    with pytest.raises(ValueError, match=r"^Invalid request: ") as error:
        Preprocess().preprocess(body, {})
    return str(error.value).removeprefix("Invalid request: ")


# Features


def test_a_row_becomes_one_line_of_features_from_the_columns_that_it_needs(row):
    mean = (row["Est Dia in KM(min)"] + row["Est Dia in KM(max)"]) / 2
    needed = {name: row[name] for name in RAW_COLUMNS}
    for body in (row, needed):
        features = Preprocess().preprocess(body, {})
        assert features.shape == (1, 19)
        assert features[0].tolist() == [{**row, "avg_dia": mean}[name] for name in FEATURES]


def test_a_table_becomes_a_line_of_features_for_each_row(table):
    features = build_features({name: table[name].to_numpy() for name in RAW_COLUMNS})
    assert features.shape == (len(table), 19)
    for line, values in zip(features, table.to_dict("records"), strict=True):
        assert line.tolist() == build_features(values).tolist()


# Requests that are answered


def test_a_raw_row_is_answered_with_its_class_and_probability(row, model_file):
    hook = Preprocess()
    model = hook.load(str(model_file))
    answer = hook.postprocess(model.predict(hook.preprocess(row, {})), {})
    assert set(answer) == {"y", "y_raw"}
    assert answer["y"] in (0, 1) and type(answer["y"]) is int
    assert 0 < answer["y_raw"] < 1 and type(answer["y_raw"]) is float
    assert json.loads(json.dumps(answer)) == answer


def test_two_models_at_once_keep_their_own_thresholds(table, model_file, tmp_path):
    low, high = Preprocess(), Preprocess()
    low.load(str(model_file))
    high.load(str(save_model(tmp_path / "other.ubj", table, threshold=0.75)))
    for hook, probability, y in [(low, 0.2499, 0), (low, 0.25, 1), (low, 0.5, 1), (high, 0.5, 0)]:
        assert hook.postprocess(np.array([probability]), {}) == {"y": y, "y_raw": probability}


# Statistics

REFERENCE = {
    "rows": 100,
    "share": 0.2,
    "features": {"Absolute Magnitude": {"edges": [10.0, 20.0, 30.0], "shares": [0.01, 0.5, 1.0]}},
}


@pytest.fixture(scope="module")
def watched_file(table, tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("watched") / "m.ubj", table, 0.25, reference=REFERENCE)


def told_of(hook: Preprocess, body: dict) -> dict:
    """What clearml-serving counts of a request."""
    told, state = {}, {}
    model = hook.load(str(hook.file))
    hook.postprocess(model.predict(hook.preprocess(body, state, told.update)), state, told.update)
    return told


def hook_at(file: Path, endpoint: str = "asteroid", version: str = "", model_id: str = "606e85cf" + "0" * 24):
    hook = Preprocess()
    hook.file = file
    hook.model_endpoint = SimpleNamespace(serving_url=endpoint, version=version, model_id=model_id)
    return hook


def test_statistics_get_the_rank_of_each_watched_feature_the_answer_and_what_the_rules_need(
    row, watched_file
):
    before = time.time()
    told = told_of(hook_at(watched_file, version="3"), {**row, "Absolute Magnitude": 25.0})
    assert 0.5 < told.pop("rank of Absolute Magnitude") <= 1
    assert before <= told.pop("sent") <= time.time()
    assert told.pop("y") in (0, 1) and 0 < told.pop("y_raw") < 1
    assert told == {
        "expected share": 0.2,
        "training rows": 100,
        "watched features": 1,
        "model": 0x606E85CF,
        "version": 3,
    }


def test_every_name_that_statistics_get_is_one_that_metrics_add_counts(row, watched_file):
    told = told_of(hook_at(watched_file, version="3"), row)
    assert set(told) - {"y", "y_raw"} == {"rank of Absolute Magnitude", *MODEL_VALUES}


def test_versions_of_an_auto_update_are_counted_under_one_name(row, watched_file):
    assert told_of(hook_at(watched_file, "asteroid_auto", "7"), row)["_url"] == "asteroid_latest"
    assert "_url" not in told_of(hook_at(watched_file, "asteroid", "1"), row)
    assert "_url" not in told_of(hook_at(watched_file, "asteroid_auto"), row)  # an auto-update has one


@pytest.mark.parametrize("watched", [True, False])
def test_what_a_client_sends_under_those_names_is_not_counted(row, watched_file, model_file, watched):
    """Also where the hook itself tells nothing under them: no version, no reference."""
    sent = {"rank of Absolute Magnitude": "x", **dict.fromkeys(MODEL_VALUES, 5)}
    body = {**row, **sent}
    told_of(hook_at(watched_file if watched else model_file), body)
    assert body == row


def test_a_model_without_its_training_datas_distribution_is_served_and_not_watched(row, model_file):
    assert set(told_of(hook_at(model_file, model_id="a model"), row)) == {"y", "y_raw", "sent"}


def test_nothing_is_told_of_a_refused_request(row):
    told = {}
    with pytest.raises(ValueError):
        Preprocess().preprocess({**row, "Inclination": None}, {}, told.update)
    assert told == {}


EDGES, SHARES = [0.0, 1.0, 2.0], [0.2, 0.5, 1.0]


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(-0.1, -1, -1), (0, 0, 0.2), (0.5, 0.2, 0.5), (1, 0.2, 0.5), (2, 0.5, 1), (2.1, 2, 2), (1e30, 2, 2)],
)
def test_a_rank_is_the_share_of_the_training_data_that_is_not_above(value, low, high):
    found = [rank(value, EDGES, SHARES) for _ in range(100)]
    assert low <= min(found) <= max(found) <= high
    assert len(set(found)) == (1 if low == high else 100)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=20_000),
        np.random.default_rng(0).integers(0, 4, 20_000),  # four values
        np.where(np.random.default_rng(0).random(20_000) < 0.85, 0, 5),  # nearly always the same
        np.zeros(20_000),
    ],
    ids=["continuous", "few values", "mostly one", "one"],
)
def test_the_training_data_themselves_have_a_tenth_in_each_tenth(values):
    features = np.zeros((len(values), len(FEATURES)), np.float32)
    features[:, FEATURES.index("Absolute Magnitude")] = values
    about = reference_of(features, np.zeros(len(values)))["features"]["Absolute Magnitude"]
    found = [rank(value, **about) for value in values]
    counts, _ = np.histogram(found, RANK_EDGES)
    assert counts == pytest.approx(2000, rel=0.12) and counts.sum() == len(values)


# Requests that cost too much


def test_200_thousand_unknown_keys_cost_next_to_nothing(row):
    body = {**row, **{f"key {number}": number for number in range(200_000)}}
    began = time.thread_time()  # of the processor: by the clock it depends on what else the machine does
    Preprocess().preprocess(body, {})
    assert time.thread_time() - began < 0.05


# Requests that are refused


@pytest.mark.parametrize("body", [None, [], [{}], "text", b"text", 5, True])
def test_a_body_that_is_no_object_is_refused(body):
    assert (
        problem_with(body) == "the body must be a JSON object, one row of the table, sent as application/json"
    )


def test_a_missing_field_is_named(row):
    for name in RAW_COLUMNS:
        assert problem_with({key: row[key] for key in row if key != name}) == f"'{name}' is missing"


@pytest.mark.parametrize("value", [None, True, False, "12.5", "", [], [12.5], {}])
@pytest.mark.parametrize("name", ["Absolute Magnitude", "Orbit Uncertainity"])
def test_what_is_no_number_is_refused(row, name, value):
    assert problem_with({**row, name: value}) == f"'{name}' must be a number"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3.5e38, -3.5e38, 10**400])
@pytest.mark.parametrize("name", ["Absolute Magnitude", "Semi Major Axis"])
def test_numbers_that_the_model_would_not_see_as_they_are_are_refused(row, name, value):
    assert problem_with({**row, name: value}) == f"'{name}' must be a finite number that fits 32-bit floats"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Est Dia in KM(min)", -0.1, "above 0"),
        ("Mean Motion", 0, "above 0"),
        ("Miss Dist.(kilometers)", -1, "0 or more"),
        ("Orbit Uncertainity", -1, "from 0 to 9"),
        ("Orbit Uncertainity", 10, "from 0 to 9"),
        ("Eccentricity", -0.01, "from 0 to below 1, a closed orbit"),
        ("Eccentricity", 1, "from 0 to below 1, a closed orbit"),
        ("Inclination", -1, "from 0 to 180 degrees"),
        ("Inclination", 180.1, "from 0 to 180 degrees"),
        ("Asc Node Longitude", 360.1, "from 0 to 360 degrees"),
        ("Perihelion Arg", -0.1, "from 0 to 360 degrees"),
    ],
)
def test_what_cannot_be_is_refused(row, name, value, words):
    assert problem_with({**row, name: value}) == f"'{name}' must be {words}"


@pytest.mark.parametrize(
    ("low", "high"),
    [("Est Dia in KM(min)", "Est Dia in KM(max)"), ("Perihelion Distance", "Aphelion Dist")],
)
def test_the_larger_of_a_pair_must_not_be_the_smaller(row, low, high):
    assert problem_with({**row, low: row[high], high: row[low]}) == f"'{high}' must not be below '{low}'"


def test_the_rare_but_possible_is_answered(row):
    at_limits = {"Minimum Orbit Intersection": 0, "Eccentricity": 0, "Inclination": 180, "Mean Anomaly": 360}
    never_seen = {"Orbit Uncertainity": 9, "Absolute Magnitude": 66.0, "Jupiter Tisserand Invariant": -0.5}
    assert Preprocess().preprocess(row | at_limits | never_seen, {}).shape == (1, 19)


def test_all_problems_are_listed_at_once(row):
    del row["Mean Motion"]
    body = {**row, "Absolute Magnitude": None, "Eccentricity": -1, "Inclination": float("nan")}
    assert problem_with(body) == (
        "'Absolute Magnitude' must be a number; "
        "'Eccentricity' must be from 0 to below 1, a closed orbit; "
        "'Inclination' must be a finite number that fits 32-bit floats; "
        "'Mean Motion' is missing"
    )


def test_nothing_of_the_request_is_repeated(row):
    # Words on which clearml-serving stops itself when an error contains them.
    secret = "CUDA out of memory. "
    told = problem_with({**row, "Inclination": secret, secret: secret, "Mean Motion": [secret]})
    assert "CUDA" not in told


# Model files


def test_a_loaded_model_predicts_as_the_booster_does(table, model_file):
    features = build_features({name: table[name].to_numpy() for name in RAW_COLUMNS})
    booster = xgboost.Booster(model_file=model_file)
    expected = booster.predict(xgboost.DMatrix(features, feature_names=FEATURES))
    assert np.array_equal(Model(str(model_file)).predict(features), expected)


def test_a_model_that_could_not_be_downloaded_is_said_to_be_so():
    with pytest.raises(ValueError, match="could not download the model's file"):
        Preprocess().load(None)


def test_a_model_without_a_threshold_is_refused(table, tmp_path):
    path = save_model(tmp_path / "bare.ubj", table, threshold=None)
    with pytest.raises(ValueError, match=r"holds no threshold: serve a model made by model_training\.py"):
        Preprocess().load(str(path))


def test_a_model_of_other_features_is_refused(table, tmp_path):
    path = save_model(tmp_path / "other.ubj", table, threshold=0.5, feature_names=FEATURES[::-1])
    with pytest.raises(ValueError, match="trained on other features"):
        Preprocess().load(str(path))


NEW_FORMATS = {
    "json": b'{"learner":{"learner_model_param":{"base_score":"[2.12E-1]","boost_from_average":"1"}}}',
    "json with spaces": b'{"learner_model_param": {"base_score": "[2.12E-1]"}}',
    "ubj": b"{L\0\0\0\0\0\0\0\x0abase_scoreSL\0\0\0\0\0\0\0\x09[2.12E-1]L\0\0\0\0\0\0\0\x12boost",
}


@pytest.mark.parametrize("content", NEW_FORMATS.values(), ids=NEW_FORMATS)
def test_a_model_of_a_newer_xgboost_is_refused_by_one_that_would_misread_it(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    for version in ("1.7.6", "2.1.4", "3.0.5"):
        told = rf"saved by xgboost 3\.1 or newer, which xgboost {version} here would"
        with pytest.raises(ValueError, match=told):
            refuse_misread(path, version)
    for version in ("3.1.0", "3.10.0rc1", "4.0.0"):
        refuse_misread(path, version)


@pytest.mark.parametrize("suffix", ["ubj", "json"])
def test_a_model_of_todays_xgboost_is_read_by_that_of_the_container(table, tmp_path, suffix):
    path = save_model(tmp_path / f"model.{suffix}", table, threshold=0.5)
    refuse_misread(path, "1.7.6")
