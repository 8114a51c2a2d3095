"""The names that every part of this example shares. Change them here and nowhere else."""

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
