"""What a look at one part found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong: worth knowing, such as what the next command will do."""
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look found, and the one command that mends it."""

    subject: str
    level: Level
    found: str
    remedy: str = ""


def fine(subject: str, found: str) -> Verdict:
    """Return that all is well."""
    return Verdict(subject, Level.OK, found)


def note(subject: str, found: str, remedy: str = "") -> Verdict:
    """Return something worth knowing."""
    return Verdict(subject, Level.NOTE, found, remedy)


def warning(subject: str, found: str, remedy: str) -> Verdict:
    """Return that something should be mended."""
    return Verdict(subject, Level.WARNING, found, remedy)


def failure(subject: str, found: str, remedy: str) -> Verdict:
    """Return that something must be mended."""
    return Verdict(subject, Level.ERROR, found, remedy)
