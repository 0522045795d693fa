"""Logs: our events and everybody's log calls, through one pipeline, without secrets.

structlog's own loggers and the standard library's (Celery, kombu, SQLAlchemy, your code) end in
the same handler, as JSON lines or for a terminal. Every text passes the redactor after it was
rendered, tracebacks included, so no library can slip one past it. Tracebacks never show local
variables.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO, cast

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor

from holdfast.jobs.events import Event
from holdfast.jobs.redaction import Redactor

LONGEST_TEXT: Final = 8_000
"""Characters of one value; of a longer one the beginning and the end are logged."""
NOT_SHOWN: Final = "(not shown)"

# Celery logs the return value of each plain task, and may log arguments.
_PAYLOADS: Final = frozenset({"args", "kwargs", "result", "retval", "return_value"})
_TALKATIVE: Final = ("amqp", "kombu", "tornado.access")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def configure_logging(
    *,
    as_json: bool,
    level: str = "info",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Take over structlog and the standard library's root logger; may be called again.

    `secrets` are exact values that must never appear, such as the broker's password. Celery
    leaves logging alone only if its `setup_logging` signal has a receiver; the worker's app
    connects one that calls this.
    """
    redactor = Redactor(secrets)
    finish: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # a plain text, so that the redactor sees it
        _redacting(redactor),
    ]
    before = _before()
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(_hide_payloads)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=before, processors=[*finish, *_renderer(handler, as_json=as_json)]
        )
    )
    structlog.configure(
        processors=[*before, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _take_over(handler, level.upper())


def bind_job(*, job_id: str, task: str, attempt: int) -> AbstractContextManager[None]:
    """Put job, task and attempt on every line logged inside, also by libraries; follows context variables."""
    return cast("AbstractContextManager[None]", bound_contextvars(job_id=job_id, task=task, attempt=attempt))


class LogEvents:
    """A reader of events: one line per event, named `job_claimed` for JobClaimed, its fields as keys."""

    def __init__(self) -> None:
        """Log under the name `holdfast.events`."""
        self._log: Any = structlog.stdlib.get_logger("holdfast.events")
        self._names: dict[type[Event], str] = {}

    def __call__(self, event: Event) -> None:
        """Log one event at its own level."""
        kind = type(event)
        name = self._names.setdefault(kind, event_name(kind))
        getattr(self._log, kind.level)(name, **event.values())


def event_name(kind: type[Event]) -> str:
    """Return the name of an event in logs and documents: JobClaimed is `job_claimed`."""
    return _CAPITAL.sub("_", kind.__name__).lower()


def _before() -> list[Processor]:
    return [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderer(handler: "logging.StreamHandler[TextIO]", *, as_json: bool) -> list[Processor]:
    if as_json:
        return [_in_order, structlog.processors.JSONRenderer(serializer=_dumps)]
    colors = bool(getattr(handler.stream, "isatty", bool)())
    return [
        _harmless_on_a_terminal,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    ]


def _take_over(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, ProcessorFormatter) or type(old) is logging.StreamHandler:
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(capture=True)


def _redacting(redactor: Redactor) -> Processor:
    def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {
            key: redactor.value(_bounded(_plain(value)), name="" if key == "event" else key)
            for key, value in event.items()
        }

    return redact


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, set, frozenset, Mapping)):
        return cast("object", value)
    return str(value)


def _bounded(value: object) -> object:
    if not isinstance(value, str) or len(value) <= LONGEST_TEXT:
        return value
    half = LONGEST_TEXT // 2
    return f"{value[:half]} [... {len(value) - 2 * half} characters ...] {value[-half:]}"


def _harmless_on_a_terminal(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Show control characters instead of obeying them; a new line cannot pose as a line of ours."""
    return {
        key: _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value).replace("\n", "\n    ")
        if isinstance(value, str)
        else value
        for key, value in event.items()
    }


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in ("timestamp", "level", "event", "logger") if key in event}
    return first | {key: value for key, value in event.items() if key not in first}


def _dumps(value: object, **_options: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _hide_payloads(record: logging.LogRecord) -> bool:
    arguments = cast("object", record.args)
    if isinstance(arguments, Mapping) and not _PAYLOADS.isdisjoint(cast("Mapping[str, object]", arguments)):
        shown = cast("Mapping[str, object]", arguments)
        record.args = {key: NOT_SHOWN if key in _PAYLOADS else value for key, value in shown.items()}
    return True
