"""Arguments of a job as people write them on a command line. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from holdfast.jobs.errors import InvalidArguments


def job_arguments(text: str | None, pairs: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Join a JSON object and `name=value` pairs; a pair wins.

    A value is read as JSON where that gives something, else as text; where the
    schema wants text it is text as it stands. Raises InvalidArguments.
    """
    arguments = _object(text) if text is not None else {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (sign and name):
            raise InvalidArguments(detail=f"{pair!r} is no name=value", hint="Write --arg name=value.")
        arguments[name] = _value(value, _properties(schema).get(name, {}))
    return arguments


def _object(text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise InvalidArguments(
            detail=f"not JSON: {error}", hint="""Write it in single quotes: '{"name": "value"}'."""
        ) from error
    if not isinstance(value, dict):
        raise InvalidArguments(
            detail="the JSON is no object", hint="""Name each argument: '{"name": "value"}'."""
        )
    return cast("dict[str, Any]", value)


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return cast("Mapping[str, Mapping[str, Any]]", schema.get("properties", {}))


def _value(text: str, described: Mapping[str, Any]) -> object:
    if described.get("type") == "string":
        return text
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return text
