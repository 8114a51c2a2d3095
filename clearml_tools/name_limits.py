"""Which names in global_config.py ClearML cannot take: said before anything is begun with them."""

import re

from clearml_tools.errors import UserError

import global_config

# The constants of global_config.py that are names in ClearML. Others may be anything: columns, values, texts.
NAMES = (
    r"(PROJECT|PIPELINE|SERVING|MODEL|.+_(DATASET|TASK|FILE))_NAME|.+_(FILE_STEM|QUEUE|TAG|ENDPOINT|ARTIFACT)"
)

# What ClearML itself cannot take: in which names, what must not be found in them, and why. They may be any
# other text, whatever it means to a shell or in a regular expression.
LIMITS = (
    (NAMES, r"^$|[\x00-\x1f\x7f]", "a name is one line of text"),
    (
        "(PROJECT|PIPELINE|SERVING|MODEL|.+_(DATASET|TASK))_NAME|.+_QUEUE",
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


def check_names() -> None:
    """UserError says which name of global_config.py ClearML cannot take, and why."""
    for name, text in vars(global_config).items():
        for limited, refused, why in LIMITS:
            if isinstance(text, str) and re.fullmatch(limited, name) and re.search(refused, text):
                raise UserError(f"global_config.py: {name} cannot be {text!r}: {why}")
