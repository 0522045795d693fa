"""The arguments of a task, checked with the handler's own types."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, Required, Self, cast

import pydantic
from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidArguments, InvalidJson, InvalidTask
from holdfast.tasks import payload

Call = Sequence[object] | Mapping[str, object]
"""The arguments of one call: positional in a sequence, or by name."""
Lift = Callable[[dict[str, codec.Json]], Mapping[str, object]]
"""Makes the arguments of an older version those of this one."""

_ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Arguments:
    """Binds a call to strict JSON text and back.

    The text holds what the caller gave and no defaults: those are the
    handler's, also when a newer version of it runs the job.
    """

    task: str
    signature: inspect.Signature
    _adapter: TypeAdapter[Any]

    @classmethod
    def of(
        cls, handler: Callable[..., object], hints: Mapping[str, object], *, task: str, skip: int = 0
    ) -> Self:
        """Read a handler's parameters; the first `skip` are not arguments. `hints` are its resolved types.

        Raises InvalidTask for parameters that have no name in JSON (`*args`,
        `**kwargs`, positional-only) and for types that have no JSON form.
        """
        parameters = list(inspect.signature(handler).parameters.values())[skip:]
        for parameter in parameters:
            if parameter.kind not in _NAMED:
                raise InvalidTask(
                    detail=f"{task} has the parameter {parameter}, a kind that has no fixed name",
                    hint="Write each parameter with its own name; take a list or a dict for many values.",
                )
        types = {parameter.name: _wanted(parameter, hints) for parameter in parameters}
        adapter = payload.adapter_of(_as_dictionary(types), where=f"the arguments of {task}")
        return cls(task, inspect.Signature(parameters), adapter)

    def bind(self, /, *args: object, **kwargs: object) -> str:
        """Check a call and write it as JSON text.

        Raises InvalidArguments naming the task and the field's path; final.
        The configured limit of the text's size is the client's to check.
        """
        try:
            given = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidArguments(detail=f"{self.task}: {error}") from None
        checked = self._checked(given)
        try:
            plain = payload.to_plain(self._adapter, checked)
        except InvalidJson as error:
            raise InvalidArguments(detail=f"{self.task}: {error.detail}", hint=error.advice) from error
        except ValueError as error:
            raise InvalidArguments(detail=f"{self.task}: a value does not survive JSON") from error
        return codec.encode(plain, largest_bytes=payload.LARGEST_EVER_BYTES)

    def bind_call(self, call: Call) -> str:
        """Do the same with the arguments of one call in a sequence or a mapping."""
        if isinstance(call, (str, bytes)):
            raise InvalidArguments(
                detail=f"{self.task}: the arguments of a call are one {type(call).__name__}",
                hint="Pass a tuple of positional arguments, or a dict of named ones.",
            )
        return self.bind(**call) if isinstance(call, Mapping) else self.bind(*call)

    def bind_rest(self, arguments: Mapping[str, object]) -> str:
        """Check all arguments but the first, which is not known yet, and write them as JSON text.

        Raises InvalidArguments.
        """
        first = next(iter(self.signature.parameters), None)
        if first is None or first in arguments:
            raise InvalidArguments(
                detail=f"{self.task} has no room for the result of the task before it",
                hint="Its first parameter takes that result; leave that one out.",
            )
        try:
            self._adapter.validate_python(dict(arguments))
        except pydantic.ValidationError as error:
            found = [item for item in error.errors(include_input=False) if item["loc"][:1] != (first,)]
            if found:
                told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found)
                raise InvalidArguments(detail=f"{self.task}: {told}") from None
        try:
            plain = payload.to_plain(_ANYTHING, dict(arguments))
        except (InvalidJson, ValueError) as error:
            raise InvalidArguments(detail=f"{self.task}: a value does not survive JSON") from error
        return codec.encode(plain, largest_bytes=payload.LARGEST_EVER_BYTES)

    def load(self, text: str, lift: Lift | None = None) -> dict[str, Any]:
        """Read the values of a call back, in the handler's types; `lift` makes those of another version fit.

        Raises InvalidArguments if the text does not fit this version of the handler, and what `lift` raises.
        """
        try:
            values = codec.decode(text, largest_bytes=payload.LARGEST_EVER_BYTES)
        except InvalidJson as error:
            raise InvalidArguments(detail=f"{self.task}: {error.detail}") from error
        if not isinstance(values, dict):
            raise InvalidArguments(detail=f"{self.task}: the arguments are no JSON object")
        return self._checked(values if lift is None else lift(values))

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(self.signature.parameters)

    def schema(self) -> str:
        """Describe the arguments as JSON schema text, defaults shown where JSON can hold them."""
        schema = self._adapter.json_schema()
        described = cast("dict[str, dict[str, object]]", schema.get("properties", {}))
        for name, parameter in self.signature.parameters.items():
            default = cast("object", parameter.default)
            if default is not inspect.Parameter.empty and "$ref" not in described[name]:
                _show_default(described[name], default)
        return json.dumps(schema, sort_keys=True)

    def _checked(self, values: Mapping[str, object]) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", self._adapter.validate_python(dict(values)))
        except pydantic.ValidationError as error:
            # `from None`: pydantic's own text repeats the values, and they may be private.
            raise InvalidArguments(detail=f"{self.task}: {payload.explain(error)}") from None


def _wanted(parameter: inspect.Parameter, hints: Mapping[str, object]) -> object:
    kind = hints.get(parameter.name, Any)
    return Required[kind] if parameter.default is inspect.Parameter.empty else NotRequired[kind]


def _as_dictionary(types: Mapping[str, object]) -> object:
    # The functional form with names known only now is beyond the type checkers' rules for TypedDict.
    made = cast("Callable[[str, dict[str, object]], type]", TypedDict)("Arguments", dict(types))
    return pydantic.with_config(pydantic.ConfigDict(extra="forbid"))(made)


def _show_default(described: dict[str, object], default: object) -> None:
    try:
        described["default"] = codec.plain(default)
    except InvalidJson:
        return
