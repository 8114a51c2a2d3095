"""Parameters of a run as somebody may have edited them in ClearML's web pages."""

import argparse
from collections.abc import Collection, Mapping

from clearml_tools.errors import UserError


def apply_edited_parameters(
    arguments: argparse.Namespace, edited: Mapping[str, str], skip: Collection[str] = ()
) -> None:
    """Replace the arguments, but for those in `skip`, by the parameters "Args/…" of a run.

    ClearML does that, too, but takes the default, without a word, where it cannot read what was typed.
    UserError names it.
    """
    for name, value in list(vars(arguments).items()):
        text = edited.get(f"Args/{name}")
        if text is None or name in skip:
            continue
        try:
            if isinstance(value, list):
                wanted = "whole numbers, such as 41 42"
                setattr(arguments, name, parse_int_list(text))
            else:
                wanted = "a whole number"
                setattr(arguments, name, int(text) if isinstance(value, int) else text)
        except ValueError as error:
            raise UserError(f"the parameter {name} of this run is '{text}': give {wanted}") from error


def parse_int_list(text: str) -> list[int]:
    """Return the whole numbers in a line, with or without commas and brackets; ValueError if it has none."""
    numbers = [int(part) for part in text.strip().strip("[]").replace(",", " ").split()]
    if not numbers:
        raise ValueError(text)
    return numbers
