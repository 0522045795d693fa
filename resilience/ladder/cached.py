"""The rung that gives an older answer: better than none, and it says how old it is."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from holdfast.jobs.codec import Json
from holdfast.jobs.errors import InvalidJson
from holdfast.resilience.cache.cache import Cache, Entry
from holdfast.resilience.errand import current_errand
from holdfast.resilience.ladder.rungs import Asked, Found


def _arguments(*arguments: object, **options: object) -> list[object]:
    return [list(arguments), options]


class Cached:
    """What the primary answered before, for as long as the cache keeps it where the upstream is ill.

    The primary's answers are kept by themselves, a job's for its tenant alone;
    one that is no JSON is not.
    """

    def __init__(
        self, cache: Cache, parts: Callable[..., object] = _arguments, *, name: str = "cached"
    ) -> None:
        """Keep in this cache; `parts` makes of a call's arguments what tells its answer from others."""
        self.name = name
        self._cache = cache
        self._parts = parts

    def find(self, asked: Asked) -> Found[Json]:
        """Answer. Raises LookupError if there is no answer, or it is too old."""
        return _found(
            self._cache.lookup(self._parts_of(asked), tenant=_tenant(), stale_if_error=True), self.name
        )

    async def afind(self, asked: Asked) -> Found[Json]:
        """Do the same on an event loop."""
        entry = await self._cache.alookup(self._parts_of(asked), tenant=_tenant(), stale_if_error=True)
        return _found(entry, self.name)

    def keep(self, asked: Asked, value: Any) -> None:  # noqa: ANN401 -- whatever the primary answers
        """Keep a primary's answer; on an event loop a thread does it, as the store may block."""
        put = partial(self._put, asked, value, _tenant())
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            put()
        else:
            loop.run_in_executor(None, put)

    def _put(self, asked: Asked, value: object, tenant: str) -> None:
        with contextlib.suppress(InvalidJson):
            self._cache.put(self._parts_of(asked), value, tenant=tenant)

    def _parts_of(self, asked: Asked) -> object:
        return self._parts(*asked.arguments, **asked.options)


def _tenant() -> str:
    on = current_errand()
    return "" if on is None else on.tenant


def _found(entry: Entry | None, name: str) -> Found[Json]:
    if entry is None:
        raise LookupError(f"{name} has no answer")
    return Found(entry.value, entry.age_seconds)
