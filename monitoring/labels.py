"""Values of metric labels, bounded in number."""

from typing import Final

OTHER: Final = "other"
MOST_LABEL_VALUES: Final = 200


class BoundedLabels:
    """Lets the first so many values of each label through, and calls the rest `other`."""

    def __init__(self, most: int = MOST_LABEL_VALUES) -> None:
        """Allow `most` values for each label."""
        self._most = most
        self._seen: dict[str, set[str]] = {}

    def __call__(self, label: str, value: str) -> str:
        """Return the value to count under."""
        seen = self._seen.setdefault(label, set())
        if value in seen:
            return value
        if len(seen) >= self._most:
            return OTHER
        seen.add(value)
        return value
