"""What becomes of each option of Celery's `apply_async` and `send_task`.

One table for code, docs and tests.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from holdfast.jobs.errors import InvalidOption, UnsupportedOption
from holdfast.tasks.options import Options

Fields = dict[str, Any]


class Verdict(StrEnum):
    """What happens to an option."""

    MAPPED = "mapped"
    NO_EFFECT = "accepted, no effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One Celery option."""

    name: str
    verdict: Verdict
    note: str
    """Where it goes, why it has no effect, or what to do instead."""
    fields: Callable[[Any], Fields] | None = None
    """For mapped ones: the fields of Options that a value stands for."""
    harmless: object = None
    """A value of a refused option that says nothing and is accepted, beside None and empty ones."""


def translate(celery: Mapping[str, object]) -> Options:
    """Turn Celery's options into ours.

    Raises UnsupportedOption naming our way, for what has no meaning here, and
    InvalidOption for values that make no sense. Final: mend the call.
    """
    if celery.get("countdown") is not None and celery.get("eta") is not None:
        raise InvalidOption(detail="countdown and eta say two things", hint="Give one of them.")
    fields: Fields = {}
    for name, value in celery.items():
        row = _BY_NAME.get(name)
        if row is None:
            raise UnsupportedOption(
                detail=f"{name!r} is no option known to Celery's apply_async",
                hint="Put the handler's own arguments into args and kwargs.",
            )
        if row.fields is not None and value is not None:
            fields.update(row.fields(value))
        elif row.verdict is Verdict.REFUSED and not _says_nothing(row, value):
            raise UnsupportedOption(detail=repr(name), hint=row.note)
    return Options(**fields)


def as_markdown() -> str:
    """Write the table as it stands in docs/celery-options.md."""
    lines = ["| option | what happens | how, or what instead |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.verdict} | {row.note} |" for row in TABLE]
    return "\n".join(lines) + "\n"


def _says_nothing(row: Row, value: object) -> bool:
    return value is None or value == row.harmless or value in ((), [], {})


def _one(field: str) -> Callable[[object], Fields]:
    return lambda value: {field: value}


def _seconds(name: str, field: str) -> Callable[[object], Fields]:
    def read(value: object) -> Fields:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidOption(detail=f"{name} is {type(value).__name__}, and must be a number of seconds")
        return {field: float(value)}

    return read


def _eta(value: object) -> Fields:
    if not isinstance(value, datetime):
        raise InvalidOption(detail=f"eta is {type(value).__name__}, and must be a datetime with a time zone")
    return {"run_at": value}


def _expires(value: object) -> Fields:
    return (
        {"deadline_at": value}
        if isinstance(value, datetime)
        else _seconds("expires", "deadline_seconds")(value)
    )


def _headers(value: object) -> Fields:
    headers = cast("Mapping[str, object]", value)
    others = sorted(name for name in headers if name != "traceparent")
    if others:
        raise UnsupportedOption(
            detail=f"headers {', '.join(others)}",
            hint="The broker carries the job's id and nothing else: pass data as arguments.",
        )
    return {"trace": headers["traceparent"]} if headers else {}


def _mapped(name: str, note: str, fields: Callable[[Any], Fields]) -> Row:
    return Row(name, Verdict.MAPPED, note, fields)


def _no_effect(name: str, note: str) -> Row:
    return Row(name, Verdict.NO_EFFECT, note)


def _refused(name: str, note: str, *, but: object = None) -> Row:
    return Row(name, Verdict.REFUSED, note, harmless=but)


_CHAIN: Final = "Chain tasks: `await first.then(second).enqueue(...)`."
_GROUP: Final = "Use `await ctx.map(task, [...])` in a handler, or `await task.enqueue_many([...])`."
_ROUTE: Final = "Use `queue=`; the doorbell has one way to a queue."
_RING: Final = "The message is a ring that carries no data; the job is in the ledger."
_CONNECTION: Final = "The doorbell has its own connection; see `holdfast.connect`."
_OWN_TREE: Final = "Celery's canvas sets this; jobs here have no tree."

TABLE: Final = (
    _mapped("countdown", "`delay_seconds`", _seconds("countdown", "delay_seconds")),
    _mapped("eta", "`run_at`; needs a time zone", _eta),
    _mapped("expires", "`deadline_seconds`, or `deadline_at` for a datetime with a time zone", _expires),
    _mapped("queue", "`queue`, a name", _one("queue")),
    _mapped(
        "priority",
        "`priority`: 0 is first and 9 is last, as Celery has it on Redis (on RabbitMQ: the other way round)",
        _one("priority"),
    ),
    _mapped("task_id", "the job's id: 1 to 255 printable ASCII characters without spaces", _one("job_id")),
    _mapped("time_limit", "`hard_timeout_seconds`", _seconds("time_limit", "hard_timeout_seconds")),
    _mapped("soft_time_limit", "`soft_timeout_seconds`", _seconds("soft_time_limit", "soft_timeout_seconds")),
    _mapped("headers", "`traceparent` becomes the job's trace; any other header is refused", _headers),
    _no_effect("retry", "Enqueue writes to the ledger; the doorbell rings until the broker takes it."),
    _no_effect("retry_policy", "As `retry`."),
    _no_effect("add_to_parent", "There is no list of children to add to."),
    _refused("ignore_result", "Results live in the ledger and are pruned by age; leave it out.", but=False),
    _refused("serializer", "JSON only; leave it out.", but="json"),
    _refused("link", _CHAIN),
    _refused("link_error", "Catch the error in the handler, or look at the quarantine."),
    _refused("chain", _CHAIN),
    _refused("chord", _GROUP),
    _refused("group_id", _GROUP),
    _refused("group_index", _GROUP),
    _refused("root_id", _OWN_TREE),
    _refused("parent_id", _OWN_TREE),
    _refused("replaced_task_nesting", _OWN_TREE, but=0),
    _refused("retries", "The ledger counts attempts.", but=0),
    _refused("shadow", "Flower and logs show the true name; use `@task(name=...)`."),
    _refused("compression", _RING),
    _refused("routing_key", _ROUTE),
    _refused("exchange", _ROUTE),
    _refused("exchange_type", _ROUTE),
    _refused("router", _ROUTE),
    _refused("route_name", _ROUTE),
    _refused("task_type", _ROUTE),
    _refused("reply_to", "Read the result with the handle, or with `AsyncResult(job_id)`."),
    _refused("result_cls", "The answer is a `Handle`; `AsyncResult(job_id)` works beside it."),
    _refused("connection", _CONNECTION),
    _refused("producer", _CONNECTION),
    _refused("publisher", _CONNECTION),
    _refused("stamped_headers", "Stamps are part of Celery's canvas; use `tenant=` or arguments."),
    _refused("stamps", "Stamps are part of Celery's canvas; use `tenant=` or arguments."),
    _refused("delivery_mode", _RING),
    _refused("mandatory", _RING, but=False),
    _refused("immediate", _RING, but=False),
    _refused("expiration", "Use `deadline_seconds=`: the ring may be lost, the job has the deadline."),
    _refused("declare", _ROUTE),
    _refused("content_type", "JSON only; leave it out."),
    _refused("content_encoding", "JSON only; leave it out."),
    _refused("correlation_id", "It is the job's id; set that with `task_id`."),
    _refused("timeout", "Enqueue does not wait for the broker."),
    _refused("confirm_timeout", "Enqueue does not wait for the broker."),
)
"""Every option, in the order of the docs."""

_BY_NAME: Final = {row.name: row for row in TABLE}

if __name__ == "__main__":
    sys.stdout.write(as_markdown())
