"""What stands in a job's row in the place of arguments or a result that are kept apart.

A reference is no JSON, so whoever takes it for a payload cannot go on with it by mistake.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from holdfast.jobs import codec
from holdfast.jobs.errors import PayloadLost

MARK: Final = "@payload "
"""How each reference begins; no JSON text does."""
DEFAULT_INLINE_BYTES: Final = 64 * 1024
"""Up to so many UTF-8 bytes a payload stands in the row itself."""
LARGEST_EVER_BYTES: Final = 64 * 1024 * 1024
"""UTF-8 bytes of one payload that no setting can exceed."""

_FORM: Final = re.compile(rf"{MARK}1 database (\d{{1,9}}) ([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class Reference:
    """Names a payload by what is in it; whose it is says the row."""

    size: int
    """UTF-8 bytes."""
    digest: str
    """SHA-256 of them, in hex."""

    @classmethod
    def to(cls, payload: str) -> Self:
        """Make the reference to a payload."""
        return cls(len(payload.encode()), codec.digest(payload))

    @classmethod
    def read(cls, text: object) -> Self | None:
        """Read what stands in a row; None if that is the payload itself."""
        # A row that somebody wrote by hand may hold bytes.
        found = _FORM.fullmatch(text) if isinstance(text, str) and text.startswith(MARK) else None
        return None if found is None else cls(int(found[1]), found[2])

    @property
    def text(self) -> str:
        """What is written into the row; the 1 is the form's number."""
        return f"{MARK}1 database {self.size} {self.digest}"

    def fits(self, payload: str) -> bool:
        """Tell whether a payload is the one that was written."""
        return self == Reference.to(payload)


def is_large(payload: str, inline_bytes: int) -> bool:
    """Tell whether a payload has more UTF-8 bytes than may stand in a row."""
    if len(payload) > inline_bytes:
        return True
    # A character is 1 to 4 bytes, so most texts need no second look.
    return len(payload) * 4 > inline_bytes and len(payload.encode()) > inline_bytes


def followed(text: str, *, what: str) -> str:
    """Return a payload as it is. Raises PayloadLost for a reference that led nowhere; do not retry."""
    if not text.startswith(MARK):
        return text
    raise PayloadLost(detail=f"{what}, {text.removeprefix(MARK)}")
