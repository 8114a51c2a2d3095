"""Run clearml-serving's inference, with all that it needs imported before it is wanted.

    python -m local_stack.serving_spare [options of uvicorn]

It begins at a line on standard input. The imports are most of the seconds that inference takes to start: a
second process that has them behind it takes over at once from one that has died. Until then it listens
nowhere, and the server does not know of it.
"""

import importlib
import multiprocessing
import sys

import uvicorn
from clearml_serving.serving.preprocess_service import BasePreprocessRequest

APP = "local_stack.serving_inference:app"
# What it imports. Not clearml_serving.serving.main, which reports to the server.
MODULES = ("clearml_serving.serving.model_request_processor", "fastapi", "grpc.aio", "kafka", "lz4.frame")


def main() -> None:
    for name in MODULES:
        importlib.import_module(name)
    BasePreprocessRequest.load_modules()  # the engines'
    if not sys.stdin.readline():  # whoever would have wanted it is gone
        return
    if sys.platform == "linux":
        # Workers take what is imported along, too. Elsewhere a fork of a process with threads may hang.
        uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]
    uvicorn.main([APP, *sys.argv[1:]])


if __name__ == "__main__":
    main()
