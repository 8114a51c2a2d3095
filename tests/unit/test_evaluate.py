"""evaluate.py without ClearML: a model file's answers on a table, and what cannot be judged."""

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest
import xgboost

from asteroids.ids import group_key
from evaluate import NEED_BOTH_CLASSES, answer, load_model, read_training_keys
from preprocess_serving import FEATURES, Model
from preprocessing import make_features
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=60)


@pytest.fixture(scope="module")
def booster(table) -> xgboost.Booster:
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 2, "nthread": 1},
        xgboost.DMatrix(make_features(table), table["Hazardous"]),
        num_boost_round=5,
    )
    booster.set_attr(threshold="0.3")
    return booster


@pytest.fixture
def model(booster, tmp_path) -> Model:
    booster.save_model(tmp_path / "model.ubj")
    return load_model(tmp_path / "model.ubj", "it")


def csv(table: pd.DataFrame, folder) -> str:
    table.to_csv(folder / "table.csv", index=False)
    return str(folder / "table.csv")


def everything(answers) -> np.ndarray:
    return np.full(len(answers.labels), True)


def test_a_model_answers_for_each_row_by_its_own_threshold(model, booster, table, tmp_path):
    answers = answer(model, csv(table.sample(frac=1, random_state=1).sort_index(), tmp_path))
    expected = booster.predict(xgboost.DMatrix(make_features(table)))
    assert answers.probabilities == pytest.approx(expected)
    right = (expected >= 0.3) == table["Hazardous"]
    assert answers.scores(everything(answers), model.threshold)["accuracy"]["model"] == right.mean()


def test_the_rule_stands_beside_the_model(model, table, tmp_path):
    answers = answer(model, csv(table, tmp_path))
    rule = (table["Absolute Magnitude"] <= 22) & (table["Minimum Orbit Intersection"] <= 0.05)
    scores = answers.scores(everything(answers), model.threshold)
    assert scores["accuracy"]["rule"] == (rule == table["Hazardous"]).mean()


def test_labels_are_counted_as_they_are_written_and_by_class(model, table, tmp_path):
    written = table.assign(Hazardous=np.where(table["Hazardous"], "TRUE", "false"))
    answers = answer(model, csv(written, tmp_path))
    hazardous = int(table["Hazardous"].sum())
    assert answers.texts == {"TRUE": hazardous, "false": len(table) - hazardous}
    assert answers.describe(everything(answers)) == (
        f"{len(table)} rows of 60 asteroids: {len(table) - hazardous} not hazardous, {hazardous} hazardous"
    )


def test_asteroids_are_known_by_the_keys_of_the_training(model, table, tmp_path):
    renumbered = table.assign(**{"Neo Reference ID": table["Neo Reference ID"].astype(float) + 7e7})
    answers = answer(model, csv(renumbered, tmp_path))
    names = zip(table["Neo Reference ID"], table["Name"], strict=True)
    assert answers.keys.tolist() == [group_key(*row) for row in names]


def test_what_rows_of_one_class_do_not_tell_is_left_out(model, table, tmp_path):
    answers = answer(model, csv(table[~table["Hazardous"]], tmp_path))
    scores = answers.scores(everything(answers), model.threshold)
    assert scores.columns[scores.isna().all()].tolist() == NEED_BOTH_CLASSES
    assert scores.drop(columns=NEED_BOTH_CLASSES).notna().all(axis=None)


def test_all_problems_of_a_table_are_in_one_line(model, table, tmp_path):
    bad = table.assign(Eccentricity=1.5, Hazardous=table["Hazardous"].map({True: "yes", False: "False"}))
    with pytest.raises(UserError) as error:
        answer(model, csv(bad, tmp_path))
    text = str(error.value)
    assert f"'Eccentricity' is not from 0 to below 1, a closed orbit in {len(table)} of" in text
    assert "'Hazardous' is not among LABEL_VALUES" in text


def test_a_table_without_rows_is_an_error(model, table, tmp_path):
    with pytest.raises(UserError, match="cannot be judged on: there are no rows"):
        answer(model, csv(table.head(0), tmp_path))


def save(folder, features: list[str], **attributes: str):
    rows = xgboost.DMatrix(np.zeros((2, len(features))), [0, 1], feature_names=features)
    booster = xgboost.train({"objective": "binary:logistic"}, rows, 1)
    booster.set_attr(**attributes)
    booster.save_model(folder / "other.ubj")
    return folder / "other.ubj"


def test_a_model_of_other_features_is_refused(tmp_path):
    with pytest.raises(UserError, match="it cannot be judged: the model was trained on other features"):
        load_model(save(tmp_path, ["a", "b"], threshold="0.5"), "it")


def test_a_model_without_a_threshold_is_refused(tmp_path):
    with pytest.raises(UserError, match="it cannot be judged: the model file holds no threshold"):
        load_model(save(tmp_path, FEATURES), "it")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no trees here")
    with pytest.raises(UserError, match="it cannot be judged: it is not an XGBoost file"):
        load_model(tmp_path / "notes.txt", "it")


def test_a_file_does_not_say_what_it_was_trained_on():
    with pytest.raises(ValueError, match="a file does not say"):
        read_training_keys(None)
