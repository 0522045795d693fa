"""Flower itself, with the few parts of it replaced that would show too much.

Leans on Flower 2.2: the classes named here, and that `flower.command` builds `Flower` by that
name. `tests/integration/monitoring/test_flower.py` starts the real command and holds all of it.
Further pages of ours are added here, by Tornado's `add_handlers`.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from flower.api.tasks import TaskApply, TaskResult  # type: ignore[import-untyped]  # Flower has no types
from flower.app import Flower, rewrite_handler  # type: ignore[import-untyped]  # Flower has no types
from flower.events import Events  # type: ignore[import-untyped]  # Flower has no types
from flower.inspector import Inspector  # type: ignore[import-untyped]  # Flower has no types
from tornado.ioloop import IOLoop
from typing_extensions import override

from holdfast.jobs.redaction import Redactor
from holdfast.monitoring.flower.cleaning import NOT_SHOWN, clean_answer, clean_event

Untyped: TypeAlias = Any
"""What Flower and Tornado give and take; they say nothing about its type."""

EVERY_HOST: Final = r".*"


class SafeFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower that always asks for a login and remembers neither payloads nor secrets."""

    def __init__(
        self,
        options: Untyped = None,
        capp: Untyped = None,
        events: Untyped = None,
        io_loop: Untyped = None,
        *,
        login: str,
        is_made_up: bool,
        secrets: tuple[str, ...] = (),
        **settings: Untyped,
    ) -> None:
        """Start from Flower's arguments; `login` is `user:password` and holds if nothing else was set."""
        loop = io_loop or IOLoop.instance()
        redactor = Redactor(secrets)
        _settle_login(options, login, is_made_up=is_made_up)
        for handler in logging.getLogger().handlers:  # Tornado has put its own there by now
            handler.addFilter(RedactingFilter(redactor))
        super().__init__(
            options=options,
            capp=capp,
            events=events or _events(options, capp, loop, redactor),
            io_loop=loop,
            **settings,
        )
        self.inspector = CleanInspector(loop, self.capp, options.inspect_timeout / 1000.0, redactor=redactor)
        self._replace(
            {r"/api/task/result/(.+)": ResultWithoutValue, r"/api/task/apply/(.+)": ApplyWithoutValue}
        )

    def _replace(self, pages: Mapping[str, type]) -> None:
        # Tornado asks added handlers before the ones an application was made with.
        prefix = self.options.url_prefix
        handlers = [*pages.items()]
        self.add_handlers(
            EVERY_HOST, [rewrite_handler(page, prefix) for page in handlers] if prefix else handlers
        )


class CleanEvents(Events):  # type: ignore[misc]  # Flower has no types
    """Cleans each event before anything remembers it."""

    def __init__(self, *arguments: Untyped, redactor: Redactor, **options: Untyped) -> None:
        """Take Flower's arguments and the redactor."""
        super().__init__(*arguments, **options)
        self._redactor = redactor

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Hand on what is left of the event."""
        super().on_event(clean_event(event, self._redactor))


class CleanInspector(Inspector):  # type: ignore[misc]  # Flower has no types
    """Cleans each answer before anything remembers it."""

    def __init__(self, *arguments: Untyped, redactor: Redactor, **options: Untyped) -> None:
        """Take Flower's arguments and the redactor."""
        super().__init__(*arguments, **options)
        self._redactor = redactor

    def _on_update(self, workername: str, method: str, response: Untyped) -> None:
        super()._on_update(workername, method, clean_answer(method, response, self._redactor))


class RedactingFilter(logging.Filter):
    """Takes secrets out of Flower's own log lines, which do not pass our logging."""

    def __init__(self, redactor: Redactor) -> None:
        """Take the redactor."""
        super().__init__()
        self._redactor = redactor

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Render the line and redact it; a traceback that comes with it, too."""
        record.msg, record.args = self._redactor.text(record.getMessage()), None
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_info, record.exc_text = None, self._redactor.text(text)
        return True


class ResultWithoutValue(TaskResult):  # type: ignore[misc]  # Flower has no types
    """Tells a task's state; its result is read with the client or `holdfast jobs show`, not here."""

    def update_response_result(self, response: dict[str, Any], result: Untyped) -> None:
        """Leave the value out."""
        del result
        response["result"] = NOT_SHOWN


class ApplyWithoutValue(TaskApply):  # type: ignore[misc]  # Flower has no types
    """Runs a task and tells its state."""

    def update_response_result(self, response: dict[str, Any], result: Untyped) -> None:
        """Leave the value out."""
        del result
        response["result"] = NOT_SHOWN


def _settle_login(options: Untyped, login: str, *, is_made_up: bool) -> None:
    if options.auth:
        # OAuth was asked for: ours would be a second lock that nobody has the key to.
        if options.basic_auth == [login]:
            options.basic_auth = []
        return
    if not any(options.basic_auth or ()):
        options.basic_auth = [login]
    if is_made_up and login in options.basic_auth:
        user, _, password = login.partition(":")
        # To the terminal, once, and not to the log, which is kept and shipped.
        sys.stderr.write(f"Flower: user {user}, password {password} (made up for this start)\n")
        sys.stderr.flush()


def _events(options: Untyped, capp: Untyped, loop: Untyped, redactor: Redactor) -> CleanEvents:
    return CleanEvents(
        capp,
        loop,
        redactor=redactor,
        db=options.db,
        persistent=options.persistent,
        state_save_interval=options.state_save_interval,
        enable_events=options.enable_events,
        max_workers_in_memory=options.max_workers,
        max_tasks_in_memory=options.max_tasks,
    )
