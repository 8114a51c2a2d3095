"""local_stack.debian_programs: where programs come from, and what is said when there are none."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from local_stack.debian_programs import Package, find_programs, relocate, root_of
from local_stack.errors import ProgramsNotFound
from local_stack.processes import PACKAGE_PARENT, is_alive
from local_stack.waiting import Child, wait_until

COLLECTOR = Package("collector", "Collector", (("collector",), ("checker",)), "apt install collector")
NOTIFIER = Package("debian-notifier", "Notifier", (("debian-notifier", "notifier"),), "brew install notifier")

FAILING_APT = """#!/bin/sh
echo "E: Unable to locate package collector"
exit 100
"""

# Knows the packages' sizes, and is never done with downloading them.
ENDLESS_APT = """#!/bin/sh
case "$*" in
    *--print-uris*) for name in prometheus prometheus-alertmanager; do
            echo "'http://mirror/$name.deb' $name.deb 9500000 SHA256:ab"
        done ;;
    *) echo $$ > "$APT_PID"; exec /bin/sleep 600 ;;
esac
"""

# Downloads empty packages, from an index that has to be fetched first, and notes how often that is done.
APT_WITH_AN_OLD_INDEX = """#!/bin/sh
PATH=/bin:/usr/bin
case "$*" in
    *State::Lists*update*) echo update >> "$APT_LOG"; exit 0 ;;
    *State::Lists*) ;;
    *) echo "E: 404 Not Found"; exit 100 ;;
esac
case "$*" in
    *--print-uris*) ;;
    *) echo "${*#* download}" >> "$APT_LOG"; touch collector_1_all.deb debian-notifier_1_all.deb ;;
esac
"""
DPKG = """#!/bin/sh
/bin/mkdir -p "$3/usr/bin"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def make_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_programs_on_path_come_first_by_any_of_their_names(programs, tmp_path):
    expected = [[make_program(programs / "collector"), make_program(programs / "checker")]]
    expected += [[make_program(programs / "notifier")]]
    assert find_programs([COLLECTOR, NOTIFIER], tmp_path / "cache") == expected
    assert not (tmp_path / "cache").exists()


def test_where_one_is_missing_and_there_is_no_debian_the_error_says_how_to_install_it(programs, tmp_path):
    for name in ("collector", "notifier"):
        make_program(programs / name)
    with pytest.raises(ProgramsNotFound, match=r"^No Collector was found: apt install collector\.$"):
        find_programs([COLLECTOR, NOTIFIER], tmp_path / "cache")


def test_a_package_that_cannot_be_fetched_is_told_in_one_line_and_leaves_nothing(programs, tmp_path):
    make_program(programs / "apt-get", FAILING_APT)
    make_program(programs / "dpkg")
    told = r"^No Collector was found, .*\(E: Unable to locate package collector\): apt install collector\.$"
    with pytest.raises(ProgramsNotFound, match=told):
        find_programs([COLLECTOR], tmp_path / "cache", say=lambda line: None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_packages_are_fetched_together_and_used_again(programs, tmp_path, monkeypatch):
    make_program(programs / "apt-get", APT_WITH_AN_OLD_INDEX)
    make_program(programs / "dpkg", DPKG)
    monkeypatch.setenv("APT_LOG", str(tmp_path / "log"))
    cache = tmp_path / "cache"
    for _ in range(2):
        assert find_programs([COLLECTOR, NOTIFIER], cache, say=lambda line: None) == [
            [cache / "collector" / "usr" / "bin" / name for name in ("collector", "checker")],
            [cache / "debian-notifier" / "usr" / "bin" / "debian-notifier"],
        ]
    assert (tmp_path / "log").read_text() == "update\n collector debian-notifier\n"
    assert sorted(each.name for each in cache.iterdir()) == [".gitignore", "collector", "debian-notifier"]


@pytest.mark.e2e
def test_a_fetch_tells_the_size_and_leaves_nothing_when_it_is_stopped(programs, tmp_path):
    make_program(programs / "apt-get", ENDLESS_APT)
    make_program(programs / "dpkg")
    environment = {**os.environ, "APT_PID": str(tmp_path / "pid"), "PYTHONPATH": str(PACKAGE_PARENT)}
    command = [sys.executable, "-m", "local_stack.serving_programs"]
    with Child(command, cwd=tmp_path, env=environment) as process:
        process.wait_for(r"Fetching Prometheus and Alertmanager \(of Debian, 19 MB\)")
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "apt-get")
        process.terminate()
        assert process.wait_for_end() == 130
    alive = {each.pid for each in psutil.process_iter() if is_alive(each)}
    assert int((tmp_path / "pid").read_text()) not in alive
    assert list((tmp_path / ".local_stack" / "tools").iterdir()) == []


def test_programs_look_for_their_data_below_the_folder_in_which_they_run(tmp_path):
    program = tmp_path / "usr" / "bin" / "told"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\0/usr/share/told/x\0/usr/share/told\0")
    relocate(Package("told", "Told", (("told",),), "", data="/usr/share/told"), tmp_path)
    assert program.read_bytes() == b"\0usr/share/told//x\0usr/share/told/\0"
    assert root_of(program) == tmp_path
