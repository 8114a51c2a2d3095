"""What differs in global_config.py; appended to it."""

RAW_DATASET_NAME = "raw tumours"
PREPROCESSED_DATASET_NAME = "preprocessed tumours"
RAW_FILE_NAME = "tumours.csv"
GROUP_COLUMN = "patient"
GROUP_NAME_COLUMN = None
GROUP_KEY_COLUMN = "key"
GROUPS = "patients"
DATE_COLUMN = None
LABEL_COLUMN = "diagnosis"
LABEL_VALUES = {"M": 1, "B": 0}
CLASS_NAMES = ("benign", "malignant")
BASELINE_RULE = {"worst radius": (">=", 16.8)}
MONOTONE_CONSTRAINTS = {"worst radius": 1}
WATCHED_FEATURES = ["worst radius", "worst texture"]
DRIFT_SCENARIOS = {"major": {"worst radius": 1.5, "mean radius": 1.5}}
PIPELINE_NAME = "tumour pipeline"
SERVING_NAME = "tumour serving"
SERVING_ENDPOINT = "tumour"
