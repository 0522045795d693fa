"""What is looked for where, who makes a new answer, and where it is kept."""

import sys
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.codec import LARGEST_BYTES, encode
from holdfast.jobs.upstream_events import CacheValueTooLarge
from holdfast.resilience.cache.flights import Flight
from holdfast.resilience.cache.lifetimes import Freshness, Lifetimes
from holdfast.resilience.cache.shelf import Copy, Shelf
from holdfast.resilience.cache.steps import Ask, Make, Plan, Tell, Wait
from holdfast.resilience.cache.store import Found, Kept
from holdfast.resilience.fleet import Fleet

LEASE_SECONDS: Final = 10.0
"""A process that makes an answer is waited for so long at most, also where it died."""
HOLD_SECONDS: Final = 1.0
"""After a failed refresh the next one begins so much later, here and in the fleet."""
_FIRST_LOOK_SECONDS: Final = 0.05
_LAST_LOOK_SECONDS: Final = 0.5
_NO_LEASE: Final = ""
_NOTHING: Final = b"null"


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Plans the ways to an answer. Reads and writes the shelf; the rest it only says."""

    cache: str
    shelf: Shelf
    lifetimes: Lifetimes
    recheck_seconds: float
    patience_seconds: float
    fleet: Fleet

    def present(self, key: str, *, can_ask: bool) -> tuple[Copy, Freshness] | None:
        """Return this process's copy; None: there is none, or the fleet is to be asked whether it counts."""
        copy = self.shelf.find(key)
        if copy is None:
            return None
        now = self.fleet.clock.monotonic()
        if can_ask and copy.is_shared and now - copy.checked_at >= self.recheck_seconds:
            return None
        return copy, self.lifetimes.freshness(now - copy.made_at)

    def look(self, key: str) -> Plan[None]:
        """Bring this process's copy up to date with the fleet's."""
        found: Found | None = yield Ask(lambda store: store.find(self.cache, key))
        self._adopt(key, found)

    def fetch(self, key: str, flight: Flight, *, is_behind: bool) -> Plan[bytes | None]:
        """Find an answer, or make it. `is_behind`: for nobody who waits, so only a fresh one will do.

        Of all processes one makes it. Where it is behind, the others do nothing;
        else they wait for `patience_seconds` at most, and then make it, too.
        """
        found: Found | None = yield Ask(lambda store: store.find(self.cache, key))
        text = self._usable(key, found, is_behind=is_behind)
        if text is not None:
            return text
        lease: str | None = yield self._take(key)
        if lease is None and is_behind:
            return None
        if lease is None:
            text, lease = yield from self._wait(key)
            if text is not None:
                return text
        if not lease:
            return (yield from self._make(key, flight, found))
        return (yield from self._make_for_all(key, flight, lease, is_behind=is_behind))

    def keep(self, key: str, text: bytes, flight: Flight | None = None, era: str | None = None) -> Plan[None]:
        """Keep an answer that was made just now. `era` is that of its beginning; None: for us alone."""
        if len(text) > LARGEST_BYTES:
            self.fleet.emit(CacheValueTooLarge(self.cache, len(text)))
            return
        if flight is not None and flight.is_void:
            return
        now = self.fleet.clock.monotonic()
        copy = Copy(text, made_at=now, checked_at=now, is_shared=False)
        self.shelf.keep(key, copy)
        if era is not None:
            seconds = self.lifetimes.kept_seconds
            copy.is_shared = yield Tell(
                lambda store: store.keep(self.cache, key, text, era=era, seconds=seconds)
            )
        if flight is not None and flight.is_void:
            # It was invalidated while we wrote.
            yield from self.remove(key)

    def remove(self, key: str) -> Plan[bool]:
        """Forget an answer; False: the fleet's could not be."""
        self.shelf.remove(key)
        is_done: bool = yield Tell(lambda store: store.remove(self.cache, key))
        return is_done

    def put(self, key: str, text: bytes) -> Plan[None]:
        """Keep an answer that was made elsewhere."""
        found: Found | None = yield Ask(lambda store: store.find(self.cache, key))
        yield from self.keep(key, text, era=None if found is None else found.era)

    def begin_era(self) -> Plan[bool]:
        """Invalidate the fleet's answers; False: it could not be told."""
        seconds = self.lifetimes.kept_seconds
        is_done: bool = yield Tell(lambda store: store.begin_era(self.cache, seconds=seconds))
        return is_done

    def hold(self, key: str) -> None:
        """Let nobody fetch a new answer behind for a moment, if there is none yet."""
        copy = self.shelf.find(key)
        if copy is not None:
            copy.refresh_at = self.fleet.clock.monotonic() + HOLD_SECONDS

    def _take(self, key: str) -> Ask:
        return Ask(lambda store: store.take(self.cache, key, seconds=LEASE_SECONDS), _NO_LEASE)

    def _wait(self, key: str) -> Plan[tuple[bytes | None, str | None]]:
        """Wait for the process that makes it: until there is an answer, or its lease, or no patience."""
        waited, pause = 0.0, _FIRST_LOOK_SECONDS
        while waited < self.patience_seconds:
            pause = min(pause, self.patience_seconds - waited)
            yield Wait(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LAST_LOOK_SECONDS)
            found: Found | None = yield Ask(lambda store: store.find(self.cache, key))
            text = self._usable(key, found, is_behind=False)
            if text is not None:
                return text, None
            lease: str | None = yield self._take(key)
            if lease is not None:
                return None, lease
        return None, _NO_LEASE

    def _make_for_all(self, key: str, flight: Flight, lease: str, *, is_behind: bool) -> Plan[bytes | None]:
        try:
            # Who had the lease may have kept its answer after we looked, and given it back before we took it.
            found: Found | None = yield Ask(lambda store: store.find(self.cache, key))
            text = self._usable(key, found, is_behind=is_behind)
            if text is None:
                text = yield from self._make(key, flight, found)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._give_back(key, lease, HOLD_SECONDS if is_behind else 0.0)
            raise
        yield from self._give_back(key, lease, 0.0)
        return text

    def _make(self, key: str, flight: Flight, found: Found | None) -> Plan[bytes | None]:
        value: object = yield Make()
        text = as_text(value)
        if text == _NOTHING:
            # That there is nothing is not kept, but what there was before is not true any more.
            yield from self.remove(key)
        else:
            yield from self.keep(key, text, flight, None if found is None else found.era)
        return text

    def _give_back(self, key: str, lease: str, after_seconds: float) -> Plan[None]:
        yield Tell(lambda store: store.give_back(self.cache, key, lease, after_seconds=after_seconds))

    def _usable(self, key: str, found: Found | None, *, is_behind: bool) -> bytes | None:
        self._adopt(key, found)
        present = self.present(key, can_ask=False)
        good = {Freshness.FRESH} if is_behind else {Freshness.FRESH, Freshness.STALE}
        return present[0].text if present is not None and present[1] in good else None

    def _adopt(self, key: str, found: Found | None) -> None:
        if found is None:
            return
        copy = self.shelf.find(key)
        if found.kept is not None:
            self.shelf.keep(key, self._copy_of(found.kept, copy))
        elif copy is not None and copy.is_shared:
            # It was invalidated by another process, or the store forgot it, which looks the same.
            self.shelf.remove(key)

    def _copy_of(self, kept: Kept, before: Copy | None) -> Copy:
        now = self.fleet.clock.monotonic()
        held = 0.0 if before is None else before.refresh_at
        return Copy(kept.text, now - kept.age_seconds, checked_at=now, is_shared=True, refresh_at=held)


def as_text(value: object) -> bytes:
    """Write an answer of any size as JSON. Raises InvalidJson."""
    return encode(value, largest_bytes=sys.maxsize).encode()
