"""A second example, made of this repository by the README's section "Your own data and model".

It tells malignant tumours from benign ones, on scikit-learn's breast cancer table. All that it needs is in
this folder: values for global_config.py, the upper part of preprocess_serving.py, a table for data/, and the
name of the service in pyproject.toml.
"""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).parent
FROM_HERE_ON = "# What follows is the same for any table.\n"  # in preprocess_serving.py


def overlay(folder: Path) -> None:
    """Turn a copy of this repository into the second example."""
    config, hook = folder / "global_config.py", folder / "preprocess_serving.py"
    config.write_text(config.read_text() + (HERE / "config_values.py").read_text())
    _, mark, rest = hook.read_text().partition(FROM_HERE_ON)
    hook.write_text((HERE / "hook_columns.py").read_text() + "\n\n" + mark + rest)
    settings = folder / "pyproject.toml"
    old, new = 'serving_name = "asteroid serving"', 'serving_name = "tumour serving"'
    assert old in settings.read_text()
    settings.write_text(settings.read_text().replace(old, new))
    (folder / "data" / "nasa.csv").unlink()
    write_table(folder / "data" / "tumours.csv")


def write_table(path: Path) -> None:
    """Write the table with an id of each patient, the diagnosis M or B, and no date."""
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.assign(
        patient=[f"patient {number}" for number in range(len(bunch.data))],
        diagnosis=bunch.target.map({0: "M", 1: "B"}),
    )
    table.to_csv(path, index=False)
