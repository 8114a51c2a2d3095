"""local_stack.serving_statistics: its counters follow the configured metrics."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import prometheus_client
import pytest
from clearml_serving.serving.endpoints import EndpointMetricLogging
from clearml_serving.statistics import metrics

from local_stack.serving_statistics import Statistics

ENDPOINT = "digits/1"
VALUES = {"_url": ENDPOINT, "_count": 1, "width": 0.4, "height": 2.5}


def scalars(**edges: list[float]) -> dict[str, EndpointMetricLogging]:
    """The metrics that `metrics add` has configured for the endpoint."""
    wanted = {name: {"type": "scalar", "buckets": numbers} for name, numbers in edges.items()}
    return {ENDPOINT: EndpointMetricLogging(endpoint=ENDPOINT, metrics=wanted)}


def counted() -> dict[str, dict[str | None, float]]:
    """All counts of the endpoint, of a variable with edges by its edges."""
    found: dict[str, dict[str | None, float]] = {}
    for family in prometheus_client.REGISTRY.collect():
        for name, labels, value, *_ in family.samples:
            is_count = name.startswith("digits") and not name.endswith(("_sum", "_created"))
            if is_count and labels.get("le") != "+Inf":
                found.setdefault(family.name, {})[labels.get("le")] = value
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., object]]:
    """Return the counts after a message has come with each of the configurations, one after the other."""
    statistics = Statistics(task=None, kafka_server_url="", serving_id=None)
    statistics._sync_thread = object()  # the test takes its place

    def run(*configurations: dict[str, EndpointMetricLogging]) -> object:
        def consumer(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            for configured in configurations:
                statistics.take_up(configured)
                yield SimpleNamespace(value=json.dumps([VALUES]).encode())
            raise SystemExit

        service = SimpleNamespace(_kafka_topic="", get_configuration=dict, _config_key_kafka_stats="")
        monkeypatch.setattr(metrics, "ModelRequestProcessor", lambda **_: service)
        metrics.ModelRequestProcessor._config_key_kafka_stats = ""
        monkeypatch.setattr(metrics, "KafkaConsumer", consumer)
        with pytest.raises(SystemExit):
            statistics.start()
        return counted()

    yield run
    for counters in statistics._prometheus_metrics.values():
        for counter in counters.values():
            prometheus_client.REGISTRY.unregister(counter)


def test_new_variables_leave_the_others_counts_alone(run):
    before, after = scalars(width=[0.5, 1]), scalars(width=[0.5, 1], height=[2, 3])
    assert run(before, before, after) == {
        "digits_1:_count": {None: 3},
        "digits_1:width": {"0.5": 3, "1.0": 0},
        "digits_1:height": {"2.0": 0, "3.0": 1},
    }


def test_changed_edges_or_another_type_begin_anew(run):
    after = scalars(width=[0.2, 0.6])
    after[ENDPOINT].metrics["height"] = EndpointMetricLogging.MetricType(type="value")
    assert run(scalars(width=[0.5, 1], height=[2, 3]), after) == {
        "digits_1:_count": {None: 2},
        "digits_1:width": {"0.2": 0, "0.6": 1},
        "digits_1:height": {None: 2.5},
    }


def test_a_variable_that_was_removed_is_counted_no_longer(run):
    both = scalars(width=[0.5, 1], height=[2, 3])
    assert run(both, scalars(width=[0.5, 1])) == {
        "digits_1:_count": {None: 2},
        "digits_1:width": {"0.5": 2, "1.0": 0},
    }


def test_an_endpoint_without_metrics_keeps_its_count_of_requests_and_may_get_metrics_again(run):
    width = scalars(width=[0.5, 1])
    assert run(width, {}, {}) == {"digits_1:_count": {None: 3}}
    assert run(width) == {"digits_1:_count": {None: 4}, "digits_1:width": {"0.5": 1, "1.0": 0}}
