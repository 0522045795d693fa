"""The task `webhook`: an HTTP call that is tried until it is made."""

from typing import Final

import httpx
from pydantic import JsonValue

from holdfast.jobs import codec
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.agents.webhook.answer import WebhookAnswer, refused, stored
from holdfast.tasks.agents.webhook.arguments import (
    DEFAULT_BYTES,
    DEFAULT_SECONDS,
    LONGEST_SECONDS,
    Bytes,
    Headers,
    Method,
    Seconds,
    Url,
)
from holdfast.tasks.context import TaskContext
from holdfast.tasks.outbound import Answer, Call, Outbound
from holdfast.tasks.payload import LARGEST_EVER_BYTES
from holdfast.tasks.task import task

OUTBOUND: Final = Outbound()
"""Makes the calls of this process. Whoever puts a worker together gives it the rules of the settings."""
GUARD: Final = Guard("webhook", retry=None)
"""One breaker for each host, `webhook[HOST]`. It makes each call once: the job is what is tried again."""

PATIENT: Final = RetryPolicy(max_attempts=12, base_seconds=5.0, cap_seconds=3600.0)
"""A receiver that is restarted, or away for an hour, gets its call."""
_ENVELOPE_BYTES: Final = 48_000
"""Of a result: what stands beside the body, at the most."""
_END_SECONDS: Final = 30.0
"""For what is not the call."""


@task(name="webhook", hard_timeout_seconds=LONGEST_SECONDS + _END_SECONDS, retry=PATIENT)
async def webhook(
    ctx: TaskContext,
    url: Url,
    body: JsonValue = None,
    *,
    method: Method = "POST",
    headers: Headers | None = None,
    timeout_seconds: Seconds = DEFAULT_SECONDS,
    largest_bytes: Bytes = DEFAULT_BYTES,
) -> WebhookAnswer:
    """Send a JSON body to a URL, and keep the answer.

    Carries an `Idempotency-Key` that is the same over all attempts. Goes to
    public addresses and to HOLDFAST_WEBHOOK_ALLOWED_NETWORKS, also through at
    most five redirects. `timeout_seconds` is for one attempt, of which the answer
    is read up to `largest_bytes`. `body` None sends none. `headers` stand in the
    ledger in clear, as all arguments do.

    HTTP 2xx completes the job. 429, 503 and their like are tried again when the
    answer says so; other 4xx quarantine the job.
    """
    call = Call(
        method,
        httpx.URL(url),
        _headers(headers or {}, ctx.idempotency_key(), has_body=body is not None),
        None if body is None else codec.encode(body, largest_bytes=LARGEST_EVER_BYTES).encode(),
    )
    # The end of the job, where that is nearer, is the guard's business.
    answer = await GUARD.for_key(call.url.host).acall(_made, call, timeout_seconds, largest_bytes)
    room = max(ctx.result_largest_bytes - _ENVELOPE_BYTES, 0)
    return stored(answer, largest_bytes=min(largest_bytes, room))


async def _made(call: Call, seconds: float, largest_bytes: int) -> Answer:
    answer = await OUTBOUND.call(call, seconds=seconds, largest_bytes=largest_bytes)
    error = refused(answer)
    if error is not None:
        raise error
    return answer


def _headers(given: dict[str, str], idempotency_key: str, *, has_body: bool) -> dict[str, str]:
    names = {name.lower() for name in given}
    ours = {"Idempotency-Key": idempotency_key}
    if has_body and "content-type" not in names:
        ours["Content-Type"] = "application/json"
    return {**given, **ours}
