"""local_stack.endpoint_names: a warning, once, of endpoints that cannot be told apart."""

from types import SimpleNamespace

from clearml.utilities.config import config_dict_to_text

from local_stack.endpoint_names import NameClashes


def test_each_clash_of_two_endpoints_is_one_line_and_others_are_none(api, capsys):
    service = api.new("task", name="serving", type="service")
    endpoints: dict[str, dict[str, str]] = {}
    monitoring = {"letters_new": {"base_serving_url": "letters_new", "monitor_name": "letters"}}
    clashes = NameClashes(SimpleNamespace(service_id=service, stack=SimpleNamespace(call=api)))

    def add(*urls: str) -> str:
        endpoints.update({url: {"engine_type": "custom", "serving_url": url} for url in urls})
        objects = {"endpoints": endpoints, "model_monitoring": monitoring, "canary": {}}
        texts = [{"name": name, "value": config_dict_to_text(value)} for name, value in objects.items()]
        api("tasks.edit_configuration", task=service, configuration=texts)
        clashes.poll()
        return capsys.readouterr().out

    clashes.poll()  # the service is new, and has no endpoints
    assert add() == ""
    assert add("digits", "digits/1", "digits/2") == ""
    assert add("digits_1", "letters/new").splitlines() == [
        f"The endpoints {first} and {second} are both {second} to Prometheus, "
        "and their hooks are one file: remove one, and add it by another name."
        for first, second in [("digits/1", "digits_1"), ("letters/new", "letters_new")]
    ]
    assert add() == ""


def test_a_server_that_has_died_is_no_traceback():
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    NameClashes(SimpleNamespace(service_id="a-service", stack=SimpleNamespace(call=refuse))).poll()
