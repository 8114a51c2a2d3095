"""clearml-serving's inference app, with an answer of its own to JSON that is no object.

    uvicorn local_stack.serving_inference:app        # serving.py sets the environment variables it reads

The framework below clearml-serving refuses such a body before any hook sees it. It repeats the body in its
answer, which fails with status 500 for what is no valid JSON itself, such as [NaN].
"""

from clearml_serving.serving.main import app
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

__all__ = ["app"]


@app.exception_handler(RequestValidationError)
async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse({"detail": "Invalid request: the body must be a JSON object"}, status_code=422)
