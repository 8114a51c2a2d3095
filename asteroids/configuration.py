"""Check that the values in global_config.py fit each other and the hook, before anything begins with them."""

import re
from collections.abc import Iterable, Iterator

from clearml_tools.errors import UserError

import global_config as config
from preprocess_serving import FEATURES, ORDERED_COLUMNS, RAW_COLUMNS, build_features

# clearml-serving cannot read its own configuration again, for good, once a variable with a parenthesis or
# another such mark is watched. Names of metrics have '_' in place of all that is not a letter or digit.
WATCHABLE = re.compile(r"[A-Za-z0-9_.-]([A-Za-z0-9_. -]*[A-Za-z0-9_.-])?")

COUNTED_ANYWAY = {"y", "_latency", "_count"}  # the answer, and what clearml-serving counts by itself


def check_configuration() -> None:
    """Raise UserError with all values of global_config.py and the hook that do not fit, and what would."""
    if problems := "; ".join(find_configuration_problems()):
        raise UserError(f"global_config.py and preprocess_serving.py do not fit together: {problems}")


def find_configuration_problems() -> Iterator[str]:
    """Yield what is wrong with global_config.py, a text for each problem."""
    features = "FEATURES of preprocess_serving.py"
    yield from find_unknown("MONOTONE_CONSTRAINTS", config.MONOTONE_CONSTRAINTS, FEATURES, features)
    yield from find_unknown("BASELINE_RULE", config.BASELINE_RULE, FEATURES, features)
    yield from find_unknown("WATCHED_FEATURES", config.WATCHED_FEATURES, FEATURES, features)
    columns = "RAW_COLUMNS of preprocess_serving.py"
    for pair in ORDERED_COLUMNS:
        yield from find_unknown("ORDERED_COLUMNS of preprocess_serving.py", pair, RAW_COLUMNS, columns)
    try:
        made = build_features(dict.fromkeys(RAW_COLUMNS, 1.0)).shape
        if made != (len(FEATURES),):
            yield f"build_features() makes {made[0]} features of a row, and {features} has {len(FEATURES)}"
    except KeyError as error:
        yield f"build_features() of preprocess_serving.py needs {error}, which is not among {columns}: add it"
    for scenario, factors in config.DRIFT_SCENARIOS.items():
        name = f"DRIFT_SCENARIOS['{scenario}']"
        yield from find_unknown(name, factors, RAW_COLUMNS, columns)
        given: Iterable[tuple[str, object]] = factors.items()
        for column, factor in given:
            if not isinstance(factor, int | float):
                yield f"{name} has {factor!r} for '{column}': give a number"
        if scenario in ("normal", "share", "ramp"):
            yield f"{name} has the name of a scenario that there always is: give it another"
    for name in ("BASELINE_RULE", "DRIFT_SCENARIOS", "WATCHED_FEATURES"):
        if not getattr(config, name):
            yield f"{name} is empty: give it one entry at least"
    for feature, condition in config.BASELINE_RULE.items():
        if not isinstance(condition, tuple) or len(condition) != 2 or condition[0] not in ("<=", ">="):
            yield f"BASELINE_RULE has {condition!r} for '{feature}': give a pair such as ('<=', 22)"
    for feature, direction in config.MONOTONE_CONSTRAINTS.items():
        if direction not in (-1, 1):
            yield f"MONOTONE_CONSTRAINTS has {direction!r} for '{feature}': give -1 or 1"
    texts: Iterable[object] = config.LABEL_VALUES
    for text in texts:
        if not isinstance(text, str):
            yield f"LABEL_VALUES has {text!r}: write it as a text, '{text}'"
    if config.RAW_DATASET_NAME == config.PREPROCESSED_DATASET_NAME:
        yield "RAW_DATASET_NAME and PREPROCESSED_DATASET_NAME are the same: give them two names"
    if set(config.LABEL_VALUES.values()) != {0, 1}:
        yield "LABEL_VALUES has to give the class of each text, 0 or 1, and both of them must occur"
    if len(set(config.CLASS_NAMES)) != 2 or len(config.CLASS_NAMES) != 2:
        yield "CLASS_NAMES has to be two names, of class 0 and class 1"
    for name in ("LABEL_COLUMN", "GROUP_COLUMN"):
        if not getattr(config, name):
            yield f"{name} has to be a column; a table without ids needs one, with a number for each row"
        if getattr(config, name) in RAW_COLUMNS:
            yield f"{name} is among RAW_COLUMNS of preprocess_serving.py: the model would learn from it"
    yield from find_unwatchable(config.WATCHED_FEATURES)


def find_unknown(constant: str, names: Iterable[str], known: Iterable[str], source: str) -> Iterator[str]:
    """Yield a text for the names that are not known."""
    for name in set(names) - set(known):
        yield f"{constant} names '{name}', which is not among {source}: correct it or take it out"


def find_unwatchable(features: Iterable[str]) -> Iterator[str]:
    """Yield a text for each name that clearml-serving cannot count under a name of its own."""
    metrics: dict[str, str] = {}
    for name in features:
        if not WATCHABLE.fullmatch(name):
            yield (
                f"WATCHED_FEATURES names '{name}': clearml-serving cannot watch a name with other than "
                "letters, digits, blanks, '_', '.' and '-'; rename it in "
                "preprocess_serving.py, or do not watch it"
            )
        metric = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if metric in COUNTED_ANYWAY:
            yield f"WATCHED_FEATURES names '{name}', which is another metric's name: do not watch it"
        if metrics.setdefault(metric, name) != name:
            yield f"WATCHED_FEATURES names '{name}' and '{metrics[metric]}', which would be one metric"
