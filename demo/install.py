"""Install packages into the environment whose Python runs this: by uv, which is fast, else by pip.

    .venv/bin/python -m demo.install -c constraints.txt -r requirements.txt

The options are pip's own. uv is taken from PATH, or pip fetches it. uv reads none of pip's settings, so it
gets pip's index from here. If uv fails, pip installs. An installation that was stopped is done again.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from demo.pulse import Pulse

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = sys.argv[1:]
    # An installer that was stopped may leave a package that looks whole and is not.
    unfinished = Path(sys.prefix, "unfinished-installation")
    again = unfinished.exists()
    unfinished.touch()
    try:
        code = install(options, again)
    except KeyboardInterrupt:
        print("\nStopped. The same command again goes on from here.", file=sys.stderr)
        return 130
    if code == 0:
        unfinished.unlink()
    return code


def install(options: list[str], again: bool) -> int:
    files = [file for option, file in pairwise(options) if option == "-r"]
    say(f"Installing the packages of {' and '.join(files)}: the first time half a minute to some minutes")
    if uv := find_uv():
        use_pips_index()
        # Without compiled modules every start of Python would take twice as long.
        command = [uv, "pip", "install", "--compile-bytecode", "--python", sys.executable, *options]
        if run([*command, *(["--reinstall"] if again else [])], "uv is installing") == 0:
            return 0
        say(
            "uv could not install them, as it says above: trying pip, which takes longer and checks no hashes"
        )
    else:
        say("uv could not be fetched: pip installs, which takes longer and checks no hashes")
    with tempfile.TemporaryDirectory() as folder:
        options = [without_hashes(option, Path(folder)) for option in options]
        command = [*PIP, "install", *options, *(["--force-reinstall"] if again else [])]
        return run(command, "pip is installing")


def without_hashes(option: str, folder: Path) -> str:
    """Return a copy of a file that has hashes, without them. Pip does not take them in constraints."""
    if not Path(option).is_file() or "--hash=" not in (text := Path(option).read_text()):
        return option
    copy = folder / Path(option).name
    copy.write_text(re.sub(r" \\\n +--hash=\S+", "", text))
    return str(copy)


def find_uv() -> str | None:
    """Path of uv from PATH or from this environment, where pip installs it if need be; None without."""
    own = str(Path(sys.executable).with_name("uv"))
    found = shutil.which("uv") or shutil.which(own)
    if found:
        return found
    say("Fetching uv, the installer")
    return own if run([*PIP, "install", "--quiet", "uv"], "pip is fetching uv") == 0 else None


def use_pips_index() -> None:
    """Let uv ask the package index that pip is set to, which may be a company's own."""
    command = [*PIP, "config", "get", "global.index-url"]
    asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    index = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    if index:
        os.environ.setdefault("UV_DEFAULT_INDEX", index)


def run(command: list[str], doing: str) -> int:
    """Run an installer to its end, showing its lines as they come, and that it goes on where none come."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        with Pulse(say, doing) as pulse:
            for line in process.stdout or ():  # which is a pipe
                if not line.startswith((" + ", " - ", " ~ ", "Requirement already satisfied")):
                    say(f"    {line.rstrip()}")
                    pulse.printed()
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
