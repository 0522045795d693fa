"""Who holds the permits of a bulkhead: tokens, each with the instant at which its lease ends by itself.

Whole milliseconds, and the same decisions as the scripts of the shared store.
"""

from collections.abc import Sequence
from typing import Final

Leases = dict[str, int]

FAR: Final = 600_000
"""Nothing is lent for so long: what seems so was lent before the clock went back."""


def alive(leases: Leases, now: int) -> Leases:
    """Return those that have not ended."""
    return {token: ends for token, ends in leases.items() if now < ends <= now + FAR}


def lend(leases: Leases, token: str, *, most: int, lease: int, now: int) -> tuple[int, Leases]:
    """Lend one permit; return 0, or in how many milliseconds the first of the others ends by itself."""
    kept = alive(leases, now)
    if len(kept) >= most:
        return min(kept.values()) - now, kept
    return 0, kept | {token: now + lease}


def renew(
    leases: Leases, tokens: Sequence[str], *, most: int, lease: int, now: int
) -> tuple[list[bool], Leases]:
    """Renew what is held; of what is not known any more, as much as there is room for, as its calls run."""
    kept, answers = alive(leases, now), list[bool]()
    for token in tokens:
        answers.append(token in kept or len(kept) < most)
        if answers[-1]:
            kept[token] = now + lease
    return answers, kept
