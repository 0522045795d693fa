"""What an exception says about the upstream, which is not what it says about another try.

`judge()` answers whether the job may be tried again; here the same fault is
read as the breaker needs it.
"""

import asyncio
from typing import Final

from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker.verdict import FAILURE, NO_VERDICT, SUCCESS, Ending, Verdict
from holdfast.resilience.faults import Fault, judge

_CLOCK: Final = SystemClock()
_REFUSALS: Final = range(400, 500)


def verdict_of(error: BaseException, clock: Clock = _CLOCK) -> Verdict:
    """Judge a call by what it raised. Raises nothing.

    A refusal of ours counts nowhere, nor does a call that somebody stopped. A
    permanent fault that came as an HTTP answer (404, 422) is a success: the
    upstream was there and answered. One without an answer may be a bug on our
    side of the wire, and says nothing.
    """
    if isinstance(error, (asyncio.CancelledError, RejectedError)):
        return NO_VERDICT
    judgement = judge(error, now=clock.now())
    match judgement.fault:
        case Fault.TRANSIENT | Fault.UNKNOWN:
            return FAILURE
        case Fault.PUSHBACK:
            return Verdict(Ending.PUSHED, judgement.retry_after_seconds or 0.0)
        case Fault.FATAL:
            status = "" if judgement.status is None else f" (HTTP {judgement.status})"
            return Verdict(Ending.FATAL, why=f"{type(error).__qualname__}{status}")
        case Fault.PERMANENT if judgement.status in _REFUSALS:
            return SUCCESS
        case _:
            return NO_VERDICT
