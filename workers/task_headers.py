"""Headers of Celery's task messages, held to their types before Celery's own strategy sees them.

It looks at most of them after it has taken the message: one of another type is
then neither run nor acknowledged, and each keeps a place in the window for
ever. One that cannot be a time is dropped without a word.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from holdfast.workers.adoption import instant, limits

_TEXTS: Final = (
    "task", "id", "root_id", "parent_id", "group", "shadow", "origin", "lang", "argsrepr", "kwargsrepr",
)  # fmt: skip
_COUNTS: Final = ("retries", "group_index", "replaced_task_nesting")
_INSTANTS: Final = ("eta", "expires")


def check_headers(headers: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError naming the header that Celery could not work with; None always passes."""
    for names, check in _CHECKS.items():
        for name in names:
            value = headers.get(name)
            if value is not None:
                check(name, value)


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"the {name} header is no text")


def _count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"the {name} header is no count")


def _instant(name: str, value: object) -> None:
    _text(name, value)
    instant(name, value)


def _limits(name: str, value: object) -> None:
    del name
    limits(value)


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"the {name} header is neither true nor false")


def _names(name: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[object]", value)):
        raise TypeError(f"the {name} header is no list of names")


def _table(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"the {name} header is no object")


_CHECKS: Final[dict[tuple[str, ...], Callable[[str, object], None]]] = {
    _TEXTS: _text,
    _COUNTS: _count,
    _INSTANTS: _instant,
    ("timelimit",): _limits,
    ("ignore_result",): _flag,
    ("stamped_headers",): _names,
    ("stamps",): _table,
}
