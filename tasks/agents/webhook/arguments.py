"""What may be asked of a `webhook`."""

from typing import Annotated, Final, Literal

import httpx
from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter

from holdfast.jobs.errors import TargetForbidden
from holdfast.tasks.outbound.call import Call
from holdfast.tasks.outbound.headers import checked_headers

DEFAULT_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 300.0
DEFAULT_BYTES: Final = 1_000_000
"""Also the most: with the rest of the answer it fits into the result of a job."""


_URL: Final = TypeAdapter(HttpUrl)


def _callable_url(text: str) -> str:
    found = str(_URL.validate_python(text))
    try:
        Call("GET", httpx.URL(found)).checked()
    except TargetForbidden as error:
        raise ValueError(error.detail) from error
    return found


Method = Literal["POST", "PUT", "PATCH", "DELETE", "GET"]
Url = Annotated[str, AfterValidator(_callable_url), Field(json_schema_extra={"format": "uri"})]
"""What `HttpUrl` takes, as text, without a name and password. Where it leads is seen when it is called."""
Headers = Annotated[dict[str, str], AfterValidator(checked_headers)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
Bytes = Annotated[int, Field(ge=0, le=DEFAULT_BYTES)]
