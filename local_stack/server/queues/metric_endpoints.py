"""The endpoint of what queues were like over time."""

from ..documents import Document
from ..measurements import CHART
from ..registry import Service
from ..store import Store
from .metrics import queue_series

service = Service()


@service.endpoint(
    "queues.get_queue_metrics", "from_date", "to_date", "interval", **CHART, queue_ids=[str], refresh=bool
)
def get_queue_metrics(store: Store, request: Document) -> Document:
    return {"queues": queue_series(store, request)}
