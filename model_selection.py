"""Choose the best of the trained models, and promote it if it is no worse than the champion.

    python model_selection.py --candidates ID,ID     # ids of training tasks

The last step of pipeline.py, which calls it select_best_model. The best is the one with the best validation
PR-AUC. The champion is the published model with the tag "champion"; both are scored on the frozen test set.
"""

import argparse

from clearml_tools.errors import UserError, report_errors_in_one_line

import pandas as pd
import xgboost
from clearml import Model, Task

from asteroids.evaluation import score
from clearml_tools.connection import connect
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    CHAMPION_TAG,
    LABEL_COLUMN,
    MODEL_NAME,
    PROJECT_NAME,
    SELECTION_TASK_NAME,
    TEST_SET_ARTIFACT,
)

# What the table of the candidates shows.
FIGURES = ["validation PR-AUC", "accuracy", "recall", "precision", "F1", "PR-AUC", "Brier"]
BASELINES = ["rule", "majority class"]


def compare(winner: dict[str, float], champion: dict[str, float] | None) -> tuple[bool, str]:
    """Whether the winner may take the champion's place, and why: on the test set it must be no worse."""
    if champion is None:
        return True, "there is no champion yet"
    told, worse = [], []
    for name in ("PR-AUC", "F1"):
        new, old, digits = winner[name], champion[name], 4
        while new != old and digits < 17 and f"{new:.{digits}f}" == f"{old:.{digits}f}":
            digits += 1  # as many as it takes to see which one is greater
        told.append(f"{name} {new:.{digits}f} against {old:.{digits}f}")
        worse += [name] if new < old else []
    reason = f"{', '.join(told)} on the test set"
    return not worse, f"{reason}: worse in {' and '.join(worse)}" if worse else reason


def find_champions(project: str, model_name: str, champion_tag: str) -> list[Model]:
    """The published models with the champion's tag, the true one at the end; one, as a rule (see `crown`)."""

    def rank(model: Model) -> tuple:
        number, score = (model.get_metadata(f"{champion_tag} {what}") or 0 for what in ("number", "PR-AUC"))
        return int(number), float(score), model.id

    wanted = {"project_name": project, "model_name": model_name, "tags": [champion_tag]}
    return sorted(Model.query_models(**wanted, only_published=True), key=rank)


def crown(winner_id: str, judged_id: str | None, score: float, *names: str) -> str:
    """Publish a model and hand it the champion's tag; returns the id of the champion that there is then.

    `judged_id` is the champion that it was compared with, `score` its PR-AUC on the test set, and `names`
    are what `find_champions` takes. ClearML cannot do that in one step, so pipelines that promote at the
    same moment do not see each other's winner. Each winner is numbered one above the champion that it was
    judged against, and whoever comes to see several takes the tag from all but the highest: of two that
    were judged against the same one, the better. One is left, the same one for all.
    """
    tag = names[-1]
    judged = int(Model(judged_id).get_metadata(f"{tag} number") or 0) if judged_id else 0
    winner, former = Model(winner_id), f"former {tag}"
    winner.set_metadata(f"{tag} number", str(judged + 1), "int")
    winner.set_metadata(f"{tag} PR-AUC", str(score), "float")
    winner.publish()
    winner.tags = [*(each for each in winner.tags or [] if each != former), tag]
    *others, champion = find_champions(*names)
    for old in others:  # another tag takes its place, as the SDK cannot take away a model's last one
        old.tags = [former, *(each for each in old.tags if each != tag)]
    return champion.id


def score_model(model: Model, test_set: pd.DataFrame) -> dict[str, float]:
    """Return the figures of a model on a test set, whose rows are features and label."""
    booster = xgboost.Booster(model_file=model.get_local_copy(raise_on_error=True))
    probabilities = booster.predict(xgboost.DMatrix(test_set[booster.feature_names]))
    return score(test_set[LABEL_COLUMN].to_numpy(), probabilities, float(booster.attr("threshold")))


def find_trainings(task_ids: list[str]) -> list[Task]:
    """Return the training tasks of these ids; UserError for one that has made no model."""
    found = {task.id: task for task in Task.get_tasks(task_filter={"id": task_ids})}
    for task_id in task_ids:
        task = found.get(task_id)
        if not task or not task.models["output"] or TEST_SET_ARTIFACT not in task.artifacts:
            raise UserError(f"--candidates: '{task_id}' is no task of model_training.py that has completed")
    return [found[task_id] for task_id in task_ids]


def select(trainings: list[Task]) -> tuple[str, pd.DataFrame]:
    """Promote the best model if it is no worse than the champion.

    Return the decision in words, and the figures of all candidates, the champion and the baselines as text.
    """
    values = [task.get_reported_single_values() for task in trainings]
    best = max(range(len(trainings)), key=lambda i: values[i]["validation PR-AUC"])
    winner = trainings[best].models["output"][-1]
    test_set = trainings[best].artifacts[TEST_SET_ARTIFACT].get()
    names = (PROJECT_NAME, MODEL_NAME, CHAMPION_TAG)
    champion = next(reversed(find_champions(*names)), None)
    winner_figures, champion_figures = score_model(winner, test_set), None
    try:
        champion_figures = score_model(champion, test_set) if champion else None
        promote, reason = compare(winner_figures, champion_figures)
    except (KeyError, TypeError, ValueError) as error:
        promote = False
        reason = (
            f"it cannot be judged on this test set ({error}); take its tag away to replace it all the same"
        )

    if champion and champion.id == winner.id:
        decision = f"Model {winner.id} stays the champion: no candidate is better than it was"
    elif promote:
        crowned = crown(winner.id, champion and champion.id, winner_figures["PR-AUC"], *names)
        if crowned == winner.id:
            decision = f"Model {winner.id} is the new champion: {reason}"
        else:
            decision = f"Model {crowned} is the champion: it was promoted at the same moment as {winner.id}"
    else:
        decision = f"Model {champion.id} stays the champion, {winner.id} is not promoted: {reason}"

    rows = {
        f"model_training_{number} ({task.models['output'][-1].id[:8]})": found  # a reused task has any name
        for number, (task, found) in enumerate(zip(trainings, values, strict=True))
    }
    if champion:
        rows[f"champion until now ({champion.id[:8]})"] = champion_figures or {}
    for baseline in BASELINES:
        rows[baseline] = {name: values[best].get(f"{name} of the {baseline}") for name in FIGURES}
    table = pd.DataFrame(rows).T.reindex(columns=FIGURES)
    return decision, table.map(lambda value: "" if pd.isna(value) else f"{value:.4f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candidates", required=True, help="ids of the training tasks, with commas between")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    connect()
    task = start_task(SELECTION_TASK_NAME, Task.TaskTypes.qc)
    decision, table = select(find_trainings(arguments.candidates.split(",")))
    print(table.to_string())
    print(decision)
    task.set_parameter("return/decision", decision)  # for the pipeline to tell in its last line
    # The page of the pipeline, if this is a step of one, shows them as well.
    pipeline = Task.get_task(task_id=task.parent) if task.parent else task
    logger = pipeline.get_logger()
    logger.report_table("Model selection", "candidates", iteration=0, table_plot=table)
    logger.report_text(decision, print_console=False)  # this step's own log has it already
    logger.flush(wait=True)


if __name__ == "__main__":
    main()
