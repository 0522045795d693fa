"""The settings as documents: `.env.example` and `docs/settings.md`, both written from the model.

`python -m holdfast.settings.document` writes them; a test keeps them equal to the model.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Union, cast, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from holdfast.settings.model import BOOTSTRAP, GROUPS, variable_of
from holdfast.settings.names import Names

ROOT: Final = Path(__file__).parent.parent
_BASIC: Final = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
}


def env_example() -> str:
    """Return `.env.example`: every setting, commented out, with its default and meaning."""
    lines = [
        "# Settings of Holdfast. Copy this file to .env and take the # away where you want another value.",
        "# The environment wins over this file, this file over the secrets folder.",
        "# Lists are separated by commas.",
        "# `holdfast doctor` shows each value and where it came from.",
    ]
    for group in GROUPS:
        lines += ["", f"# --- {_title(group)} ---"]
        for name, field in group.model_fields.items():
            if name in BOOTSTRAP:  # they say where this very file is
                continue
            lines += ["", *_wrapped(_sentence(field), "# "), f"#{variable_of(name)}={default_text(field)}"]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return `docs/settings.md`: one table per group."""
    lines = [
        "# Settings",
        "",
        "Written from the model by `python -m holdfast.settings.document`; do not edit.",
        "",
        "A value comes from the environment, else from the file `.env` in the working directory, else from",
        "a file in the secrets folder that has the variable's name, else it is the default. Durations are in",
        "seconds, sizes in bytes, lists are separated by commas, and an empty value counts as not set.",
        "`holdfast doctor` shows each value and where it came from. With `HOLDFAST_ENV=production` every",
        "warning refuses the start.",
    ]
    for group in GROUPS:
        lines += [
            "",
            f"## {_title(group)}",
            "",
            "| variable | value | default | meaning |",
            "|---|---|---|---|",
        ]
        for name, field in group.model_fields.items():
            default = default_text(field)
            shown = f"`{default}`" if default else ""
            meaning = _sentence(field).replace("|", "\\|")
            lines.append(f"| `{variable_of(name)}` | {kind(field)} | {shown} | {meaning} |")
    return "\n".join([*lines, *_rights()]) + "\n"


def default_text(field: FieldInfo) -> str:
    """Return the default as one would write it in the environment; empty for unset."""
    value: object = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in cast("tuple[object, ...]", value))
    return "" if value is None else str(value)


def kind(field: FieldInfo) -> str:
    """Return what may be written: the type and its bounds, for people."""
    text = " or ".join(_kinds(field.annotation))
    bounds = _bounds(field)
    return f"{text}, {bounds}" if bounds else text


def write() -> None:
    """Write both documents into the checkout."""
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")


def _rights() -> list[str]:
    return [
        "",
        "## A Redis user with few rights",
        "",
        "In the default namespace a user of Redis needs no more than this (the tests use it):",
        "",
        "```",
        f"ACL SETUSER worker on >PASSWORD {Names().redis_rights()}",
        "```",
    ]


def _title(group: type[BaseModel]) -> str:
    return (group.__doc__ or "").strip().rstrip(".")


def _sentence(field: FieldInfo) -> str:
    return (field.description or "").strip()


def _kinds(annotation: object) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            if part is not type(None):
                yield from _kinds(part)
    elif origin is Literal:
        yield " or ".join(f"`{value}`" for value in get_args(annotation))
    elif origin is tuple:
        yield "list"
    else:
        yield _BASIC[cast("type", annotation)]


def _bounds(field: FieldInfo) -> str:
    parts: list[str] = []
    for rule in field.metadata:
        match rule:
            case annotated_types.Ge(ge=limit):
                parts.append(f"at least {limit:g}")
            case annotated_types.Gt(gt=limit):
                parts.append(f"more than {limit:g}")
            case annotated_types.Le(le=limit):
                parts.append(f"at most {limit:.12g}")
            case annotated_types.MinLen(min_length=length):
                parts.append(f"length at least {length}")
            case annotated_types.MaxLen(max_length=length):
                parts.append(f"at most {length}")
            case _:
                pass
    return ", ".join(parts)


def _wrapped(text: str, prefix: str, width: int = 110) -> Iterator[str]:
    line = prefix
    for word in text.split():
        if len(line) + len(word) > width and line != prefix:
            yield line.rstrip()
            line = prefix
        line += f"{word} "
    yield line.rstrip()


if __name__ == "__main__":
    write()
