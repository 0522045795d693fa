"""What an exception carries: status, headers, codes. Foreign objects are touched here and nowhere else.

An exception may be hostile by accident: a property that raises, a response
that was never read, a status that is text. Nothing here raises, and nothing
reads from a connection.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar, cast

from holdfast.resilience.retry_after import retry_after_seconds, wait_seconds

LONGEST_CODE: Final = 128
"""Characters; longer texts are messages, not codes."""
DEEPEST_CAUSE: Final = 8
"""A wrapper stands close to what it wraps; and chains may be cycles."""

_LOWEST_STATUS: Final = 100
_HIGHEST_STATUS: Final = 599
_STATUS_TEXT: Final = re.compile(r"[1-5][0-9]{2}")
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")

_Thing = TypeVar("_Thing")
_Answer = TypeVar("_Answer")
_Path = tuple[str, ...]
_STATUSES: Final[tuple[_Path, ...]] = (
    ("status_code",),  # openai, anthropic, pydantic-ai
    ("response", "status_code"),  # httpx, requests
    ("response", "status"),
    ("status",),  # aiohttp, urllib
    ("response", "ResponseMetadata", "HTTPStatusCode"),  # botocore
)
_HEADERS: Final[tuple[_Path, ...]] = (
    ("response", "headers"),  # httpx, requests, openai, anthropic
    ("headers",),  # aiohttp, urllib, pydantic-ai
    ("response", "ResponseMetadata", "HTTPHeaders"),  # botocore
)
_WAITS: Final[tuple[_Path, ...]] = (
    ("retry_after_seconds",),  # our own RejectedError
    ("retry_after",),
)
# From the narrowest to the broadest: what names a cause stands before what names a kind.
_CODES: Final[tuple[_Path, ...]] = (
    ("error_code",),  # anthropic
    ("code",),  # openai
    ("body", "error", "details", "error_code"),  # pydantic-ai and older clients, of Anthropic
    ("body", "error", "code"),
    ("body", "code"),  # pydantic-ai, of OpenAI
    ("response", "Error", "Code"),  # botocore
    ("sqlite_errorname",),
    ("orig", "sqlite_errorname"),  # SQLAlchemy around sqlite3
    ("type",),
    ("body", "error", "type"),
    ("body", "type"),
)
_SQLSTATES: Final[tuple[_Path, ...]] = (
    ("sqlstate",),  # psycopg, asyncpg
    ("pgcode",),
    ("orig", "sqlstate"),  # SQLAlchemy around psycopg
    ("orig", "pgcode"),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found. None and empty mean that the exception does not say."""

    status: int | None = None
    """The HTTP status, 100 to 599."""
    codes: tuple[str, ...] = ()
    """Machine-readable codes of the upstream, the narrowest first."""
    sqlstate: str | None = None
    connection_lost: bool = False
    """SQLAlchemy threw the connection away, whatever the class of the error."""
    said_seconds: float | None = None
    """How long the upstream wants no call, said of this very answer."""
    reset_seconds: float | None = None
    """The same, or else how long until a spent limit is full again."""


def evidence_of(error: BaseException, *, now: datetime, through_causes: bool) -> Evidence:
    """Read what the exception carries; `through_causes`: where it is silent, what it was raised from.

    The SQLSTATE and the lost connection are its own alone. `now` turns dates into seconds.
    """
    links = tuple(_chain(error)) if through_causes else (error,)
    headers = _ask(links, lambda link: _first(link, _HEADERS))
    said = retry_after_seconds(headers, now=now, also_resets=False)
    if said is None:
        said = _ask(links, _carried)
    return Evidence(
        status=_ask(links, _status),
        codes=_ask(links, _codes) or (),
        sqlstate=_ask((error,), _sqlstate),
        connection_lost=look(error, "connection_invalidated") is True,
        said_seconds=said,
        reset_seconds=retry_after_seconds(headers, now=now) if said is None else said,
    )


def look(thing: object, name: str) -> object:
    """Return an item of a mapping or an attribute of anything else; None if there is none, or it raises."""
    try:
        if isinstance(thing, Mapping):
            return cast("Mapping[object, object]", thing).get(name)
        return getattr(thing, name, None)
    except BaseException:  # noqa: BLE001 -- a foreign property may raise anything, and the judgement must stand
        return None


def _ask(
    links: tuple[BaseException, ...], question: Callable[[BaseException], _Answer | None]
) -> _Answer | None:
    """Give the first answer along the chain."""
    answers = (_answer(link, question) for link in links)
    return next((answer for answer in answers if answer is not None), None)


def _answer(thing: _Thing, question: Callable[[_Thing], _Answer | None]) -> _Answer | None:
    try:
        return question(thing)
    except BaseException:  # noqa: BLE001 -- a value that raises when it is looked at says nothing
        return None


def names_of(error: BaseException) -> tuple[str, ...]:
    """Name the class of an exception and its bases by package and qualified name, nearest first."""
    return _answer(type(error), _lineage) or ()


def carried_seconds(error: BaseException) -> float | None:
    """Return the wait that an exception carries as a number: `retry_after_seconds` or `retry_after`."""
    return _answer(error, _carried)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: object = error
    for _ in range(DEEPEST_CAUSE):
        # Not isinstance, which believes what an object says of its own class.
        if not issubclass(type(link), BaseException):
            return
        yield cast("BaseException", link)
        link = look(link, "__cause__")


def _walk(thing: object, path: _Path) -> object:
    for name in path:
        if thing is None:
            return None
        thing = look(thing, name)
    return thing


def _first(thing: object, paths: tuple[_Path, ...]) -> object:
    return next((found for path in paths if (found := _walk(thing, path)) is not None), None)


def _lineage(kind: type[BaseException]) -> tuple[str, ...]:
    names = (_name(base) for base in kind.__mro__)
    return tuple(name for name in names if name is not None)


def _name(base: object) -> str | None:
    package, name = _plain(look(base, "__module__")).partition(".")[0], _plain(look(base, "__qualname__"))
    return f"{package}.{name}" if package and name else None


def _plain(found: object) -> str:
    """Give a short text as a text and nothing more; a subclass of `str` may compare and hash as it likes."""
    text = str.__str__(found) if isinstance(found, str) else ""
    return text if len(text) <= LONGEST_CODE else ""


def _status(error: BaseException) -> int | None:
    for path in _STATUSES:
        found = _walk(error, path)
        if _STATUS_TEXT.fullmatch(_plain(found)):
            return int(_plain(found))
        if (
            isinstance(found, int)
            and not isinstance(found, bool)
            and _LOWEST_STATUS <= found <= _HIGHEST_STATUS
        ):
            return int(found)
    return None


def _codes(error: BaseException) -> tuple[str, ...] | None:
    found = (_plain(_walk(error, path)) for path in _CODES)
    return tuple(code for code in found if code) or None


def _sqlstate(error: BaseException) -> str | None:
    found = (_plain(_walk(error, path)) for path in _SQLSTATES)
    return next((state for state in found if _SQLSTATE.fullmatch(state)), None)


def _carried(error: BaseException) -> float | None:
    found = (wait_seconds(_walk(error, path)) for path in _WAITS)
    return next((wait for wait in found if wait is not None), None)
