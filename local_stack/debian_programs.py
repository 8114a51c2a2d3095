"""Programs that Python does not bring: from PATH, or from the packages of Debian or Ubuntu.

A package is unpacked into a cache. This needs no root, installs nothing and starts no service.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import ProgramsNotFound
from .settings import default_home

# Fetch only the lists that are needed, and give up early on a mirror that does not answer: the defaults are
# four attempts of a minute each.
APT_GET = [
    "apt-get",
    *("-o", "Acquire::Languages=none"),
    *("-o", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"),
    *("-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"),
    *("-o", "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false"),
    *("-o", "Acquire::Retries=1"),
    *("-o", "Acquire::http::Timeout=10"),
    *("-o", "Acquire::https::Timeout=10"),
]


class Package(NamedTuple):
    """A package of Debian, and the programs in it.

    A program may have several names: any of them is looked for on PATH, and the first one is the package's.
    """

    name: str
    title: str
    programs: tuple[tuple[str, ...], ...]
    install: str  # what a person could do instead of fetching it
    data: str = ""  # a folder that its programs read, "/…": see `relocate`


def find_programs(
    packages: Sequence[Package], cache: Path | None = None, say: Callable[[str], object] = print
) -> list[list[Path]]:
    """Return each package's programs: those on PATH, else those of Debian's package, fetched the first time.

    It is unpacked into `cache`, by default a folder that all stacks of the current folder's project share.
    `say` is called with what is fetched and how large it is. ProgramsNotFound if there are none.
    """
    cache = (cache or default_home() / "tools").resolve()
    found = [find_on_path(package) for package in packages]
    missing = [
        package
        for package, programs in zip(packages, found, strict=True)
        if not programs and not (cache / package.name).exists()
    ]
    if missing:
        fetch(missing, cache, say)
    return [
        programs or [cache / package.name / "usr" / "bin" / names[0] for names in package.programs]
        for package, programs in zip(packages, found, strict=True)
    ]


def find_on_path(package: Package) -> list[Path]:
    """Return all programs of a package, in order; none if one of them is not on PATH."""
    found = [next(filter(None, map(shutil.which, names)), None) for names in package.programs]
    return [Path(program) for program in found if program] if all(found) else []


def fetch(packages: Sequence[Package], cache: Path, say: Callable[[str], object]) -> None:
    """Unpack Debian's packages into the cache; ProgramsNotFound, with the remedy, if that fails."""
    titles = titles_of(packages)
    remedy = "; ".join(package.install for package in packages)
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ProgramsNotFound(f"No {titles} was found: {remedy}.")
    try:
        unpack_packages(packages, cache, say)
    except subprocess.CalledProcessError as error:
        reason = (error.stdout.strip().splitlines() or ["no reason given"])[-1]
        raise ProgramsNotFound(
            f"No {titles} was found, and Debian's package cannot be fetched ({reason}): {remedy}."
        ) from error
    except OSError as error:
        raise ProgramsNotFound(
            f"Debian's package of {titles} cannot be unpacked into {cache} ({error.strerror}): "
            f"correct that, or {remedy}."
        ) from error


def titles_of(packages: Sequence[Package]) -> str:
    return " and ".join(package.title for package in packages)


def unpack_packages(packages: Sequence[Package], cache: Path, say: Callable[[str], object]) -> None:
    """Unpack Debian's packages into folders of the cache, each of which appears whole or not at all."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as work:
        download(packages, Path(work), say)
        (cache / ".gitignore").write_text("*\n")  # a stack's home may be elsewhere
        for package in packages:
            (archive,) = Path(work).glob(f"{package.name}_*.deb")
            unpacked, folder = Path(work, package.name), cache / package.name
            run(["dpkg", "-x", str(archive), str(unpacked)], work)
            relocate(package, unpacked)
            try:
                unpacked.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise


def relocate(package: Package, unpacked: Path) -> None:
    """Let unpacked programs look for their data folder below the folder in which they run.

    Debian compiles its path, which only root could make, into the programs. One that is as long takes its
    place there: the same, but without the "/" at its beginning.
    """
    if package.data:
        for names in package.programs:
            program = unpacked / "usr" / "bin" / names[0]
            absolute, relative = package.data.encode(), f"{package.data[1:]}/".encode()
            program.write_bytes(program.read_bytes().replace(absolute, relative))


def root_of(program: Path) -> Path:
    """Return the folder in which a program runs so that it finds its data: where usr/ is, if it is in it."""
    return Path(*program.absolute().parts[:-3]) if len(program.parts) > 3 else program.absolute().parent


def download(packages: Sequence[Package], work: Path, say: Callable[[str], object]) -> None:
    """Download the packages' files into a folder; CalledProcessError if that fails."""
    titles, names = titles_of(packages), [package.name for package in packages]

    def download_by(apt_get: list[str]) -> None:
        listed = run([*apt_get, "--print-uris", "download", *names], work)
        sizes = re.findall(r"^'.+' \S+ (\d+) ", listed, re.MULTILINE)  # 'URI' file bytes hash
        size = f", {sum(map(int, sizes)) / 1e6:.0f} MB" if sizes else ""
        where = os.path.relpath(work.parent)
        say(f"Fetching {titles} (of Debian{size}) into {where}, this once")
        run([*apt_get, "download", *names], work)

    try:
        download_by(APT_GET)
    except subprocess.CalledProcessError:
        # The system's lists of packages may be empty or old, and only root may fetch new ones: fetch
        # them into a folder of our own.
        say(f"Fetching the lists of Debian's packages, to fetch {titles}: some 10 to 30 MB")
        apt_get = [*APT_GET, *own_lists(work / "apt")]
        run([*apt_get, "update"], work)
        download_by(apt_get)


def run(command: list[str], folder: str | Path) -> str:
    """Return what a command prints; CalledProcessError if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def own_lists(folder: Path) -> list[str]:
    """Return options with which apt-get keeps its lists of packages in this folder, and needs no root."""
    lists, cache = folder / "lists", folder / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
