"""Which names in global_config.py ClearML cannot take: said before anything is begun with them."""

import re

import global_config

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
    """Say which name of global_config.py ClearML cannot take, and why; None if it takes all of them."""
    constants = {name: text for name, text in vars(global_config).items() if name.isupper()}
    names = {name: text for name, text in constants.items() if isinstance(text, str)}
    for limited, refused, why in LIMITS:
        for name, text in names.items():
            if re.fullmatch(limited, name) and re.search(refused, text):
                return f"global_config.py: {name} cannot be {text!r}: {why}"
    return None
