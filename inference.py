"""Send mock requests to a serving endpoint: real asteroids, drawn at random, as they are or drifted.

    python inference.py                                   # 20 requests a second until Ctrl-C
    python inference.py --drift --rate 50 --count 2000    # absolute magnitude and MOID doubled
    python inference.py --scenario ramp --count 5000      # drift that grows from nothing; --help has more
    python inference.py --save                            # write mock rows to data/ and send nothing

mock_data.py makes the rows. Requests leave when they are due, however long the answers take, and latency
counts from that moment: a server that stalls cannot make its figures look better by holding up the very
requests that would have measured it.
"""

import argparse
import itertools
import math
import queue
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from clearml_tools.errors import report_errors_in_one_line

import requests
from tqdm import tqdm

from asteroids.traffic import SCENARIOS, mock_rows, read_rows, write_rows
from clearml_tools.interrupts import raise_interrupts
from clearml_tools.network import LOOPBACK_HOSTS, connection_error_text
from global_config import RAW_DATASET_NAME, RAW_FILE_NAME, SERVING_ENDPOINT

DATA = Path(__file__).parent / "data"
URL = f"http://127.0.0.1:8080/serve/{quote(SERVING_ENDPOINT)}"

CLASSES = {0: "not hazardous", 1: "hazardous"}
NO_CONNECTION = "no connection"
TOO_LATE = "no answer in time"

# What to do about the commonest failures.
REMEDIES = {
    NO_CONNECTION: "`python -m local_stack up --serving` starts an endpoint here, and --url names another",
    TOO_LATE: "wait longer with --timeout, or send less with --rate",
    "status 404": "deploy it with `clearml-serving model add`, which takes some seconds to take effect, or "
    "name another with --url",
}

# If not one of so many first requests gets an answer of use, neither will the next thousand.
HOPELESS = 10
# Servers close connections that were idle for a while (uvicorn: 5 s). One that is closed at the very moment
# it is used again would look like a failure of the server.
IDLE_SECONDS = 2
PROGRESS_SECONDS = 5


@dataclass(frozen=True)
class Answer:
    """What became of a request: a class of CLASSES, or how it failed, with the details in words."""

    kind: str
    seconds: float  # from the moment it was due until the answer, or until it was given up
    details: str = ""


def ask(session: requests.Session, url: str, row: dict, timeout: float) -> tuple[str, str]:
    """Send one row; the kind of the answer, and the details if it is none of CLASSES."""
    try:
        response = session.post(url, json=row, timeout=timeout, allow_redirects=False)
    except requests.Timeout:
        return TOO_LATE, f"no answer within {timeout:g} s"
    except requests.RequestException as error:
        return NO_CONNECTION, f"no connection ({connection_error_text(error)})"
    if response.status_code != 200:
        return f"status {response.status_code}", f"status {response.status_code}, {excerpt(response.text)}"
    try:
        return CLASSES[response.json()["y"]], ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return "not understood", f"status 200, but no answer of this model: {excerpt(response.text)}"


def excerpt(text: str) -> str:
    """The beginning of a server's answer, on one line and safe to print on a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())
    return (line[:300] + "…" if len(line) > 300 else line) or "empty"


def send(
    url: str, rows: Iterable[dict], rate: float, concurrency: int = 16, timeout: float = 10
) -> Iterator[Answer]:
    """Send `rate` rows a second, `concurrency` of them at a time at most, and give the answers as they come.

    Leaving the loop over the answers ends the sending.
    """
    numbered, lock = enumerate(rows), threading.Lock()
    answers: queue.Queue[Answer | None] = queue.Queue()
    stop = threading.Event()
    sent = [0] * concurrency
    here = urlsplit(url).hostname in LOOPBACK_HOSTS
    start = time.monotonic()

    def work(worker: int) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = not here  # a proxy of the environment does not lead to this machine
                used = start
                while True:
                    with lock:
                        number, row = next(numbered, (None, None))
                    if row is None or stop.wait(max(0.0, start + number / rate - time.monotonic())):
                        break
                    if time.monotonic() - used > IDLE_SECONDS:
                        session.close()
                    sent[worker] += 1
                    kind, details = ask(session, url, row, timeout)
                    used = time.monotonic()
                    answers.put(Answer(kind, used - start - number / rate, details))
        finally:
            answers.put(None)

    for worker in range(concurrency):
        threading.Thread(target=work, args=[worker], daemon=True).start()
    working, answered = concurrency, 0
    try:
        while working:
            # `timeout` is between two bytes. Whoever sends them one by one is given up by this silence.
            answer = answers.get(timeout=2 * timeout + 1 / rate)
            if answer is None:
                working -= 1
            else:
                answered += 1
                yield answer
    except queue.Empty:
        for _ in range(sum(sent) - answered):
            yield Answer(TOO_LATE, 2 * timeout, "the answer began and did not end")
    finally:
        stop.set()


def percentiles(values: Iterable[float], ranks: Sequence[float]) -> list[float]:
    """For each rank, 0 to 100, the least of `values` that so many per cent of them do not exceed."""
    ordered = sorted(values)
    return [ordered[max(0, math.ceil(rank / 100 * len(ordered)) - 1)] for rank in ranks]


class Tally:
    """The answers so far, in numbers."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies = array("d")  # 8 bytes a request: a run may last for days
        self.details: dict[str, str] = {}  # of the first answer of each kind
        self.start = time.monotonic()

    def add(self, answer: Answer) -> None:
        self.counts[answer.kind] += 1
        self.details.setdefault(answer.kind, answer.details)
        if answer.kind != NO_CONNECTION:  # being turned away is quick, and is no answer
            self.latencies.append(answer.seconds)

    @property
    def failed(self) -> int:
        """How many requests did not get a class for an answer."""
        return self.counts.total() - sum(self.counts[name] for name in CLASSES.values())

    @property
    def hopeless(self) -> bool:
        return self.failed == self.counts.total() >= HOPELESS

    @property
    def complaint(self) -> str:
        """In words, how many requests failed, how most of them did, and what to do about it."""
        failures = {kind: n for kind, n in self.counts.items() if kind not in CLASSES.values()}
        commonest = max(failures, key=failures.get)
        text = f"{self.failed} of {self.counts.total()} requests failed: {self.details[commonest]}"
        return f"{text}; {REMEDIES[commonest]}" if commonest in REMEDIES else text

    def table(self, rate: float) -> str:
        """Answers by class and status, and percentiles of the latency; `rate` is what was asked for."""
        total = self.counts.total()
        seconds = max(time.monotonic() - self.start, total / rate)  # the last one takes up its turn as well
        lines = [
            f"{total} request{'' if total == 1 else 's'} in {seconds:.1f} s, {total / seconds:.1f} a second"
        ]
        kinds = sorted(self.counts, key=lambda kind: (kind not in CLASSES.values(), kind))
        lines += [f"  {kind:<20}{self.counts[kind]:>8}{self.counts[kind] / total:>9.1%}" for kind in kinds]
        if self.latencies:
            ranks = (50, 95, 99)
            values = zip(ranks, percentiles(self.latencies, ranks), strict=True)
            lines += ["  latency  " + "  ".join(f"p{rank} {value * 1000:.1f} ms" for rank, value in values)]
        if total > rate and total / seconds < 0.9 * rate:
            lines += [f"  slower than the {rate:g} asked for: all of --concurrency were waiting for answers"]
        return "\n".join(lines)


def download_table() -> Path:
    """The table in the newest version of the raw dataset in ClearML, as a local file."""
    # Here, as ClearML takes a second to import, and requests alone do not need it.
    from clearml_tools.connection import connect
    from clearml_tools.datasets import get_dataset, local_copy

    connect()
    dataset = get_dataset(RAW_DATASET_NAME, None, made_by="get_data.py")
    return local_copy(dataset) / RAW_FILE_NAME


def show_progress(answers: Iterable[Answer], tally: Tally, count: int | None) -> None:
    """Count answers until they end or are hopeless, and show how far it is: by a bar, or by lines."""
    bar = tqdm(total=count, unit=" requests", disable=not sys.stderr.isatty())
    told = time.monotonic()
    with bar:
        for answer in answers:
            tally.add(answer)
            bar.set_postfix(failed=tally.failed, refresh=False)
            bar.update()
            if bar.disable and time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                total = f"{tally.counts.total()} of {count}" if count else tally.counts.total()
                print(f"{total} requests answered, {tally.failed} failed", file=sys.stderr, flush=True)
            if tally.hopeless:
                break


def number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """An argparse type: a number of this kind in this range, both ends included."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "no whole number" if kind is int else "no number"
            raise argparse.ArgumentTypeError(f"'{text}' is {what} from {least:,} to {most:,}")
        return value

    return parse


def http_address(text: str) -> str:
    """An argparse type: an address that can be posted to."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an impossible port, say
        right = False
    if not right:
        raise argparse.ArgumentTypeError(f"'{text}' is no address such as {URL}")
    return text


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="\n".join(["scenarios:", *(f"  {key:<11}{each.summary}" for key, each in SCENARIOS.items())]),
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
        "--drift", dest="scenario", action="store_const", const="drift", help="the same as --scenario drift"
    )
    source, name = parser.add_mutually_exclusive_group(), RAW_DATASET_NAME.replace("%", "%%")
    source.add_argument("--dataset", action="store_true", help=f"draw from {name} in ClearML")
    source.add_argument(
        "--csv",
        type=Path,
        default=DATA / "nasa.csv",
        help="draw from this table, CSV (or .csv.gz) or Parquet (data/nasa.csv)",
    )
    add("--save", action="store_true", help="write data/synthetic.csv and synthetic_drift.csv, send nothing")
    return parser.parse_args()


def main() -> int:
    report_errors_in_one_line()
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # it tells at once what it sends, through a pipe as well
    rate, count = arguments.rate, arguments.count
    table = read_rows(download_table() if arguments.dataset else arguments.csv)
    scenario = SCENARIOS[arguments.scenario]

    if arguments.save:
        drifted = SCENARIOS["drift"] if arguments.scenario == "normal" else scenario
        for name, each in {"synthetic.csv": SCENARIOS["normal"], "synthetic_drift.csv": drifted}.items():
            length = count or 1000
            write_rows(itertools.islice(mock_rows(table, each, arguments.seed, length), length), DATA / name)
            print(f"{DATA / name}: {length} rows, {each.summary}")
        return 0

    ramp_rows = count or math.ceil(3600 * rate)
    rows = itertools.islice(mock_rows(table, scenario, arguments.seed, ramp_rows), count)
    tally, interrupted = Tally(), False
    print(f"{arguments.url}: {scenario.summary}, {rate:g} a second{'' if count else ', until Ctrl-C'}")
    raise_interrupts()
    try:
        answers = send(arguments.url, rows, rate, arguments.concurrency, arguments.timeout)
        show_progress(answers, tally, count)
    except KeyboardInterrupt:
        interrupted = True
    if tally.counts:
        print(tally.table(rate))
    if tally.failed:
        if tally.hopeless and tally.counts.total() != count and not interrupted:
            print("  given up: none of them got an answer of use")
        print(f"inference.py: error: {tally.complaint}", file=sys.stderr)
        return 1
    return 130 if interrupted and count else 0


if __name__ == "__main__":
    sys.exit(main())
