"""Run the model's whole life on a fresh local ClearML, then stop it.

python -m demo [--keep]
"""

from local_stack.interrupts import ignore_signals, take_signals

if __name__ == "__main__":
    # Whatever ends this process ends it the same way, so that what it started is stopped. The imports below
    # take a while: this comes first.
    take_signals()

import argparse
import sys
from pathlib import Path

from demo.life import run_demo
from local_stack.__main__ import run_in_terminal


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--home",
        type=Path,
        help="folder to start fresh in; its content is deleted (default: one below .local_stack)",
    )
    parser.add_argument("--keep", action="store_true", help="let all of it go on until Ctrl-C, to look at")
    options = parser.parse_args(arguments)
    return run_in_terminal(lambda: run_demo(options.home, options.keep))


if __name__ == "__main__":
    code = main()
    ignore_signals()  # nothing is left to be stopped
    sys.exit(code)
