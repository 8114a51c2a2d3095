"""The one configuration of this example: names, the table, what is known of it, and what is watched.

Another table needs other values here, the hook preprocess_serving.py, and perhaps a function in asteroids/.
asteroids/configuration.py checks these values whenever a script starts.
"""

PROJECT_NAME = "Asteroid Hazard Classification"

RAW_DATASET_NAME = "raw_asteroid_dataset"
PREPROCESSED_DATASET_NAME = "preprocessed_asteroid_dataset"

# The file in the raw dataset. The table that is shipped has the same name, in data/.
RAW_FILE_NAME = "nasa.csv"
FEATURES_FILE_NAME = "X.csv"
LABELS_FILE_NAME = "y.csv"
GROUPS_FILE_NAME = "groups.csv"
GROUP_KEY_COLUMN = "designation"  # in groups.csv, beside the id: what splits the data
# Up to so many rows, datasets hold CSV and training tries every split. Beyond, it is Parquet and histograms.
LARGE_TABLE_ROWS = 25_000

# Rows with the same value here are a group, and a group is never on both sides of a split.
GROUP_COLUMN = "Neo Reference ID"
# A text that keeps the group's designation when its id changes (asteroids/ids.py). None: ids never change.
GROUP_NAME_COLUMN: str | None = "Name"
GROUPS = "asteroids"  # what messages call the groups
# get_data.py filters by it (--query-date). None: the table has no dates.
DATE_COLUMN: str | None = "Close Approach Date"

LABEL_COLUMN = "Hazardous"
# The texts in that column, in capitals or not, and the class that each stands for.
LABEL_VALUES = {"True": 1, "False": 0}
CLASS_NAMES = ("not hazardous", "hazardous")  # of class 0 and class 1

# A row is of class 1 if all of this is so ("<=" or ">="). Every model is compared with this rule.
BASELINE_RULE = {"Absolute Magnitude": ("<=", 22), "Minimum Orbit Intersection": ("<=", 0.05)}

# With more of the feature, class 1 can only become less likely (-1) or more likely (1). By definition an
# asteroid is less hazardous the fainter (smaller) it is, and the further its orbit stays from the Earth's.
MONOTONE_CONSTRAINTS = {"Absolute Magnitude": -1, "Minimum Orbit Intersection": -1}

# The features that are watched for drift.
WATCHED_FEATURES = ["Absolute Magnitude", "Minimum Orbit Intersection"]

# What inference.py can send: factors on columns of the table. --drift sends the first of these.
DRIFT_SCENARIOS: dict[str, dict[str, float]] = {
    "major": {"Absolute Magnitude": 2, "Minimum Orbit Intersection": 2},
    "minor": {"Absolute Magnitude": 1.05, "Minimum Orbit Intersection": 1.5},
    "magnitude": {"Absolute Magnitude": 2},
    "moid": {"Minimum Orbit Intersection": 2},
}

# Task names. ClearML names a model "<task name> - <model file without its extension>".
GET_DATA_TASK_NAME = "get data"
PREPROCESSING_TASK_NAME = "preprocess data"
TRAINING_TASK_NAME = "model training"
SELECTION_TASK_NAME = "model selection"
EVALUATION_TASK_NAME = "model evaluation"
RETRAINING_TASK_NAME = "retraining"
MODEL_FILE_STEM = "best_model"
MODEL_NAME = f"{TRAINING_TASK_NAME} - {MODEL_FILE_STEM}"

PIPELINE_NAME = "asteroid pipeline"
SELECTION_STEP = "select_best_model"  # the pipeline's last step
STEP_QUEUE = "CPU Queue"
CONTROLLER_QUEUE = "services"
CHAMPION_TAG = "champion"  # on the published model that serving uses now
LOOK_AT_TAG = "look at"  # on the champion: an alarm was raised while it was served
RETRAIN_TAG = "retrain"  # given to a model by a person, it starts the pipeline
RETRAIN_ACCEPTED_TAG = "retrain accepted"  # in its place when that was done
OUT_OF_FOLD_ARTIFACT = "out_of_fold"  # of a training: what it predicts of rows that it has not learned from

SERVING_NAME = "asteroid serving"
SERVING_ENDPOINT = "asteroid"
