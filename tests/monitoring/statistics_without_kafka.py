"""clearml-serving's own statistics process, fed from a file instead of from Kafka.

    python tests/monitoring/statistics_without_kafka.py messages.json 9999

The file holds {"metrics": {endpoint: {variable: {"type": "scalar" or "value", "buckets": edges}}},
"messages": [what inference sends to Kafka]}.
The messages come over and over, 500 of them a second, through the code that reads them from Kafka. Counts
are handed out between two batches: within one, some counters would know of requests that others do not, and
shares of requests would not add up.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import prometheus_client
from clearml_serving.serving.endpoints import EndpointMetricLogging
from clearml_serving.serving.model_request_processor import ModelRequestProcessor
from clearml_serving.statistics import metrics

BATCH = 50
PAUSE_SECONDS = 0.1

counting = threading.Lock()


class Service(ModelRequestProcessor):
    """The serving service's settings, from the file instead of from ClearML."""

    def __init__(self, task_id: str) -> None:
        pass

    def reload(self) -> None:
        pass

    def get_configuration(self) -> dict:
        return {}

    def list_endpoint_logging(self) -> dict[str, EndpointMetricLogging]:
        return {
            endpoint: EndpointMetricLogging(endpoint=endpoint, metrics=metrics)
            for endpoint, metrics in content["metrics"].items()
        }


class Messages:
    """What a KafkaConsumer is to the statistics: an iterator of messages that each hold a list.

    The list of one is counted when the next one is asked for.
    """

    def __init__(self, *_: object, **__: object) -> None:
        self.endless = itertools.cycle(content["messages"])
        counting.acquire()

    def __next__(self) -> SimpleNamespace:
        counting.release()
        time.sleep(PAUSE_SECONDS)
        counting.acquire()
        return SimpleNamespace(value=json.dumps(list(itertools.islice(self.endless, BATCH))).encode())


class WholeBatches:
    """What the exporter collects the counts from."""

    def collect(self) -> Iterator[prometheus_client.Metric]:
        with counting:
            return iter(list(prometheus_client.REGISTRY.collect()))


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    metrics.ModelRequestProcessor = Service
    metrics.KafkaConsumer = Messages
    prometheus_client.start_http_server(int(sys.argv[2]), addr="127.0.0.1", registry=WholeBatches())
    metrics.StatisticsController(SimpleNamespace(id="test"), kafka_server_url="", serving_id=None).start()
