"""What came back, as the result of the job."""

import json
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict

from holdfast.jobs.failure import storable_text
from holdfast.tasks.outbound import Answer

LONGEST_HEADER: Final = 1_000
"""Characters."""
_SHOWN: Final = (
    "content-type", "content-length", "content-language", "date", "etag", "last-modified", "location",
    "retry-after", "request-id", "x-request-id", "x-correlation-id",
)  # fmt: skip
_CHARSETS: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16"})
"""Read as the answer says; all others as UTF-8. Some of Python's codecs are no charsets, and slow."""


class WebhookAnswer(BaseModel):
    """The answer of an upstream that took the call."""

    model_config = ConfigDict(frozen=True)

    status: int
    """200 to 299."""
    headers: dict[str, str]
    """Those that matter for the record, by their names in small letters; never cookies."""
    body: str
    """As text; what is no text of its charset is replaced."""
    is_truncated: bool
    """The body was longer than `largest_bytes`, or could not be decompressed; the call was made."""
    url: str
    """Where the answer came from."""
    redirects: int
    """How many were followed."""


def stored(answer: Answer, *, largest_bytes: int) -> WebhookAnswer:
    """Make the result of an answer; its body takes at most so many bytes in the ledger, as JSON."""
    text = storable_text(answer.body.decode(_charset(answer.headers), "replace"))
    body = _fitting(text, largest_bytes)
    return WebhookAnswer(
        status=answer.status,
        headers={name: answer.headers[name][:LONGEST_HEADER] for name in _SHOWN if name in answer.headers},
        body=body,
        is_truncated=answer.is_truncated or len(body) < len(text),
        url=answer.url,
        redirects=answer.redirects,
    )


def refused(answer: Answer) -> httpx.HTTPStatusError | None:
    """Return the error that an answer without success is; None if it is a success.

    The error carries status and headers, so `resilience/faults.py` finds the
    kind of fault and how long to wait. It names the host and no more of the URL,
    which may be a secret, and nothing of the body.
    """
    response = httpx.Response(answer.status, headers=answer.headers)
    if response.is_success:
        return None
    url = httpx.URL(answer.url)
    request = httpx.Request("GET", url.copy_with(raw_path=b"/"))
    return httpx.HTTPStatusError(
        f"{url.host} answered with HTTP {answer.status}", request=request, response=response
    )


def _charset(headers: httpx.Headers) -> str:
    response = httpx.Response(200, headers={"content-type": headers.get("content-type", "")})
    said = (response.charset_encoding or "").lower()
    return said if said in _CHARSETS else "utf-8"


def _fitting(text: str, largest_bytes: int) -> str:
    """Return as much of the beginning as fits; quotes and control characters are longer in JSON."""
    if _stored_bytes(text) <= largest_bytes:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _stored_bytes(text[:middle]) <= largest_bytes:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def _stored_bytes(text: str) -> int:
    # Without the quotes around it.
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
