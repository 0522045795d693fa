"""What happened in a run, to be told when it ends badly."""

from collections.abc import Iterable


class Broken(Exception):
    """A promise was broken."""


class Story:
    """Lines with the time and the step of each."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, int, str, str]] = []

    def note(self, now: float, step: int, who: str, what: str) -> None:
        """Add a line."""
        self._lines.append((now, step, who, what))

    def tell(self) -> Iterable[str]:
        """Give the lines in order."""
        for now, step, who, what in self._lines:
            yield f"{now:9.3f} s  step {step:5}  {who:16} {what}"
