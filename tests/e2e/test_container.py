"""preprocess_serving.py under the versions that clearml-serving's official container has."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost

from asteroids.cross_validation import Table
from asteroids.drift import counted_variables, reference_of
from asteroids.frozen_test_set import draw
from global_config import LABEL_COLUMN
from local_stack.settings import default_home
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import run
from model_training import save_model
from preprocessing import make_features, make_labels
from tests.support.asteroid_tables import shipped_table
from tests.support.checkouts import REPOSITORY
from tests.support.deployment import predict, table_rows
from tests.unit.test_model_training import fit

pytestmark = pytest.mark.e2e

# What clearml-serving's inference image installs of what the hook imports, and what its xgboost needs.
CONTAINER_PACKAGES = ["numpy==1.26.4", "scipy<1.12", "xgboost==1.7.6"]

# Loads the hook as clearml-serving does, from the file alone, and answers requests with it.
ANSWER = """
import importlib.util, json, sys, xgboost
specification = importlib.util.spec_from_file_location("Preprocess", sys.argv[1])
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
hook = module.Preprocess()
model = hook.load(sys.argv[2])
rows = json.load(open(sys.argv[3]))
answers = [hook.postprocess(model.predict(hook.preprocess(row, {})), {}) for row in rows]
state, told = {}, {}
hook.postprocess(model.predict(hook.preprocess(rows[0], state, told.update)), state, told.update)
print(json.dumps([xgboost.__version__, answers, told]))
"""


@pytest.fixture(scope="module")
def container_python() -> Path:
    """A Python 3.11 with the container's packages and no others. It is made once and kept."""
    folder = default_home() / "tools" / "container"
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        found = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        works = found and run([found, "--version"]).returncode == 0
        if not works:
            skip_outside_ci("the container's packages need a Python 3.11: put python3.11 on PATH")
        made = run([found, "-m", "venv", "--clear", folder])
        assert made.returncode == 0, made.stdout + made.stderr
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        installed = run([*pip, *CONTAINER_PACKAGES])
        if installed.returncode:
            skip_outside_ci(f"the container's packages cannot be installed: {installed.stderr[-300:]}")
        done.touch()
    return python


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the shipped table, as model_training.py makes them."""
    table = shipped_table()
    labels = make_labels(table)[LABEL_COLUMN].to_numpy()
    features = make_features(table).to_numpy(np.float32)
    booster = fit(Table(features, labels, draw(table["Name"])))
    file = tmp_path_factory.mktemp("model") / "best_model.ubj"
    save_model(booster, file, 0.5, reference_of(features, labels))
    return file


def test_the_hook_predicts_in_the_container_what_it_does_where_it_was_trained(
    model, container_python, tmp_path
):
    rows = table_rows()[:1000]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    hook = shutil.copy(REPOSITORY / "preprocess_serving.py", tmp_path)
    command = [str(container_python), "-I", "-c", ANSWER, str(hook), str(model), "rows.json"]
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version, answers, told = json.loads(done.stdout)
    assert version == "1.7.6" != xgboost.__version__
    np.testing.assert_allclose(
        [answer["y_raw"] for answer in answers], predict(model, rows), rtol=0, atol=1e-6
    )
    buckets, _ = counted_variables()
    assert buckets.keys() <= told.keys()
