"""How fast serving is: the hook alone, and requests over HTTP. Takes five minutes.

    python -m tests.benchmark_serving

Clients, clearml-serving, its metrics and the local stack share this machine's cores. Latency is measured by
turns on two inference services: one looks for changes as often as the local stack has it, the other as seldom
as clearml-serving does by itself.
"""

import argparse
import http.client
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

# Before xgboost is imported: threads gain nothing for one row, and the hook with pandas shall not suffer.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import xgboost

from local_stack.serving import SYNC_SECONDS, accepts, take_port
from local_stack.waiting import Child, wait_until
from preprocess_serving import FEATURES, Preprocess
from tests.support.checkouts import REPOSITORY
from tests.support.deployment import Deployment, deploy, table_rows, up

RATE = 50  # requests a second
SECONDS = 15
ROUNDS = 3  # of so many seconds each, for latency
CLIENTS = 8

SELDOM = 5  # minutes: clearml-serving's own CLEARML_SERVING_POLL_FREQ


def pandas_preprocess(body: dict) -> xgboost.DMatrix:
    """What the reference example's hook does, in this project's words: a DataFrame of one row."""
    row = pd.DataFrame([body])
    row["avg_dia"] = row[["Est Dia in KM(min)", "Est Dia in KM(max)"]].mean(axis=1)
    return xgboost.DMatrix(row[FEATURES].astype(float))


def microseconds(function: Callable[[dict], object], rows: list[dict]) -> np.ndarray:
    """How long each call takes."""
    took = []
    for row in rows:
        began = time.perf_counter()
        function(row)
        took.append((time.perf_counter() - began) * 1e6)
    return np.array(took)


def benchmark_hook(model_file: Path, rows: list[dict]) -> None:
    hook = Preprocess()
    model = hook.load(str(model_file))
    booster = xgboost.Booster({"nthread": 1}, model_file=model_file)
    cases = {
        "preprocess": lambda row: hook.preprocess(row, {}),
        "preprocess with pandas": pandas_preprocess,
        "whole request": lambda row: hook.postprocess(model.predict(hook.preprocess(row, {})), {}),
        "whole request with pandas": lambda row: booster.predict(pandas_preprocess(row)),
    }
    medians = {}
    for name, function in cases.items():
        took = microseconds(function, rows)
        medians[name] = np.median(took)
        print(f"hook, {name:<28} {medians[name]:7.0f} µs (p99 {np.quantile(took, 0.99):.0f})")
    for name in ("preprocess", "whole request"):
        print(f"hook, {name}: {medians[f'{name} with pandas'] / medians[name]:.0f} times faster")


class Client:
    """A connection that is kept open, as services keep it to each other."""

    def __init__(self, deployment: Deployment) -> None:
        self.address = urlsplit(deployment.url)
        self.connection = http.client.HTTPConnection(self.address.netloc, timeout=30)

    def post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST", f"{self.address.path}/asteroid", body, headers)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 200


@contextmanager
def beside(deployment: Deployment) -> Iterator[Deployment]:
    """Inference once more, on a port of its own, that looks for changes every `SELDOM` minutes."""
    inference, port = deployment.inference(), take_port()
    command = inference.cmdline()
    command[command.index("--port") + 1] = str(port)
    environment = {**inference.environ(), "CLEARML_SERVING_POLL_FREQ": str(SELDOM)}
    with Child(command, env=environment, cwd=REPOSITORY, stdin=subprocess.PIPE) as process:
        print(file=process.stdin, flush=True)  # the line that it begins at
        try:
            wait_until(lambda: accepts(port), "inference", process.output)
            yield replace(deployment, process=process, url=f"http://127.0.0.1:{port}/serve")
        finally:
            process.terminate()
            process.wait_for_end()


def print_latencies(services: dict[str, Deployment], bodies: list[bytes], what: str) -> None:
    """Measure them by turns, as this machine may have more to do at one time than at another."""
    rounds = [
        {name: latencies_at_rate(service, bodies) for name, service in services.items()}
        for _ in range(ROUNDS)
    ]
    for name in services:
        took = np.concatenate([each[name] for each in rounds])
        p50, p99 = np.quantile(took, [0.5, 0.99])
        print(f"{what}, {RATE} requests/s, changes looked for {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def latencies_at_rate(deployment: Deployment, bodies: list[bytes]) -> np.ndarray:
    """Milliseconds from the time that each request was due; a late one is not the client's to forgive."""
    clients = [Client(deployment) for _ in range(CLIENTS)]
    begin = time.perf_counter() + 0.1

    def send(number: int) -> list[float]:
        took = []
        for request in range(number, RATE * SECONDS, CLIENTS):
            due = begin + request / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            clients[number].post(bodies[request % len(bodies)])
            took.append((time.perf_counter() - due) * 1000)
        return took

    with ThreadPoolExecutor(CLIENTS) as pool:
        return np.concatenate(list(pool.map(send, range(CLIENTS))))


def requests_a_second(deployment: Deployment, bodies: list[bytes]) -> float:
    """What clients get who each send the next request when the last one is answered."""
    end = time.perf_counter() + SECONDS

    def send(number: int) -> int:
        client, sent = Client(deployment), 0
        while time.perf_counter() < end:
            client.post(bodies[(number + sent) % len(bodies)])
            sent += 1
        return sent

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(send, range(CLIENTS))) / SECONDS


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()  # --help alone
    rows = table_rows()[:1000]
    bodies = [json.dumps(row).encode() for row in rows]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, xgboost {xgboost.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        for workers in (1, 2):
            with up(home, "--workers", str(workers)) as deployment:
                if workers == 1:
                    deploy(deployment)
                    benchmark_hook(next(iter(deployment.model_files.values())), rows)
                with beside(deployment) as other:
                    services = {f"every {SYNC_SECONDS} s": deployment, f"every {SELDOM} min": other}
                    for service in services.values():
                        for _ in range(20 * workers):  # every worker loads the model with its first request
                            Client(service).post(bodies[0])
                    print_latencies(services, bodies, f"HTTP, {workers} worker(s)")
                throughput = requests_a_second(deployment, bodies)
                print(
                    f"HTTP, {workers} worker(s), {CLIENTS} clients: {throughput:.0f} requests/s", flush=True
                )


if __name__ == "__main__":
    main()
