"""clearml-serving's inference app, corrected in four places.

    uvicorn local_stack.serving_inference:app        # serving.py sets the environment variables it reads

The framework below it refuses a JSON body that is no object before any hook sees it. It repeats the body in
its answer, which fails with status 500 for what is no valid JSON itself, such as [NaN].

When `model auto-update` has switched to a new model, clearml-serving takes model and hook away from the old
one's processor, where a request may be at that moment: it fails with status 500, 'NoneType' object has no
attribute 'predict'. At 80 requests a second that was one switch in four.

A look for changes parses the service's configuration anew, in tens of milliseconds of Python that requests
wait for. That is nothing every five minutes, as by default. Every two seconds, as here, it sets the p99 of
their latency; so a text that was parsed before is not parsed again.

Bodies have no limit, and packed ones are unpacked: see serving_body_limit.py.
"""

from copy import deepcopy
from functools import lru_cache

from clearml.backend_interface.task import task as sdk_task
from clearml_serving.serving.main import app
from clearml_serving.serving.preprocess_service import BasePreprocessRequest
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from local_stack.serving_body_limit import BodyLimit

__all__ = ["app"]

app.add_middleware(BodyLimit)


@app.exception_handler(RequestValidationError)
async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse({"detail": "Invalid request: the body must be a JSON object"}, status_code=422)


def keep(processor: BasePreprocessRequest, name: str, value: object) -> None:
    """Set an attribute, but take nothing away: a request may need it, and it goes with the processor."""
    if value is not None or getattr(processor, name, None) is None:
        object.__setattr__(processor, name, value)


BasePreprocessRequest.__setattr__ = keep


parse_once = lru_cache(maxsize=32)(sdk_task.text_to_config_dict)
sdk_task.text_to_config_dict = lambda text: deepcopy(parse_once(text))
