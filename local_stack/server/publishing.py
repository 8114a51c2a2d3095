"""Publishing a model, together with the task that made it where that is asked for."""

from .models.endpoints import publish, required_model
from .registry import each, endpoint
from .store import Store
from .tasks import status_endpoints as lifecycle


@endpoint("models.set_ready", "model")
def set_ready(store: Store, request: dict) -> dict:
    model = required_model(store, request["model"])
    publish(store, model["id"])
    answer: dict = {"updated": 1}
    task = store.get("task", model.get("task"))
    if request.get("publish_task") and task and task["status"] != "published":
        force = request.get("force_publish_task")
        published = lifecycle.publish(store, {"task": task["id"], "force": force})
        data = {"updated": published["updated"], "fields": published["fields"]}
        answer["published_task"] = {"id": task["id"], "data": data}
    return answer


@endpoint("models.publish_many", "ids")
def publish_many(store: Store, request: dict) -> dict:
    def act(model_id: str) -> dict:
        options = {"publish_task": request.get("publish_tasks"), **request}
        answer = set_ready(store, {**options, "model": model_id})
        return {**answer, "updated": bool(answer["updated"])}

    return each(store, request, act)
