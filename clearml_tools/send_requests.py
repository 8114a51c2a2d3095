"""Send requests to an endpoint of clearml-serving at a steady rate, and sum up the answers.

Requests leave when they are due, however long the answers take, and latency counts from that moment. So a
server that stalls cannot improve its figures by delaying the requests that would have measured it.
"""

import queue
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests

from clearml_tools.network import LOOPBACK_HOSTS, connection_error_text
from global_config import CLASS_NAMES

CLASSES = dict(enumerate(CLASS_NAMES))  # by the `y` of an answer
NO_CONNECTION = "no connection"
TOO_LATE = "no answer in time"

# What to do about the most common failures.
REMEDIES = {
    NO_CONNECTION: "`python -m local_stack up --serving` starts an endpoint here, and --url names another",
    TOO_LATE: "wait longer with --timeout, or send less with --rate",
    "status 404": "deploy it with `clearml-serving model add`, which takes some seconds to take effect, or "
    "name another with --url",
}

# If all of so many first requests fail, the next ones will, too.
FAILURES_TO_GIVE_UP = 10
# Servers close connections that were idle for a while (uvicorn: 5 s). One that is closed at the very moment
# it is used again would look like a failure of the server.
IDLE_SECONDS = 2


@dataclass(frozen=True)
class Result:
    """The result of a request: a name of CLASSES or how it failed, with the details as a text."""

    kind: str
    seconds: float  # from the moment it was due until its answer came or it failed
    details: str = ""


def post_row(session: requests.Session, url: str, row: dict[str, Any], timeout: float) -> tuple[str, str]:
    """Send one row; return the kind of its result, and the details if it is none of CLASSES."""
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
    """Return the beginning of a server's answer, on one line and safe to print on a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())
    return (line[:300] + "…" if len(line) > 300 else line) or "empty"


def send(
    url: str, rows: Iterable[dict[str, Any]], rate: float, concurrency: int = 16, timeout: float = 10
) -> Iterator[Result]:
    """Send `rate` rows a second, at most `concurrency` of them at a time, and yield the results as they come.

    Leaving the loop over the results ends the sending.
    """
    numbered, lock = enumerate(rows), threading.Lock()
    results: queue.Queue[Result | None] = queue.Queue()
    stop = threading.Event()
    sent = [0] * concurrency
    is_local = urlsplit(url).hostname in LOOPBACK_HOSTS
    start = time.monotonic()

    def work(worker: int) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = not is_local  # a proxy of the environment does not lead to this machine
                used = start
                while True:
                    with lock:
                        number, row = next(numbered, (0, None))
                    due = start + number / rate
                    if row is None or stop.wait(max(0.0, due - time.monotonic())):
                        break
                    if time.monotonic() - used > IDLE_SECONDS:
                        session.close()
                    sent[worker] += 1
                    kind, details = post_row(session, url, row, timeout)
                    used = time.monotonic()
                    results.put(Result(kind, used - due, details))
        finally:
            results.put(None)

    for worker in range(concurrency):
        threading.Thread(target=work, args=[worker], daemon=True).start()
    working, received = concurrency, 0
    try:
        while working:
            # `timeout` is the longest pause between two bytes. A server that sends them one by one is given
            # up after this time.
            result = results.get(timeout=2 * timeout + 1 / rate)
            if result is None:
                working -= 1
            else:
                received += 1
                yield result
    except queue.Empty:
        for _ in range(sum(sent) - received):
            yield Result(TOO_LATE, 2 * timeout, "the answer began and did not end")
    finally:
        stop.set()


class Tally:
    """Counts and latencies of the results so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies = array("d")  # 8 bytes a request: a run may last for days
        self.details: dict[str, str] = {}  # of the first result of each kind
        self.start = time.monotonic()

    def add(self, result: Result) -> None:
        self.counts[result.kind] += 1
        self.details.setdefault(result.kind, result.details)
        if result.kind != NO_CONNECTION:  # a refused connection is quick, and no answer
            self.latencies.append(result.seconds)

    @property
    def failed(self) -> int:
        """Return how many requests did not get a class as their answer."""
        return self.counts.total() - sum(self.counts[name] for name in CLASSES.values())

    @property
    def is_hopeless(self) -> bool:
        """Return whether all of the first requests failed."""
        return self.failed == self.counts.total() >= FAILURES_TO_GIVE_UP

    @property
    def failure_text(self) -> str:
        """Return how many requests failed, how most of them did, and what to do about it."""
        failures = Counter({kind: n for kind, n in self.counts.items() if kind not in CLASSES.values()})
        ((most_common, _),) = failures.most_common(1)
        text = f"{self.failed} of {self.counts.total()} requests failed: {self.details[most_common]}"
        return f"{text}; {REMEDIES[most_common]}" if most_common in REMEDIES else text

    def table(self, rate: float) -> str:
        """Return the results by class and status, and percentiles of the latency, as lines of text.

        `rate` is the rate that was asked for.
        """
        total = self.counts.total()
        seconds = max(time.monotonic() - self.start, total / rate)  # the last one has its full turn, too
        lines = [
            f"{total} request{'' if total == 1 else 's'} in {seconds:.1f} s, {total / seconds:.1f} a second"
        ]
        kinds = sorted(self.counts, key=lambda kind: (kind not in CLASSES.values(), kind))
        lines += [f"  {kind:<20}{self.counts[kind]:>8}{self.counts[kind] / total:>9.1%}" for kind in kinds]
        if self.latencies:
            ranks = (50, 95, 99)
            # For each rank, the smallest value that so many per cent of them do not exceed.
            found = np.percentile(self.latencies, ranks, method="inverted_cdf")
            values = zip(ranks, found, strict=True)
            lines += ["  latency  " + "  ".join(f"p{rank} {value * 1000:.1f} ms" for rank, value in values)]
        if total > rate and total / seconds < 0.9 * rate:
            lines += [f"  slower than the {rate:g} asked for: all of --concurrency were waiting for answers"]
        return "\n".join(lines)
