"""What Flower may remember of an event or a worker's answer: no payloads, no secrets, nothing false.

Cleaned at the door, so that pages, API, search and memory hold only what is left.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from holdfast.jobs.redaction import Redactor

NOT_SHOWN: Final = "(not shown)"
PAYLOADS: Final = ("args", "kwargs", "result")
FAILURES: Final = ("exception", "traceback")
_REQUEST: Final = "request"


def clean_event(event: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return the event as Flower may see it.

    Flower lays each event of a task over what it knows of it. So a job that succeeded on its
    second attempt would show the first one's exception for ever: a success takes it away. A task
    that is named as its own parent has none.
    """
    cleaned = dict(event)
    if not str(event.get("type", "")).startswith("task-"):
        return cleaned
    for name in PAYLOADS:
        if cleaned.get(name):
            cleaned[name] = NOT_SHOWN
    for name in FAILURES:
        if cleaned.get(name):
            cleaned[name] = redactor.text(str(cleaned[name]))
    if event["type"] == "task-succeeded":
        cleaned |= dict.fromkeys(FAILURES)
    if cleaned.get("parent_id") == cleaned.get("uuid"):
        cleaned["parent_id"] = None
    return cleaned


def clean_answer(method: str, answer: object, redactor: Redactor) -> object:
    """Return what a worker said of itself as Flower may see it; `method` is inspect's name for it."""
    if method in {"active", "reserved", "scheduled"}:
        answer = [_without_payload(task) for task in cast("list[Any]", answer or [])]
    if method == "registered":
        return answer
    return redactor.value(answer)


def _without_payload(task: object) -> object:
    if not isinstance(task, Mapping):
        return task
    known = cast("Mapping[str, Any]", task)
    cleaned = {name: NOT_SHOWN if name in PAYLOADS and value else value for name, value in known.items()}
    if _REQUEST in cleaned:
        cleaned[_REQUEST] = _without_payload(cleaned[_REQUEST])
    return cleaned
