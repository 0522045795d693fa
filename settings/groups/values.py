"""Kinds of values that several groups share."""

from collections.abc import Iterable
from typing import Annotated, cast

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def split_list(value: object) -> object:
    """Read `a, b,c` as three texts; anything but text passes as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, Iterable):
        return tuple(cast("Iterable[object]", value))
    return value


TextList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
"""Texts, separated by commas in the environment."""
