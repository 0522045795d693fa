"""Between the handler's types and the ledger's JSON text."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

import pydantic
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from holdfast.jobs import claim_check, codec
from holdfast.jobs.errors import InvalidTask

NO_SECRETS_HINT = "Pass the name of the secret and read it in the handler."
LARGEST_EVER_BYTES: Final = claim_check.LARGEST_EVER_BYTES
"""What no setting can exceed; the configured limits are checked where they are known."""
_SHOWN_ERRORS = 5


def adapter_of(kind: object, *, where: str) -> TypeAdapter[Any]:
    """Make the validator of a type, and see that it has a JSON form and holds no secret.

    Raises InvalidTask; a fault in the program, final.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast("type[Any]", kind))
        schema = adapter.json_schema()
    except PydanticUserError as error:
        raise InvalidTask(
            detail=f"{where}: {error.message.splitlines()[0]}",
            hint="Use plain values, datetime, UUID, Decimal, Enum, dataclasses or pydantic models.",
        ) from error
    if _has_secret(schema):
        raise InvalidTask(
            detail=f"{where} holds a secret type, and the ledger holds payloads in clear",
            hint=NO_SECRETS_HINT,
        )
    return adapter


def to_plain(adapter: TypeAdapter[Any], value: object) -> codec.Json:
    """Turn a value of the adapter's type into plain JSON values.

    Raises InvalidJson for secrets and for what JSON cannot hold, and
    pydantic's ValueError for a value that is not of the type.
    """
    _refuse_silent_losses(value, "$")
    # Round trip: what is written here is what `validate_python` takes, so computed fields stay out.
    dumped = cast(
        "object",
        adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings="error"),
    )
    return codec.plain(dumped)


def explain(error: pydantic.ValidationError) -> str:
    """Say where and what, without the values: they may be private, and messages get logged."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    texts = [f"{'.'.join(map(str, item['loc'])) or '$'}: {item['msg']}" for item in found[:_SHOWN_ERRORS]]
    if len(found) > _SHOWN_ERRORS:
        texts.append(f"and {len(found) - _SHOWN_ERRORS} more")
    return "; ".join(texts)


def _has_secret(schema: object) -> bool:
    # Pydantic marks SecretStr and SecretBytes, and nothing else of its own, in this way.
    if isinstance(schema, dict):
        known = cast("dict[str, object]", schema)
        if known.get("format") == "password" and known.get("writeOnly") is True:
            return True
        return any(_has_secret(item) for item in known.values())
    if isinstance(schema, list):
        return any(_has_secret(item) for item in cast("list[object]", schema))
    return False


def _refuse_silent_losses(value: object, path: str, depth: int = 0) -> None:
    # Pydantic would write asterisks for a secret and null for NaN, both without a word.
    if value is None or isinstance(value, (str, int, bytes)):
        return
    if isinstance(value, (float, pydantic.SecretStr, pydantic.SecretBytes)):
        codec.plain(value, path)
        return
    if depth > codec.DEEPEST:  # also what contains itself; the codec refuses both
        return
    for name, item in _parts(value):
        _refuse_silent_losses(item, f"{path}.{name}", depth + 1)


def _parts(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).items()
    if isinstance(value, (list, tuple, set, frozenset)):
        return enumerate(cast("list[object]", value))
    if isinstance(value, pydantic.BaseModel):
        return iter(value)
    if is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name)) for field in fields(value))
    return ()
