"""Register a model file as a task's model, with its metadata."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clearml_tools.errors import storage_errors

from clearml import Model, OutputModel, Task


def register_model(
    task: Task,
    name: str,
    file: Path,
    framework: str,
    class_names: Sequence[str],
    configuration: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> OutputModel:
    """Upload a file as the model `name` of a task. UserError, and no model, if it cannot be stored."""
    model = OutputModel(
        task=task,
        name=name,
        framework=framework,
        label_enumeration={name: number for number, name in enumerate(class_names)},
        config_dict=dict(configuration),
    )
    try:
        with storage_errors("the model"):
            address = model.update_weights(
                str(file), auto_delete_file=False, update_comment=False, async_enable=False
            )
            # Otherwise ClearML would look for the file of a project such as "A|B" in "A%7CB".
            model.update_weights(register_uri=quote_address(address), update_comment=False)
    except BaseException:
        if model.id:  # a model without its file, under the name that is served
            Model.remove(model.id, delete_weights_file=False)
        raise
    model.set_all_metadata(
        {key: {"value": str(value), "type": type(value).__name__} for key, value in metadata.items()}
    )
    return model


def quote_address(address: str) -> str:
    """Return the address that downloads what was stored at this one: a file server's has to be quoted."""
    scheme, separator, path = address.partition("://")
    return f"{scheme}{separator}{quote(path, safe='/:@')}" if scheme in ("http", "https") else address
