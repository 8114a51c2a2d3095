"""Tables elsewhere, by a DuckDB that has its extension httpfs, from a web server and from an S3.

The newest DuckDB gets its extension from DuckDB's own server alone. For an older one, which
requirements-steps.txt allows too, it is a package. S3 is moto's server, a process that speaks its protocol.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request

import duckdb
import pytest

from demo.install import use_pips_index
from get_data import query_table
from global_config import RAW_FILE_NAME
from local_stack.loopback import open_loopback
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import Child, run
from tests.support.asteroid_tables import asteroid_table
from tests.support.checkouts import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

EXTENSION = "duckdb-extension-httpfs==1.5.5"  # brings DuckDB 1.5.5
S3_SERVER = ["moto[s3]==5.2.5", "flask", "flask-cors"]

INSTALL = """import duckdb, duckdb_extension_httpfs, pathlib
(file,) = pathlib.Path(duckdb_extension_httpfs.__path__[0]).rglob("httpfs.duckdb_extension")
duckdb.sql(f"INSTALL '{file}'")"""  # as from DuckDB's server: signed by DuckDB, and checked

QUERY = "import get_data, pathlib, sys; get_data.query_table(sys.argv[1], None, pathlib.Path(sys.argv[2]))"

Python = Callable[..., "subprocess.CompletedProcess[str]"]

SECRET = r"CREATE PERSISTENT SECRET asteroids \(.*(?=\)\"\))"
OTHER_S3, WITHOUT_TLS = "ENDPOINT 'host:port', URL_STYLE 'path'", "USE_SSL false"


def install(folder: Path, *packages: str) -> Path:
    """Install packages into a folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", {**os.environ, "UV_SYSTEM_CERTS": "1"})  # the index is for uv alone, too
        use_pips_index()
        uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--python", sys.executable]
        done = run([*uv, "--quiet", "--target", folder, *packages], env=os.environ)
    if done.returncode:
        skip_outside_ci(f"{' '.join(packages)} cannot be installed: {done.stderr}")
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Python to run with arguments, in a home folder of its own and with a DuckDB that has httpfs."""
    home = tmp_path_factory.mktemp("home")
    # Nothing else of this environment, which may have credentials of its own.
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    environment["PYTHONPATH"] = str(install(home / "packages", EXTENSION))

    def run_python(*arguments: object, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = run([sys.executable, *arguments], cwd=REPOSITORY, env=environment)
        assert done.returncode == code, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done

    run_python("-c", INSTALL)
    return run_python


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one table in parts, as Parquet and as packed CSV."""
    folder, table = tmp_path_factory.mktemp("tables"), asteroid_table(asteroids=60)
    for part in range(3):
        path = folder / "asteroids" / f"year={2010 + part}" / "rocks.csv.gz"
        path.parent.mkdir(parents=True)
        table[part::3].to_csv(path, index=False)
        duckdb.read_csv(str(path)).write_parquet(str(path.with_name("rocks.parquet")))
    return folder


@pytest.fixture(scope="module")
def bucket(python: Python, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a bucket with the tables, of which that Python has the credentials."""
    packages = install(tmp_path_factory.mktemp("moto"), *S3_SERVER)
    server = [sys.executable, "-m", "moto.server", "-p", "0"]
    with Child(server, env={**os.environ, "PYTHONPATH": str(packages)}) as process:
        host = process.wait_for(r"http://(127\.0\.0\.1:\d+)")[1]
        put(f"http://{host}/bucket")
        for path in tables.rglob("rocks.*"):
            put(f"http://{host}/bucket/{path.relative_to(tables).as_posix()}", path.read_bytes())
        python("-c", "import duckdb, sys; duckdb.sql(sys.argv[1])", create_secret(host))
        yield "s3://bucket"


def create_secret(host: str) -> str:
    """Return the SQL of data/README.md that keeps credentials, for the S3 at `host`."""
    readme = (REPOSITORY / "data" / "README.md").read_text()
    (create,) = re.findall(SECRET, readme)
    assert OTHER_S3 in readme and WITHOUT_TLS in readme
    return f"{create.replace('...', '1234')}, {OTHER_S3.replace('host:port', host)}, {WITHOUT_TLS})"


def put(address: str, body: bytes = b"") -> None:
    kind = {"Content-Type": "application/octet-stream"}
    open_loopback(Request(address, body, kind, method="PUT"), timeout=60).close()


def test_the_unit_tests_of_tables_elsewhere_pass_and_none_is_skipped(python):
    told = python("-m", "pytest", "-p", "no:cacheprovider", "tests/unit/test_remote_tables.py").stdout
    assert re.search(r"collected (\d+) items.*= \1 passed", told, re.DOTALL), told


@pytest.mark.parametrize("pattern", ["asteroids/*/*.parquet", "asteroids/*/*.csv.gz"])
def test_a_table_in_s3_gives_the_dataset_that_it_gives_here(python, tables, bucket, tmp_path, pattern):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    query_table(tables / pattern, None, here)
    python("-c", QUERY, f"{bucket}/{pattern}", there)
    assert (there / RAW_FILE_NAME).read_bytes() == (here / RAW_FILE_NAME).read_bytes()


@pytest.mark.parametrize(
    ("address", "reason"), [("s3://nowhere/*.parquet", "404"), ("s3://bucket/*.parquet", "no such file")]
)
def test_what_is_not_in_s3_is_one_line(python, bucket, address, reason):
    done = python("get_data.py", "--csv", address, code=1)
    assert done.stderr.count("\n") == 1
    assert address in done.stderr
    assert reason in done.stderr
