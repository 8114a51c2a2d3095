"""clearml-serving's statistics process, corrected in three places.

    python -m local_stack.serving_statistics        # serving.py sets the environment variables it reads

It offers its page of counts to the whole network, with no setting against it. It does not end by SIGTERM: the
ClearML SDK loses the signal if nothing else handles it.

What it has once counted, it counts in the same buckets until its end, though `metrics add` has changed them,
or `metrics remove` has taken the variable away. A restart would lose requests: it has no consumer group, so
Kafka does not keep its place, and what is sent until it reads again is never counted. Here one such counter
begins anew, or ends, and the process goes on.
"""

import signal
import sys
from copy import deepcopy
from functools import partial
from time import time
from typing import Any

import prometheus_client
from clearml_serving.serving.endpoints import EndpointMetricLogging
from clearml_serving.statistics import main as process
from clearml_serving.statistics.metrics import StatisticsController

from .loopback import HOST


class Statistics(StatisticsController):
    """Counters that follow the configured metrics. One thread counts, another looks for changes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._made_for: dict[tuple[str, str], EndpointMetricLogging.MetricType] = {}

    def _create_prometheus_logger_class(
        self, url: str, variable_name: str, endpoint_config: EndpointMetricLogging
    ) -> Any:
        """Return a new counter, and note what it was made for; None for what nobody wants counted."""
        counter = super()._create_prometheus_logger_class(url, variable_name, endpoint_config)
        if counter and variable_name not in self._reserved:
            self._made_for[url, variable_name] = endpoint_config.metrics[variable_name]
        return counter

    def _sync_daemon(self) -> None:
        while True:
            try:
                self._serving_service.reload()
                self.take_up(self._serving_service.list_endpoint_logging())
            except Exception as error:  # the server may be back the next time
                print(f"Warning: the configured metrics cannot be read: {error}", flush=True)
            self._last_sync_time = time()
            self._sync_event.wait(timeout=self._poll_frequency_min * 60)
            self._sync_event.clear()

    def take_up(self, configured: dict[str, EndpointMetricLogging]) -> None:
        """Count what is configured now; counters that were made for something else begin anew, or end."""
        for url in set(self._current_endpoints) - self._auto_added_endpoints - configured.keys():
            del self._current_endpoints[url]
        self._auto_added_endpoints -= configured.keys()
        self._current_endpoints.update(deepcopy(configured))
        for (url, variable), made_for in list(self._made_for.items()):
            wanted = configured[url].metrics.get(variable) if url in configured else None
            counter = self._prometheus_metrics.get(url, {}).get(variable)
            if wanted == made_for or not counter:
                continue
            print(f"{url}: {variable} is {'counted anew' if wanted else 'no longer counted'}", flush=True)
            # In this order: the other thread makes a new one once it does not find the old one.
            del self._made_for[url, variable]
            prometheus_client.REGISTRY.unregister(counter)
            del self._prometheus_metrics[url][variable]


if __name__ == "__main__":
    prometheus_client.start_http_server = partial(prometheus_client.start_http_server, addr=HOST)
    process.StatisticsController = Statistics
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    process.main()
