"""model_selection.py: who becomes champion, and who stays it."""

import uuid

from clearml_tools.errors import UserError

import pytest

import model_selection
from model_selection import compare, crown, find_champions, find_trainings


def test_the_first_winner_becomes_champion():
    assert compare({"PR-AUC": 0.5, "F1": 0.5}, None) == (True, "there is no champion yet")


@pytest.mark.parametrize(
    ("winner", "promoted"),
    [
        ({"PR-AUC": 0.99, "F1": 0.98}, True),  # the same is no worse
        ({"PR-AUC": 0.995, "F1": 0.98}, True),
        ({"PR-AUC": 0.995, "F1": 0.979}, False),
        ({"PR-AUC": 0.989, "F1": 0.99}, False),
    ],
)
def test_a_winner_replaces_the_champion_only_if_it_is_worse_in_nothing(winner, promoted):
    assert compare(winner, {"PR-AUC": 0.99, "F1": 0.98})[0] is promoted


def test_a_refusal_says_in_what_the_winner_is_worse():
    _, reason = compare({"PR-AUC": 0.9, "F1": 0.99}, {"PR-AUC": 0.95, "F1": 0.98})
    assert reason == "PR-AUC 0.9000 against 0.9500, F1 0.9900 against 0.9800 on the test set: worse in PR-AUC"


def test_figures_have_the_digits_in_which_they_differ():
    promoted, reason = compare({"PR-AUC": 0.9983214, "F1": 0.5}, {"PR-AUC": 0.9983216, "F1": 0.5})
    assert not promoted
    assert reason == (
        "PR-AUC 0.998321 against 0.998322, F1 0.5000 against 0.5000 on the test set: worse in PR-AUC"
    )


class Contest:
    """Models without a file, in a project of their own."""

    def __init__(self, sdk) -> None:
        self.sdk = sdk
        self.project = f"Contest {uuid.uuid4().hex[:8]}"
        self.names = (self.project, "a model", "champion")
        ids = [self._model(number) for number in range(3)]
        self.first, self.second, self.third = sorted(ids)

    def _model(self, number: int) -> str:
        url = f"https://files.invalid/{self.project}/{number}".replace(" ", "_")
        return self.sdk.InputModel.import_model(url, name="a model", project=self.project).id

    def champions(self) -> list[str]:
        return [model.id for model in find_champions(*self.names)]


@pytest.fixture
def contest(sdk) -> Contest:
    return Contest(sdk)


def test_the_champions_tag_moves_from_the_old_champion_to_the_winner(contest, sdk):
    assert crown(contest.third, None, 0.9, *contest.names) == contest.third
    assert crown(contest.first, contest.third, 0.9, *contest.names) == contest.first
    assert contest.champions() == [contest.first]
    assert sdk.Model(contest.third).tags == ["former champion"]
    assert sdk.Model(contest.third).published


def test_a_former_champion_can_become_champion_again(contest, sdk):
    judged = None
    for winner in (contest.first, contest.second, contest.first):
        crown(winner, judged, 0.9, *contest.names)
        judged = winner
    assert contest.champions() == [contest.first]
    assert sdk.Model(contest.first).tags == ["champion"]
    assert sdk.Model(contest.second).tags == ["former champion"]


@pytest.mark.parametrize("better", ["first", "second"])
def test_of_two_that_were_judged_against_the_same_champion_the_better_stays(contest, better):
    crown(contest.third, None, 0.9, *contest.names)
    scores = {"first": 0.95, "second": 0.95, better: 0.97}
    for name, score in scores.items():  # the second one comes when the first one is champion already
        crown(getattr(contest, name), contest.third, score, *contest.names)
    assert contest.champions() == [getattr(contest, better)]


def test_a_champion_that_was_judged_against_a_later_one_stays(contest):
    crown(contest.third, None, 0.9, *contest.names)
    crown(contest.second, contest.third, 0.92, *contest.names)
    crown(contest.first, None, 0.99, *contest.names)  # judged before there was any
    assert contest.champions() == [contest.second]


def test_of_two_models_promoted_at_the_same_moment_one_stays(contest, monkeypatch):
    def find_just_before_the_other_is_crowned(*names: str) -> list:
        monkeypatch.undo()
        found = find_champions(*names)
        crown(contest.second, None, 0.95, *names)
        return found

    monkeypatch.setattr(model_selection, "find_champions", find_just_before_the_other_is_crowned)
    crown(contest.first, None, 0.9, *contest.names)
    assert contest.champions() == [contest.second]


@pytest.mark.parametrize("kind", ["no task", "no training"])
def test_a_candidate_that_is_no_training_is_named(sdk, kind):
    task_id = "no such id" if kind == "no task" else sdk.Task.create("Contests", "a task").id
    with pytest.raises(UserError, match=f"--candidates: '{task_id}' is no task of model_training.py"):
        find_trainings([task_id])
