"""Enqueue a task whose code is not here, by what live workers say of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidArguments, InvalidOption, UnknownTask
from holdfast.jobs.unique import Unique
from holdfast.ledger.records import OfferRow
from holdfast.tasks.payload import LARGEST_EVER_BYTES
from holdfast.tasks.spec import UNIQUE_RULE, UPCAST_TO

_KINDS: Final[dict[str, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def choose_offer(offers: Sequence[OfferRow], task: str) -> OfferRow:
    """Return an offer of the task, of the version that most workers run, upcasts counted.

    Raises UnknownTask if no live worker has it.
    """
    matching = [offer for offer in offers if offer.task == task]
    # Who only upcasts a version does not know its schema: it is for jobs that are there already.
    own = [offer for offer in matching if not is_for_old_jobs(offer)]
    if not own:
        raise UnknownTask(
            detail=f"{task!r} is not imported here, and no live worker offers it",
            hint="`holdfast tasks` lists what there is. Name its module in HOLDFAST_TASK_MODULES, or start "
            "a worker that has it; a worker knows the tasks that were there when it started.",
        )
    versions = [offer.version for offer in matching]
    return max(own, key=lambda offer: (versions.count(offer.version), offer.version))


def is_for_old_jobs(offer: OfferRow) -> bool:
    """Tell whether the worker upcasts this version to its own, and so wants no new jobs of it."""
    return UPCAST_TO in json.loads(offer.schema)


def names_of(offer: OfferRow) -> frozenset[str]:
    """Return the names of an offer's parameters."""
    schema = cast("dict[str, dict[str, object]]", json.loads(offer.schema))
    return frozenset(schema.get("properties", {}))


def rule_of(offer: OfferRow) -> Unique | None:
    """Return what an offer says about jobs that count as the same.

    Raises UnknownTask for a rule that this version cannot read: without it, too many jobs would be made.
    """
    said = cast("dict[str, object]", json.loads(offer.schema)).get(UNIQUE_RULE)
    if said is None:
        return None
    try:
        return Unique.from_json(cast("dict[str, Any]", said))
    except (InvalidOption, LookupError, TypeError, ValueError) as error:
        raise UnknownTask(
            detail=f"{offer.task}: the workers' rule about unique jobs is not one that this version knows",
            hint="Use the version of Holdfast that the workers use, or say `unique` yourself.",
        ) from error


def bind_by_schema(offer: OfferRow, arguments: Mapping[str, object]) -> str:
    """Check arguments against an offer's JSON schema and write them as JSON text.

    Names and the JSON types of the outermost values are checked here; what is
    inside them the worker checks, and quarantines the job as invalid_payload.
    Raises InvalidArguments.
    """
    schema = cast("dict[str, object]", json.loads(offer.schema))
    described = cast("dict[str, dict[str, object]]", schema.get("properties", {}))
    plain = codec.plain(arguments)
    given = plain if isinstance(plain, dict) else {}
    missing = [name for name in cast("list[str]", schema.get("required", [])) if name not in given]
    unknown = [name for name in given if name not in described]
    faults = [f"missing {', '.join(missing)}"] if missing else []
    if unknown and schema.get("additionalProperties") is False:
        faults.append(f"no parameter is called {', '.join(unknown)}")
    if faults:
        raise InvalidArguments(detail=f"{offer.task}: {'; '.join(faults)}")
    for name, value in given.items():
        kind = described.get(name, {}).get("type")
        if isinstance(kind, str) and kind in _KINDS and not _KINDS[kind](value):
            raise InvalidArguments(detail=f"{offer.task}: {name} should be of the JSON type {kind}")
    return codec.encode(given, largest_bytes=LARGEST_EVER_BYTES)
