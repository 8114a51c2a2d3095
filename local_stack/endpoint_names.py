"""Warn of endpoints that clearml-serving and Prometheus cannot tell apart.

Both write "_" for a "/" in an endpoint's name: of digits/1 and digits_1, one gets the other's hook, and one
is not counted. clearml-serving's command line takes both.
"""

import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the pages need metric_name alone
    from .serving import Serving

# The first line of an endpoint or an auto-update, in the text in which clearml-serving keeps them.
CONFIGURED = re.compile(r'^"?([^\s"{][^"{\n]*?)"? \{', re.MULTILINE)


class NameClashes:
    """The clashes of a service's endpoints: to be polled now and then, it prints a line for each new one."""

    def __init__(self, serving: "Serving") -> None:
        self._serving = serving
        self._told: set[str] = set()

    def poll(self) -> None:
        try:
            endpoints = configured_endpoints(service_configuration(self._serving))
        except OSError:  # the server has just died, which is reported elsewhere
            return
        for name, same in groupby(sorted(endpoints, key=metric_name), key=metric_name):
            clashing = sorted(same)
            told = f"The endpoints {' and '.join(clashing)} are both {name} to Prometheus"
            if len(clashing) > 1 and told not in self._told:
                self._told.add(told)
                print(
                    f"{told}, and their hooks are one file: remove one, and add it by another name.",
                    flush=True,
                )


def service_configuration(serving: "Serving") -> dict[str, str]:
    """Return what a service is to serve and count, text by text; OSError if the server does not answer."""
    wanted = {"id": [serving.service_id], "only_fields": ["configuration"]}
    (service,) = serving.stack.call("tasks.get_all", **wanted)["tasks"]
    return {name: part.get("value") or "" for name, part in (service.get("configuration") or {}).items()}


def configured_endpoints(configuration: dict[str, str]) -> set[str]:
    """Return the endpoints and auto-updates in a service's configuration."""
    kinds = [configuration.get(kind, "") for kind in ("endpoints", "model_monitoring")]
    return {name for kind in kinds for name in CONFIGURED.findall(kind)}


def metric_name(name: str) -> str:
    """Return the name of an endpoint or a variable as clearml-serving writes it into its metrics."""
    return re.sub(r"[^a-zA-Z0-9_:()]", "_", name)
