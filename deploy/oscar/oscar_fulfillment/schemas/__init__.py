"""The JSON Schemas of docs/schemas, shipped with the package, and validation against them."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of ``order-1`` or ``status-1``."""
    text = resources.files(__name__).joinpath(f"{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def first_problem(name: str, document: Any) -> str | None:
    """What is wrong with a document, naming the field; None when it is valid."""
    errors = sorted(
        validator(name).iter_errors(document), key=lambda error: list(map(str, error.path))
    )
    if not errors:
        return None
    path = ""
    for part in errors[0].path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{path.lstrip('.') or 'message'}: {errors[0].message}"[:500]
