"""The result of a task, as JSON text and back in the handler's return type."""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pydantic
from pydantic import TypeAdapter

from holdfast.jobs import codec
from holdfast.jobs.claim_check import followed
from holdfast.jobs.errors import InvalidJson, InvalidResult, PayloadTooLarge
from holdfast.tasks import payload


@dataclass(frozen=True, slots=True)
class ResultCodec:
    """Writes what a handler returned, and reads it back typed.

    A value that is not of the declared type is given one chance: a dict that
    fits a declared model becomes that model. The work is paid for by then.
    """

    task: str
    _adapter: TypeAdapter[Any]

    @classmethod
    def of(cls, hints: Mapping[str, object], *, task: str) -> Self:
        """Take the return type from a handler's resolved hints; none stands for any JSON value.

        Raises InvalidTask for a type without a JSON form.
        """
        kind = hints.get("return", Any)
        wanted = None if kind is types.NoneType else kind
        return cls(task, payload.adapter_of(wanted, where=f"the result of {task}"))

    def encode(self, value: object, *, largest_bytes: int = codec.LARGEST_BYTES) -> str:
        """Write a result as strict JSON text of at most so many bytes (1 MiB).

        Raises InvalidResult: the same attempt again would give the same, do not retry.
        """
        try:
            return codec.encode(self._plain(value), largest_bytes=largest_bytes)
        except (InvalidJson, PayloadTooLarge) as error:
            raise InvalidResult(detail=f"{self.task}: {error.detail}", hint=error.advice) from error
        except ValueError as error:
            raise InvalidResult(
                detail=f"{self.task} returned {type(value).__qualname__}, which has no JSON form",
                hint="Use plain values, datetime, UUID, Decimal, Enum, dataclasses or pydantic models.",
            ) from error

    def load(self, text: str) -> Any:  # noqa: ANN401 -- typed by Handle[R], whose R is the handler's return type
        """Read a result back.

        Raises InvalidResult if it does not fit this version's return type, PayloadLost if it is not there.
        """
        text = followed(text, what=f"the result of {self.task}")
        try:
            return self._adapter.validate_python(codec.decode(text, largest_bytes=payload.LARGEST_EVER_BYTES))
        except InvalidJson as error:
            raise InvalidResult(detail=f"{self.task}: {error.detail}") from error
        except pydantic.ValidationError as error:
            raise InvalidResult(detail=f"{self.task}: {payload.explain(error)}") from None

    def _plain(self, value: object) -> codec.Json:
        try:
            return payload.to_plain(self._adapter, value)
        except ValueError:
            return payload.to_plain(self._adapter, self._coerced(value))

    def _coerced(self, value: object) -> object:
        try:
            return self._adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise InvalidResult(
                detail=f"{self.task} returned {type(value).__qualname__}: {payload.explain(error)}",
                hint="Return what the handler's return annotation says.",
            ) from None
