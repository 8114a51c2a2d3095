"""model_selection.py: the decision and its words, without a server."""

from types import SimpleNamespace

from clearml_tools.errors import UserError

import numpy as np
import pandas as pd
import pytest
import xgboost

import model_selection
from asteroids.evaluation import TRAINING_GROUPS, VALIDATION_SCORES
from global_config import GROUP_KEY_COLUMN, LABEL_COLUMN, OUT_OF_FOLD_ARTIFACT


class Trainings:
    """Training tasks by their ids, and the models that were promoted."""

    def __init__(self, folder) -> None:
        self.folder, self.tasks, self.promoted = folder, {}, []

    def add(self, name: str, sureness: float, groups: int = 100) -> SimpleNamespace:
        """A training whose model gives the truth this probability, of 100 asteroids."""
        labels = [number % 2 for number in range(100)]
        predictions = {
            GROUP_KEY_COLUMN: range(100),
            LABEL_COLUMN: labels,
            "probability 0": [sureness if label else 1 - sureness for label in labels],
            "size": labels,
        }
        file = self.folder / f"{name}.csv"
        pd.DataFrame(predictions).to_csv(file, index=False)
        artifact = SimpleNamespace(get_local_copy=lambda raise_on_error: str(file))
        reported = {"threshold": 0.5, TRAINING_GROUPS: groups, VALIDATION_SCORES[0]: 1 - sureness, "F1": 0.9}
        self.tasks[name] = SimpleNamespace(
            id=name,
            artifacts={OUT_OF_FOLD_ARTIFACT: artifact},
            models={"output": [self.model(name, labels)]},
            get_reported_single_values=lambda: reported,
        )
        return self.tasks[name]

    def model(self, name: str, labels: list[int]) -> SimpleNamespace:
        """A model of the one feature `size`, as ClearML has it."""
        file = str(self.folder / f"{name}.ubj")
        data = xgboost.DMatrix(np.array(labels)[:, None], labels, feature_names=["size"])
        xgboost.train({"objective": "binary:logistic"}, data, 1).save_model(file)
        return SimpleNamespace(id=f"model of {name}", task=name, get_local_copy=lambda raise_on_error: file)

    def get_task(self, task_id: str) -> SimpleNamespace:
        if task_id not in self.tasks:
            raise ValueError(f"Task id={task_id} does not exist")
        return self.tasks[task_id]

    def promote(self, winner_id: str, champion_id: str | None, log_loss: float) -> str:
        self.promoted.append((winner_id, champion_id, log_loss))
        return winner_id


@pytest.fixture
def trainings(tmp_path, monkeypatch) -> Trainings:
    made = Trainings(tmp_path)
    monkeypatch.setattr(model_selection.Task, "get_task", made.get_task)
    monkeypatch.setattr(model_selection, "promote", made.promote)
    crown(monkeypatch, None)
    return made


def crown(monkeypatch, champion: SimpleNamespace | None) -> None:
    monkeypatch.setattr(model_selection, "find_champions", lambda: [champion] if champion else [])


def test_the_first_champion_is_the_first_candidate_if_none_is_better(trainings):
    decision, table = model_selection.select([trainings.add("a", 0.9), trainings.add("b", 0.901)])
    assert decision == "Model model of a is the new champion: there is no champion yet"
    assert trainings.promoted == [("model of a", None, pytest.approx(0.1))]
    trained = ["model_training_0 (model of)", "model_training_1 (model of)"]
    assert list(table.index) == [*trained, "rule", "majority class"]


def test_a_better_candidate_replaces_the_champion_which_is_shown_beside_it(trainings, monkeypatch):
    crown(monkeypatch, trainings.add("old", 0.8).models["output"][-1])
    decision, table = model_selection.select([trainings.add("a", 0.8), trainings.add("b", 0.95)])
    assert decision.startswith(
        "Model model of b is the new champion: it is better: log loss 0.0513 against 0.2231"
    )
    assert "(97.5 % interval; " in decision  # of two candidates
    assert table.loc["champion until now (model of)", "F1"] == "0.9000"


def test_without_a_difference_the_champion_stays(trainings, monkeypatch):
    crown(monkeypatch, trainings.add("old", 0.9).models["output"][-1])
    decision, _ = model_selection.select([trainings.add("a", 0.9)])
    assert decision.startswith(
        "Model model of old stays the champion, model of a is not promoted: no difference that can be told: "
    )
    assert trainings.promoted == []


def test_a_champion_among_the_candidates_stays(trainings, monkeypatch):
    again = trainings.add("a", 0.9)
    crown(monkeypatch, again.models["output"][-1])
    decision, _ = model_selection.select([again])
    assert decision == "Model model of a stays the champion: no candidate is better than it was"


def forget(champion: SimpleNamespace, training: SimpleNamespace, what: str) -> str:
    """Take something away that a comparison needs; return what is told of it."""
    if what == "task":
        champion.task = "deleted"
        return "Task id=deleted does not exist"
    if what == "origin":
        champion.task = None
        return "it has no training task"
    training.artifacts.clear()
    return "training old lacks 'out_of_fold'"


@pytest.mark.parametrize("what", ["task", "origin", "predictions"])
def test_a_champion_that_cannot_be_compared_stays_and_the_remedy_is_told(trainings, monkeypatch, what):
    training = trainings.add("old", 0.5)
    (champion,) = training.models["output"]
    told = forget(champion, training, what)
    crown(monkeypatch, champion)
    decision, table = model_selection.select([trainings.add("a", 0.9)])
    assert decision == (
        "Model model of old stays the champion, model of a is not promoted: it cannot be compared "
        f"({told}); take the champion's tag away to replace it all the same"
    )
    assert "champion until now (model of)" in table.index


def test_a_candidate_without_predictions_is_named(trainings):
    trainings.add("a", 0.9).artifacts.clear()
    with pytest.raises(
        UserError, match="--candidates: training a lacks 'out_of_fold', so it cannot be compared"
    ):
        model_selection.select([trainings.tasks["a"]])


def test_a_candidate_whose_predictions_are_none_is_named(trainings):
    trainings.add("a", 7.0)
    told = "--candidates: training a: its columns 'probability …' do not all hold probabilities, so it cannot"
    with pytest.raises(UserError, match=told):
        model_selection.select([trainings.tasks["a"]])
