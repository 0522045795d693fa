"""Stretches of time as people write them: `90s`, `15m`, `2h`, `7d`, `2w`."""

import re
from typing import Final

SECONDS_OF: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
HOW: Final = "write a number and a unit: 90s, 15m, 2h, 7d or 2w"
_STRETCH: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhdw])", re.ASCII)


def seconds_of(text: str) -> float:
    """Return the seconds of a stretch of time. Raises ValueError that says how to write one."""
    found = _STRETCH.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r:.100} is no stretch of time; {HOW}")
    return float(found[1]) * SECONDS_OF[found[2]]
