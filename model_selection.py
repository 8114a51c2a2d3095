"""Choose the best of the trained models, and promote it if it is better than the champion for certain.

    python model_selection.py --candidates ID,ID     # ids of training tasks

The last step of pipeline.py, which calls it select_best_model. The champion is the published model with the
tag "champion". asteroids/promotion.py decides, by out-of-fold predictions: among the candidates, and between
the best of them and the champion. A model that has learned from more data may also take an equal one's place.

A training task must offer these, whatever script it runs:
- an output model: an XGBoost file that holds its threshold as the attribute THRESHOLD_ATTRIBUTE
- the artifact OUT_OF_FOLD_ARTIFACT: a CSV or Parquet file of GROUP_KEY_COLUMN, LABEL_COLUMN, the features,
and in columns that begin with PROBABILITY the probabilities of class 1 by boosters that have not learned from
this group
- the single values TRAINING_GROUPS and "threshold", and, to be shown, the scores of the model and, under the
  names of baseline_metric(), of BASELINES
(global_config.py and asteroids/evaluation.py have these names.)
"""

import argparse
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line

import pandas as pd
import xgboost
from clearml import Model, Task

from asteroids.configuration import check_configuration
from asteroids.evaluation import TRAINING_GROUPS, VALIDATION_SCORES
from asteroids.promotion import Comparison, Evidence, Figures, best_candidate, compare, comparison_table
from asteroids.table_files import read_table
from clearml_tools.connection import connect
from clearml_tools.pipeline_progress import DECISION_PARAMETER
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    CHAMPION_TAG,
    GROUP_KEY_COLUMN,
    MODEL_NAME,
    OUT_OF_FOLD_ARTIFACT,
    PROJECT_NAME,
    SELECTION_TASK_NAME,
)

FORMER_CHAMPION_TAG = f"former {CHAMPION_TAG}"
# A champion's metadata. See promote().
CHAMPION_NUMBER, CHAMPION_LOG_LOSS = f"{CHAMPION_TAG} number", f"{CHAMPION_TAG} log loss"


def find_trainings(task_ids: list[str]) -> list[Task]:
    """Return the training tasks of these ids; UserError for one that has made no model."""
    found: dict[str, Task] = {task.id: task for task in Task.get_tasks(task_filter={"id": task_ids})}
    for task_id in task_ids:
        task = found.get(task_id)
        if not task or not task.models["output"] or OUT_OF_FOLD_ARTIFACT not in task.artifacts:
            raise UserError(f"--candidates: '{task_id}' is not a completed task of model_training.py")
    return [found[task_id] for task_id in task_ids]


def find_champions(project: str = PROJECT_NAME) -> list[Model]:
    """Return the published models with the champion's tag, the true champion last.

    Usually there is one. promote() says when there are more for a moment.
    """

    def rank(model: Model) -> tuple[int, float, str]:
        return (
            int(model.get_metadata(CHAMPION_NUMBER) or 0),
            -float(model.get_metadata(CHAMPION_LOG_LOSS) or "inf"),
            model.id,
        )

    found = Model.query_models(
        project_name=project, model_name=MODEL_NAME, tags=[CHAMPION_TAG], only_published=True
    )
    return sorted(found, key=rank)


def promote(winner_id: str, champion_id: str | None, log_loss: float, project: str = PROJECT_NAME) -> str:
    """Publish a model and give it the champion's tag; return the id of the model that is champion then.

    `champion_id` is the champion that it was compared with, `log_loss` its own, out of fold. ClearML
    cannot do that in one step, so pipelines that promote at the same moment do not see each other's winner.
    Each winner is numbered one above the champion that it was compared with, and whoever finds several takes
    the tag from all but the highest: of two that were compared with the same one, the better. One is left,
    the same one for all.
    """
    number = int(Model(champion_id).get_metadata(CHAMPION_NUMBER) or 0) if champion_id else 0
    winner = Model(winner_id)
    winner.set_metadata(CHAMPION_NUMBER, str(number + 1), "int")
    winner.set_metadata(CHAMPION_LOG_LOSS, str(log_loss), "float")
    winner.publish()
    winner.tags = [*(tag for tag in winner.tags or [] if tag != FORMER_CHAMPION_TAG), CHAMPION_TAG]
    *others, champion = find_champions(project)
    for old in others:  # another tag takes its place, as the SDK cannot take away a model's last one
        old.tags = [FORMER_CHAMPION_TAG, *(tag for tag in old.tags or [] if tag != CHAMPION_TAG)]
    return champion.id


def read_evidence(task: Task) -> tuple[Figures, Evidence]:
    """Return what a training has reported, and what it shows of its model; ValueError if it lacks some."""
    reported = task.get_reported_single_values()
    try:
        file = Path(task.artifacts[OUT_OF_FOLD_ARTIFACT].get_local_copy(raise_on_error=True))
        predictions = read_table(file.parent, file.name, text=[GROUP_KEY_COLUMN])
        groups = int(reported[TRAINING_GROUPS])
        booster = xgboost.Booster(model_file=task.models["output"][-1].get_local_copy(raise_on_error=True))
        evidence = Evidence(predictions, reported["threshold"], groups, booster)
    except (KeyError, IndexError, OSError, UserError, xgboost.core.XGBoostError) as error:
        raise ValueError(f"training {task.id} lacks {error}") from error
    except ValueError as error:
        raise ValueError(f"training {task.id}: {error}") from error
    return reported, evidence


def compare_with_champion(
    candidate: Evidence, champion: Model, candidates: int
) -> tuple[Comparison, Figures]:
    """Return whether the candidate takes the champion's place, and the champion's figures, if it has some."""
    reported: Figures = {}
    try:
        if not champion.task:
            raise ValueError("it has no training task")
        reported, evidence = read_evidence(Task.get_task(task_id=champion.task))
        return compare(candidate, evidence, candidates), reported
    except ValueError as error:
        why = f"it cannot be compared ({error}); take the champion's tag away to replace it all the same"
        return Comparison(False, why), reported


def select(trainings: list[Task]) -> tuple[str, pd.DataFrame]:
    """Promote the best model if it is better than the champion.

    Return the decision in words, and the figures of all candidates, the champion and the baselines as text.
    UserError if a training does not show what its model is worth.
    """
    try:
        reported, evidence = zip(*map(read_evidence, trainings), strict=True)
    except ValueError as error:
        raise UserError(f"--candidates: {error}, so it cannot be compared: train again") from error
    best = best_candidate(evidence)
    winner: Model = trainings[best].models["output"][-1]
    champion = next(reversed(find_champions()), None)
    champion_figures: Figures = {}
    comparison = Comparison(True, "there is no champion yet")
    if champion:
        comparison, champion_figures = compare_with_champion(evidence[best], champion, len(trainings))

    if champion and champion.id == winner.id:
        decision = f"Model {winner.id} stays the champion: no candidate is better than it was"
    elif champion and not comparison.replaces:
        decision = f"Model {champion.id} stays the champion, {winner.id} is not promoted: {comparison.reason}"
    else:
        log_loss = reported[best][VALIDATION_SCORES[0]]
        promoted = promote(winner.id, champion.id if champion else None, log_loss)
        decision = f"Model {winner.id} is the new champion: {comparison.reason}"
        if promoted != winner.id:
            decision = f"Model {promoted} is the champion: it was promoted at the same moment as {winner.id}"

    models: dict[str, Figures] = {  # by number, as a task that was reused has any name
        f"model_training_{number} ({task.models['output'][-1].id[:8]})": figures
        for number, (task, figures) in enumerate(zip(trainings, reported, strict=True))
    }
    if champion:
        models[f"champion until now ({champion.id[:8]})"] = champion_figures
    return decision, comparison_table(models, reported[best])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candidates", required=True, help="ids of the training tasks, with commas between")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    connect()
    task = start_task(SELECTION_TASK_NAME, Task.TaskTypes.qc)
    ids = [text.strip() for text in arguments.candidates.split(",") if text.strip()]
    decision, table = select(find_trainings(list(dict.fromkeys(ids))))
    print(table.to_string())
    print(decision)
    task.set_parameter(DECISION_PARAMETER, decision)  # pipeline.py prints it in its last line
    # The page of the pipeline, if this is a step of one, shows them as well.
    pipeline = Task.get_task(task_id=task.parent) if task.parent else task
    logger = pipeline.get_logger()
    logger.report_table("Model selection", "candidates", iteration=0, table_plot=table)
    logger.report_text(decision, print_console=False)  # this step's own log has it already
    logger.flush(wait=True)


if __name__ == "__main__":
    main()
