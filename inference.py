"""Send mock requests to a serving endpoint: real rows, drawn at random, as they are or drifted.

    python inference.py                                   # 20 requests a second until Ctrl-C
    python inference.py --drift --rate 50 --count 2000    # absolute magnitude and MOID doubled
    python inference.py --scenario ramp --count 5000      # drift that grows from nothing; --help has more
    python inference.py --save                            # write mock rows to data/ and send nothing

asteroids/traffic.py makes the rows, and clearml_tools/send_requests.py sends them.
"""

import argparse
import io
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from clearml_tools.errors import report_errors_in_one_line

from tqdm import tqdm

from asteroids.configuration import check_configuration
from asteroids.traffic import MAJOR_DRIFT, SCENARIOS, Row, mock_rows, read_rows, write_rows
from clearml_tools.interrupts import raise_interrupts
from clearml_tools.network import is_http_address
from clearml_tools.send_requests import Result, Tally, send
from global_config import RAW_DATASET_NAME, RAW_FILE_NAME, SERVING_ENDPOINT

DATA = Path(__file__).parent / "data"
URL = f"http://127.0.0.1:8080/serve/{quote(SERVING_ENDPOINT)}"

PROGRESS_SECONDS = 5


def download_table() -> Path:
    """Return the table in the newest version of the raw dataset in ClearML, as a local file."""
    # Here, as ClearML and pandas take seconds to import, and requests alone do not need them.
    from asteroids.table_files import find_table
    from clearml_tools.connection import connect
    from clearml_tools.datasets import get_dataset, local_copy

    connect()
    dataset = get_dataset(RAW_DATASET_NAME, None, made_by="get_data.py")
    return find_table(local_copy(dataset), RAW_FILE_NAME)


def show_progress(results: Iterable[Result], tally: Tally, count: int | None) -> None:
    """Count results until they end or are hopeless, and show the progress as a bar or as lines."""
    bar = tqdm(total=count, unit=" requests", disable=not sys.stderr.isatty())
    shown = time.monotonic()
    with bar:
        for result in results:
            tally.add(result)
            bar.set_postfix(failed=tally.failed, refresh=False)
            bar.update()
            if bar.disable and time.monotonic() - shown >= PROGRESS_SECONDS:
                shown = time.monotonic()
                total = f"{tally.counts.total()} of {count}" if count else tally.counts.total()
                print(f"{total} requests answered, {tally.failed} failed", file=sys.stderr, flush=True)
            if tally.is_hopeless:
                break


def number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Return an argparse type: a number of this kind in this range, both ends included."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"'{text}' is not {what} from {least:,} to {most:,}")
        return value

    return parse


def http_address(text: str) -> str:
    """Return the text if requests can be sent to it: an argparse type."""
    if not is_http_address(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not an address such as {URL}")
    return text


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="\n".join(["scenarios:", *(f"  {key:<10} {each.summary}" for key, each in SCENARIOS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", type=http_address, default=URL, help="the endpoint (%(default)s)")
    add("--rate", type=number(float, 0.001, 100_000), default=20, help="requests a second (%(default)s)")
    add("--count", type=number(int, 1, 10**12), help="requests in all (until Ctrl-C)")
    at_once, seconds = number(int, 1, 1000), number(float, 0.001, 3600)
    add("--concurrency", type=at_once, default=16, help="requests under way at most (%(default)s)")
    add("--timeout", type=seconds, default=10, help="seconds to wait for an answer (%(default)s)")
    add("--seed", type=int, default=42, help="draws other rows (%(default)s)")
    traffic = parser.add_mutually_exclusive_group()
    traffic.add_argument("--scenario", choices=SCENARIOS, default="normal", help="how rows differ, see below")
    traffic.add_argument(
        "--drift",
        dest="scenario",
        action="store_const",
        const=MAJOR_DRIFT,
        help=f"the same as --scenario {MAJOR_DRIFT}".replace("%", "%%"),
    )
    source, name = parser.add_mutually_exclusive_group(), RAW_DATASET_NAME.replace("%", "%%")
    source.add_argument("--dataset", action="store_true", help=f"draw from {name} in ClearML")
    source.add_argument(
        "--csv",
        type=Path,
        default=DATA / RAW_FILE_NAME,
        help="draw from this table, CSV (or .csv.gz) or Parquet (the one in data/)",
    )
    add("--save", action="store_true", help="write data/synthetic.csv and synthetic_drift.csv, send nothing")
    return parser.parse_args()


def save_rows(table: list[Row], scenario: str, seed: int, count: int) -> None:
    """Write mock rows to data/: normal ones, and drifted ones."""
    drifted = MAJOR_DRIFT if scenario == "normal" else scenario
    for file_name, name in {"synthetic.csv": "normal", "synthetic_drift.csv": drifted}.items():
        rows = mock_rows(table, SCENARIOS[name], seed, count)
        write_rows(itertools.islice(rows, count), DATA / file_name)
        print(f"{DATA / file_name}: {count} rows, {SCENARIOS[name].summary}")


def main() -> int:
    report_errors_in_one_line()
    arguments = parse_arguments()
    check_configuration()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what it sends is shown at once, through a pipe as well
    rate, count, seed = arguments.rate, arguments.count, arguments.seed
    table = read_rows(download_table() if arguments.dataset else arguments.csv)
    if arguments.save:
        save_rows(table, arguments.scenario, seed, count or 1000)
        return 0

    scenario = SCENARIOS[arguments.scenario]
    rows = itertools.islice(mock_rows(table, scenario, seed, count or math.ceil(3600 * rate)), count)
    tally, interrupted = Tally(), False
    print(f"{arguments.url}: {scenario.summary}, {rate:g} a second{'' if count else ', until Ctrl-C'}")
    raise_interrupts()
    try:
        results = send(arguments.url, rows, rate, arguments.concurrency, arguments.timeout)
        show_progress(results, tally, count)
    except KeyboardInterrupt:
        interrupted = True
    if tally.counts:
        print(tally.table(rate))
    if tally.failed:
        if tally.is_hopeless and tally.counts.total() != count and not interrupted:
            print("  given up: all of the first requests failed")
        print(f"inference.py: error: {tally.failure_text}", file=sys.stderr)
        return 1
    return 130 if interrupted and count else 0


if __name__ == "__main__":
    sys.exit(main())
