"""The decision about a call that several rate limits count: all let it pass and are charged, or none.

Each limit is one instant: when it will be full again (the theoretical arrival
time of GCRA, ITU-T I.371). A call of a cost may pass if that instant, moved on
by the cost, is not further away than the limit is deep. Whole microseconds
only, so that the script of the shared store decides the same to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SPREAD: Final = 300_000_000
"""Those who wait are told turns one after the other, over so long; then from the front again."""
LONGEST_CLOSED: Final = 600_000_000
"""An upstream's wish to be left alone is honoured for so long."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is kept of one limit: two instants of the store's clock."""

    full_at: int = 0
    queue_at: int = 0
    """The next turn that is told to a caller who has to wait. Nobody is charged for it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call wants of one limit, in microseconds of its refill."""

    cost: int
    depth: int
    """How far away the instant of being full may be. A cost beyond it passes a full bucket, and is owed."""
    longest: int
    """No debt is longer: neither a clock that went back nor an absurd charge closes a limit for good."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a limit should know better."""

    change: int = 0
    """Charged more, or given back (negative), in microseconds of refill."""
    floor: int = 0
    """It is full no sooner than so long from now."""
    longest: int = 0


def opens_at(closed_until: int, now: int) -> int:
    """Return when an upstream is called again; a store keeps this instead of what it was told.

    If it kept the rest, a clock that went back would close an upstream until it
    has caught up.
    """
    return min(closed_until, now + LONGEST_CLOSED)


def take(
    buckets: Sequence[Bucket], demands: Sequence[Demand], closed_until: int, now: int
) -> tuple[int, list[Bucket]]:
    """Return how long the call has to wait (0: it passes, and was charged), and the buckets afterwards.

    `closed_until` is when the upstream wants calls again. Who has to wait is
    told a turn of its own, as far apart from the next one's as the limit's rate
    asks, so that a thousand do not come back at once.
    """
    gate = opens_at(closed_until, now)
    full = [
        min(max(bucket.full_at, now), now + of.longest) for bucket, of in zip(buckets, demands, strict=True)
    ]
    ready = [max(at + min(of.cost, of.depth) - of.depth, gate) for at, of in zip(full, demands, strict=True)]
    if max(ready, default=gate) <= now:
        paid = zip(full, demands, buckets, strict=True)
        return 0, [Bucket(min(at + of.cost, now + of.longest), one.queue_at) for at, of, one in paid]
    turns = [_turn(bucket, at, now) for bucket, at in zip(buckets, ready, strict=True)]
    after = zip(buckets, full, turns, demands, strict=True)
    waited = [bucket if turn <= now else _moved(at, turn, of, now) for bucket, at, turn, of in after]
    return max(turns, default=gate) - now, waited


def correct(bucket: Bucket, by: Correction, now: int) -> Bucket:
    """Return the bucket as it is known now."""
    full_at = max(max(bucket.full_at, now) + by.change, now + by.floor)
    full_at = min(max(full_at, now), now + by.longest)
    # What is past is forgotten, as a store does whose clock then goes back.
    return Bucket(full_at, bucket.queue_at) if max(full_at, bucket.queue_at) > now else Bucket()


def _turn(bucket: Bucket, ready: int, now: int) -> int:
    """Return when to come back, as far as this limit goes."""
    if ready <= now:
        return now
    return ready if bucket.queue_at > ready + SPREAD else max(ready, bucket.queue_at)


def _moved(full: int, turn: int, of: Demand, now: int) -> Bucket:
    # What was cut off is forgotten for good: else it would be cut off again, and waited for, each time.
    return Bucket(full, min(turn + of.cost, now + of.longest + SPREAD))
