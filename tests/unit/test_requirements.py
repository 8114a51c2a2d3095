"""What is installed where: each requirements file as pip and as clearml-agent read it."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from demo.install import without_hashes
from local_stack.waiting import run
from tests.support.checkouts import REPOSITORY

FILES = [f"{name}requirements.txt" for name in ("", "local_stack/", "tests/")] + ["requirements-steps.txt"]


def read(name: str) -> list[Requirement]:
    """The requirements in a file and in those that it names, by the rules of pip."""
    found = []
    for line in (REPOSITORY / name).read_text().replace("\\\n", "").splitlines():
        line = re.sub(r"(^|\s)#.*|--hash=\S+", "", line).strip()
        if line.startswith("-r "):
            found += read(str(Path(name).parent / line.removeprefix("-r ")))
        elif line:
            found.append(Requirement(line))
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:pkg_resources")
def test_clearml_agent_reads_every_requirements_file_as_pip_does(name):
    from clearml_agent.helper.package.requirements import RequirementsManager

    text = (REPOSITORY / name).read_text()
    parse = RequirementsManager.parse_requirements_section_to_marker_requirements
    by_agent = [Requirement(str(requirement)) for requirement in parse(text, cwd=(REPOSITORY / name).parent)]
    assert by_agent == read(name)


def test_every_version_is_pinned_by_the_hashes_of_its_files():
    pins = [line for line in (REPOSITORY / "constraints.txt").read_text().split("\n") if line[:1].isalnum()]
    assert len(pins) > 100
    assert [line for line in pins if not re.fullmatch(r"\S+==\S+( ; .+)? \\", line)] == []


def test_pip_gets_the_constraints_without_hashes(tmp_path):
    lines = Path(without_hashes(str(REPOSITORY / "constraints.txt"), tmp_path)).read_text().splitlines()
    assert [Requirement(line) for line in lines if line[0] != "#"] == read("constraints.txt")
    for option in ("-r", str(REPOSITORY / "requirements.txt")):
        assert without_hashes(option, tmp_path) == option


@pytest.mark.parametrize("system", ["linux", "win32"])
def test_steps_install_no_notebook_no_serving_and_no_cuda(system):
    """Xgboost itself brings 640 MB for graphics cards, but on macOS."""
    steps, place = read("requirements-steps.txt"), {"sys_platform": system}
    names = {each.name for each in steps if not each.marker or each.marker.evaluate(place)}
    assert "xgboost-cpu" in names
    assert not names & {"xgboost", "jupyter", "clearml-serving", "matplotlib", "tqdm"}


def test_no_package_that_every_start_of_clearml_would_pay_for_is_installed():
    # Jupyter brings it with jsonschema 4.25 and later, and jsonschema imports it where it is installed.
    assert "rfc3987-syntax" not in {each.name for each in read("constraints.txt")}


UNUSED = {
    "inference": {"clearml", "pandas", "xgboost", "sklearn", "scipy", "duckdb", "matplotlib"},
    "pipeline": {"xgboost", "sklearn", "scipy", "duckdb", "matplotlib"},
    "preprocessing": {"xgboost", "sklearn", "scipy", "duckdb", "matplotlib"},
    "get_data": {"xgboost", "sklearn", "scipy", "matplotlib"},
    "model_training": {"duckdb", "matplotlib"},
}
# All in one process: what one script imports, the next ones may import, too.
IMPORT_EACH = """
import importlib, sys
for script in sys.argv[1:]:
    importlib.import_module(script)
    print(*sys.modules)
"""


@pytest.mark.e2e
def test_a_script_imports_no_large_package_that_it_does_not_use():
    done = run([sys.executable, "-c", IMPORT_EACH, *UNUSED], cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    for (script, unused), imported in zip(UNUSED.items(), done.stdout.splitlines(), strict=True):
        assert not set(imported.split()) & unused, script
