"""model_selection.py: the champion's tag, when models are promoted one after another and at once."""

import uuid

from clearml_tools.errors import UserError

import pytest

import model_selection
from global_config import MODEL_NAME
from model_selection import find_champions, find_trainings, promote

pytestmark = pytest.mark.e2e


class Contest:
    """Models without a file, in a project of their own."""

    def __init__(self, sdk) -> None:
        self.sdk = sdk
        self.project = f"Contest {uuid.uuid4().hex[:8]}"
        ids = [self._model(number) for number in range(3)]
        self.first, self.second, self.third = sorted(ids)

    def _model(self, number: int) -> str:
        url = f"https://files.invalid/{self.project}/{number}".replace(" ", "_")
        return self.sdk.InputModel.import_model(url, name=MODEL_NAME, project=self.project).id

    def promote(self, winner: str, champion: str | None, log_loss: float) -> str:
        return promote(winner, champion, log_loss, self.project)

    def champions(self) -> list[str]:
        return [model.id for model in find_champions(self.project)]


@pytest.fixture
def contest(sdk) -> Contest:
    return Contest(sdk)


def test_the_champions_tag_moves_from_the_old_champion_to_the_winner(contest, sdk):
    assert contest.promote(contest.third, None, 0.1) == contest.third
    assert contest.promote(contest.first, contest.third, 0.1) == contest.first
    assert contest.champions() == [contest.first]
    assert sdk.Model(contest.third).tags == ["former champion"]
    assert sdk.Model(contest.third).published


def test_a_former_champion_can_become_champion_again(contest, sdk):
    champion = None
    for winner in (contest.first, contest.second, contest.first):
        contest.promote(winner, champion, 0.1)
        champion = winner
    assert contest.champions() == [contest.first]
    assert sdk.Model(contest.first).tags == ["champion"]
    assert sdk.Model(contest.second).tags == ["former champion"]


@pytest.mark.parametrize("better", ["first", "second"])
def test_of_two_that_were_compared_with_the_same_champion_the_better_stays(contest, better):
    contest.promote(contest.third, None, 0.1)
    scores = {"first": 0.05, "second": 0.05, better: 0.03}
    for name, score in scores.items():  # the second one comes when the first one is champion already
        contest.promote(getattr(contest, name), contest.third, score)
    assert contest.champions() == [getattr(contest, better)]


def test_a_champion_that_was_compared_with_a_later_one_stays(contest):
    contest.promote(contest.third, None, 0.1)
    contest.promote(contest.second, contest.third, 0.08)
    contest.promote(contest.first, None, 0.01)  # compared before there was any
    assert contest.champions() == [contest.second]


def test_of_two_models_promoted_at_the_same_moment_one_stays(contest, monkeypatch):
    def find_just_before_the_other_is_promoted(project: str) -> list:
        monkeypatch.undo()
        found = find_champions(project)
        contest.promote(contest.second, None, 0.05)
        return found

    monkeypatch.setattr(model_selection, "find_champions", find_just_before_the_other_is_promoted)
    contest.promote(contest.first, None, 0.1)
    assert contest.champions() == [contest.second]


@pytest.mark.parametrize("kind", ["no task", "no training"])
def test_a_candidate_that_is_no_training_is_named(sdk, kind):
    task_id = "no such id" if kind == "no task" else sdk.Task.create("Contests", "a task").id
    with pytest.raises(UserError, match=f"--candidates: '{task_id}' is not a completed task"):
        find_trainings([task_id])
