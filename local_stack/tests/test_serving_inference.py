"""What local_stack.serving_inference corrects in clearml-serving's inference."""

import sys

import pytest

from local_stack.processes import PACKAGE_PARENT
from local_stack.waiting import run

pytestmark = pytest.mark.e2e


def test_a_configuration_that_has_not_changed_is_not_parsed_again_and_bodies_are_limited():
    code = (
        "import sys, types, fastapi\n"
        "main = types.SimpleNamespace(app=fastapi.FastAPI())  # the real one wants a server\n"
        "sys.modules['clearml_serving.serving.main'] = main\n"
        "from clearml.backend_interface.task import task\n"
        "parsed, parse = [], task.text_to_config_dict\n"
        "task.text_to_config_dict = lambda text: parsed.append(text) or parse(text)\n"
        "import local_stack.serving_inference\n"
        "service = types.SimpleNamespace(_get_configuration_text=lambda name: name)\n"
        "def get(text): return task.Task._get_configuration_dict(service, text)\n"
        "get('a: {b: [1]}')['a'].clear()\n"
        "print(get('a: {b: [1]}') == {'a': {'b': [1]}}, get('c: 2') == {'c': 2}, len(parsed))\n"
        "print([each.cls.__name__ for each in main.app.user_middleware])"
    )
    done = run([sys.executable, "-c", code], cwd=PACKAGE_PARENT)
    assert (done.stdout, done.returncode) == ("True True 2\n['BodyLimit']\n", 0), done.stderr
