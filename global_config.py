"""The names that every part of this example shares. Change them here and nowhere else."""

import re

PROJECT_NAME = "Asteroid Hazard Classification"

RAW_DATASET_NAME = "raw_asteroid_dataset"
PREPROCESSED_DATASET_NAME = "preprocessed_asteroid_dataset"

# The files in them.
RAW_FILE_NAME = "nasa.csv"
FEATURES_FILE_NAME = "X.csv"
LABELS_FILE_NAME = "y.csv"
GROUPS_FILE_NAME = "groups.csv"

# The table's label, and the column that tells which asteroid a row is about.
LABEL_COLUMN = "Hazardous"
ASTEROID_COLUMN = "Neo Reference ID"

# Task names. ClearML names a model "<task name> - <model file without its extension>".
GET_DATA_TASK_NAME = "get data"
PREPROCESSING_TASK_NAME = "preprocess data"
TRAINING_TASK_NAME = "model training"
SELECTION_TASK_NAME = "model selection"
MODEL_FILE_STEM = "best_model"
MODEL_NAME = f"{TRAINING_TASK_NAME} - {MODEL_FILE_STEM}"

PIPELINE_NAME = "asteroid pipeline"
STEP_QUEUE = "CPU Queue"
CONTROLLER_QUEUE = "services"
CHAMPION_TAG = "champion"  # on the published model that serving uses now
TEST_SET_ARTIFACT = "test_set"

SERVING_NAME = "asteroid serving"
SERVING_ENDPOINT = "asteroid"  # asteroid_alerts.yml and asteroid.json watch names that begin so

# What ClearML itself cannot take: in which names, what must not be found in them, and why. They may be any
# other text, whatever it means to a shell or in a regular expression.
LIMITS = (
    (".*", r"^$|[\x00-\x1f\x7f]", "a name is one line of text"),
    (
        ".*(?<!_FILE)_NAME|.*_QUEUE",
        r"^.{0,2}$|^\s|\s$",
        "ClearML's server wants three characters, and takes away blanks at both ends",
    ),
    (
        "PROJECT_NAME|.*_DATASET_NAME|PIPELINE_NAME",
        r"(^|/)\s*\.{0,2}(/|$)|\s/",
        "each '/' makes a project within another, and each needs a name without a blank at its end",
    ),
    (
        "PROJECT_NAME",
        r"^..?/|(^|/)\.",
        "ClearML hides what begins with '.', and wants three characters before the first '/'",
    ),
    (".*_FILE_(NAME|STEM)", r"/|^\.\.?$", "it is the name of a file, not of a folder"),
    ("MODEL_FILE_STEM", r"\\", "ClearML loses a backslash in the name of a file that it uploads"),
    ("CHAMPION_TAG", r"^__\$", "ClearML takes what begins with '__$' for an operator on tags"),
    (
        "SERVING_ENDPOINT",
        r"""[(){|\\%"'~;,<>]|[^ -~]""",
        "clearml-serving cannot store letters beyond ASCII, nor any of (){|\\%\"'~;,<>",
    ),
    ("SERVING_ENDPOINT", r"^[\s/]|[\s/]$|/.*/", "clearml-serving answers at NAME and NAME/VERSION alone"),
    ("SERVING_ENDPOINT", r"^\d", "it begins the names of metrics, and those cannot begin with a digit"),
    (
        "PROJECT_NAME|TRAINING_TASK_NAME|CHAMPION_TAG|SERVING_.*|.*_QUEUE",
        "^-",
        "commands take what begins with '-' for an option",
    ),
)


def wrong_name() -> str | None:
    """Say which of these names ClearML cannot take, and why, in one line; None if it takes all of them."""
    names = {name: text for name, text in globals().items() if name.isupper() and isinstance(text, str)}
    for limited, refused, why in LIMITS:
        for name, text in names.items():
            if re.fullmatch(limited, name) and re.search(refused, text):
                return f"global_config.py: {name} cannot be {text!r}: {why}"
    return None
