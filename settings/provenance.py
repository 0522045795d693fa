"""Where each value came from."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Origin(StrEnum):
    """The places that values come from, the strongest first."""

    OVERRIDE = "override"
    ENVIRONMENT = "environment"
    ENV_FILE = "env file"
    SECRETS_DIR = "secrets file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Source:
    """Where one value came from: a variable, a line of a file, or our default."""

    origin: Origin
    variable: str = ""
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return it for people: `environment`, `.env line 3`, `/run/secrets/holdfast_database_password`."""
        if self.path is None:
            return str(self.origin)
        return f"{self.path} line {self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A variable that no setting answers to; `nearest` is the name that was probably meant."""

    variable: str
    source: Source
    nearest: str | None


DEFAULT = Source(Origin.DEFAULT)
OVERRIDE = Source(Origin.OVERRIDE)
