"""Trying a call again inside the call: a blip shall not cost a long job its attempt."""

from dataclasses import dataclass
from typing import Final

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.backoff import full_jitter
from holdfast.resilience.evidence import look, names_of
from holdfast.resilience.faults import Fault, Judgement

_SPREAD_SHARE: Final = 0.1
_LEAST_SPREAD_SECONDS: Final = 1.0
_DEEPEST_CAUSE: Final = 8
_BEFORE_THE_UPSTREAM: Final = frozenset(
    {
        "builtins.ConnectionRefusedError",
        "socket.gaierror",
        "httpx.ConnectError",
        "httpx.ConnectTimeout",
        "httpx.PoolTimeout",
        "httpcore.ConnectError",
        "httpcore.ConnectTimeout",
        "aiohttp.ClientConnectorError",
        "requests.ConnectTimeout",
        "urllib3.NewConnectionError",
        "urllib3.ConnectTimeoutError",
    }
)
"""Errors of connecting: the upstream has not heard of the call, so another try cannot double anything."""


@dataclass(frozen=True, slots=True)
class CallRetry:
    """How often, and how patiently, a call is made again before its job hears of the failure.

    Waits hold the job's slot, so they are short; whatever needs longer is the
    job's to wait for. Of guards within guards, only the outermost with a policy
    tries again: layers of retries would multiply.
    """

    max_attempts: int = 3
    """Calls in all, the first counted; 1 to 100."""
    base_seconds: float = 0.5
    """The first wait is at most this long; full jitter."""
    cap_seconds: float = 8.0
    """No wait is longer, nor is an upstream's Retry-After waited for that is: its job comes back instead."""
    is_idempotent: bool = False
    """The call may be made twice, whatever became of the first one. If not, it is made again only where the
    upstream refused it (429, 503 with Retry-After) or was never reached."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not 1 <= self.max_attempts <= 100:  # noqa: PLR2004 -- the bounds are stated above
            raise ValueError("CallRetry.max_attempts must be from 1 to 100")
        if not 0 <= self.base_seconds <= self.cap_seconds:
            raise ValueError("CallRetry needs 0 <= base_seconds <= cap_seconds")


def next_wait(
    policy: CallRetry, attempt: int, error: BaseException, judgement: Judgement, *, jitter: float
) -> float | None:
    """Return how long to wait before the next call, in seconds; None if this one was the last.

    `attempt` counts from 1 and is the call that failed; `jitter` is a random
    number in [0, 1). Never shorter than what the upstream asked for.
    """
    if attempt >= policy.max_attempts or isinstance(error, RejectedError):
        return None
    match judgement.fault:
        case Fault.PUSHBACK:
            pass
        case Fault.TRANSIENT if policy.is_idempotent or is_before_the_upstream(error):
            pass
        case _:
            return None
    wait = full_jitter(
        attempt, base_seconds=policy.base_seconds, cap_seconds=policy.cap_seconds, fraction=jitter
    )
    asked = judgement.retry_after_seconds
    if asked is None:
        return wait
    if asked > policy.cap_seconds:
        return None
    wait = max(wait, asked)
    return wait + jitter * max(_SPREAD_SHARE * wait, _LEAST_SPREAD_SECONDS)


def is_before_the_upstream(error: BaseException) -> bool:
    """Tell whether a call failed before its upstream can have heard of it."""
    link: object = error
    for _ in range(_DEEPEST_CAUSE):
        if not isinstance(link, BaseException):
            return False
        if not _BEFORE_THE_UPSTREAM.isdisjoint(names_of(link)):
            return True
        link = look(link, "__cause__")
    return False
