"""Does work get done? The answer is a round trip, which the task layer knows how to make."""

from collections.abc import Callable

from holdfast.health.report import ComponentReport
from holdfast.health.threads import OneAtATime


class RoundTripCheck:
    """Sends something through the broker to a worker and waits for its answer."""

    name = "worker"

    def __init__(self, round_trip: Callable[[], ComponentReport]) -> None:
        """Take the blocking round trip; it bounds its own time."""
        self._round_trip = OneAtATime(round_trip, name="holdfast-check-worker")

    async def check(self) -> ComponentReport:
        """Make the trip on a thread."""
        return await self._round_trip()
