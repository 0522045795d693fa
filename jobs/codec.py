"""Strict JSON: what goes in comes out, or is refused with its path.

Refused are NaN and infinities, NUL characters, lone surrogates, keys that are
not strings, doubled keys, secrets, and values deeper or larger than the
limits. Datetime, date, time, timedelta, UUID, Decimal, Enum, dataclasses and
pydantic models are written the way pydantic writes them.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias, cast
from uuid import UUID

import pydantic
import pydantic_core

from holdfast.jobs.errors import InvalidJson, PayloadTooLarge

DEEPEST: Final = 64
"""Nested lists and objects, the outermost counted."""
LARGEST_BYTES: Final = 1024 * 1024
"""UTF-8 bytes of one payload."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_BY_PYDANTIC = (datetime, date, time, timedelta, UUID, Decimal, pydantic.BaseModel)


def encode(value: object, *, largest_bytes: int = LARGEST_BYTES) -> str:
    """Write a value as compact strict JSON text.

    Raises InvalidJson with the path of what does not fit, or PayloadTooLarge.
    """
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    _check_size(text, largest_bytes)
    return text


def canonical(value: object) -> str:
    """Write a value so that equal values give equal text: keys sorted, no spaces."""
    return json.dumps(
        plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )


def decode(text: str | bytes, *, largest_bytes: int = LARGEST_BYTES) -> Json:
    """Read strict JSON text.

    Raises InvalidJson (what and where) or PayloadTooLarge; both are final.
    """
    if isinstance(text, bytes):
        text = _as_text(text, largest_bytes)
    _check_size(text, largest_bytes)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError as error:
        raise InvalidJson(detail=f"nested deeper than {DEEPEST}") from error
    except ValueError as error:
        raise InvalidJson(detail=str(error)) from error
    return plain(value)


def digest(text: str | bytes) -> str:
    """Return the SHA-256 of a text (as UTF-8) in hex."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def plain(value: object, path: str = "$", depth: int = 0) -> Json:
    """Turn a value into plain JSON values, or raise InvalidJson with the path of what does not fit."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and not isinstance(value, Enum):
        return _text(value, path)
    if isinstance(value, Enum):
        return plain(cast("object", value.value), path, depth)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidJson(detail=f"{path} is {value}, which JSON cannot hold")
        return value
    if depth >= DEEPEST:
        raise InvalidJson(detail=f"{path} is nested deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[object, object]", value), path, depth)
    if isinstance(value, (list, tuple)):
        return [
            plain(item, f"{path}[{index}]", depth + 1)
            for index, item in enumerate(cast("list[object]", value))
        ]
    return _rich(value, path, depth)


def _rich(value: object, path: str, depth: int) -> Json:
    if isinstance(value, (pydantic.SecretStr, pydantic.SecretBytes)):
        raise _secret(path)
    _refuse_secrets(value, path)
    if isinstance(value, _BY_PYDANTIC) or (is_dataclass(value) and not isinstance(value, type)):
        try:
            dumped = pydantic_core.to_jsonable_python(value, inf_nan_mode="constants", by_alias=True)
        except (pydantic_core.PydanticSerializationError, ValueError) as error:
            raise InvalidJson(detail=f"{path}: {error}") from error
        return plain(dumped, path, depth)
    raise InvalidJson(
        detail=f"{path} is {type(value).__module__}.{type(value).__qualname__}, which has no JSON form",
        hint="Use plain values, datetime, UUID, Decimal, Enum, dataclasses or pydantic models.",
    )


def _refuse_secrets(value: object, path: str) -> None:
    # Pydantic would write asterisks without a word, and the handler would get them.
    if isinstance(value, (pydantic.SecretStr, pydantic.SecretBytes)):
        raise _secret(path)
    for name, part in _parts(value):
        _refuse_secrets(part, f"{path}{name}")


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, pydantic.BaseModel):
        yield from ((f".{name}", getattr(value, name)) for name in type(value).model_fields)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{field.name}", getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        yield from ((f".{name}", part) for name, part in mapping.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = cast("Iterable[object]", value)
        yield from ((f"[{index}]", part) for index, part in enumerate(items))


def _secret(path: str) -> InvalidJson:
    return InvalidJson(
        detail=f"{path} is a secret, and the ledger holds payloads in clear",
        hint="Pass the name of the secret and read it in the handler.",
    )


def _mapping(value: Mapping[object, object], path: str, depth: int) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidJson(detail=f"{path} has the key {key!r}, which is not text")
        name = key.value if isinstance(key, Enum) else key
        result[_text(name, f"{path}.<key>")] = plain(item, f"{path}.{name}", depth + 1)
    return result


def _text(value: str, path: str) -> str:
    if "\x00" in value:
        raise InvalidJson(detail=f"{path} holds a NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidJson(detail=f"{path} holds a lone surrogate at character {error.start}") from error
    return value


def _as_text(data: bytes, largest_bytes: int) -> str:
    if len(data) > largest_bytes:
        raise PayloadTooLarge(detail=f"{len(data)} bytes, at most {largest_bytes}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson(detail=f"not UTF-8 at byte {error.start}") from error


def _check_size(text: str, largest_bytes: int) -> None:
    # A character is 1 to 4 bytes, so most texts need no second look.
    if len(text) * 4 <= largest_bytes:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > largest_bytes:
        raise PayloadTooLarge(detail=f"{size} bytes, at most {largest_bytes}")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidJson(detail=f"the key {key!r} stands twice in one object")
            seen.add(key)
    return result


def _no_constant(name: str) -> object:
    raise InvalidJson(detail=f"{name} is not JSON")
