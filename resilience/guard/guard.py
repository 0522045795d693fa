"""The guard of an upstream: what every call to it goes through, in this order, the outermost first.

    deadline        no call begins when its time is over
    retry, budget   a blip is tried again, here and now, if that is safe
    hedge           a second call where the first one is late
    breaker         a sick upstream is not called; each attempt counts
    limits          so many calls a minute, so many at one time
    time            an attempt has an end; waiting for a place does not count as the upstream's
    chaos           faults on purpose, off unless HOLDFAST_CHAOS is set
    call

The ladder (another model, a cached answer) stands outside of guards, since each
rung has its own. Parking a job stands outside, too: it is what the job layer
does with the refusal of the outermost guard.
"""

import asyncio
import copy
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar, overload

from holdfast.jobs.codec import digest
from holdfast.jobs.errors import AttemptTimeout, RejectedError
from holdfast.resilience.breaker.breaker import Breaker, Judge
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM
from holdfast.resilience.errand import CURRENT, Errand
from holdfast.resilience.fleet import DEFAULT_POLICY, FLEET, Fleet
from holdfast.resilience.guard.call_retry import CallRetry
from holdfast.resilience.guard.entrance import Entrance
from holdfast.resilience.guard.fast import fast_acall, fast_call
from holdfast.resilience.guard.frame import FRAME, NOWHERE, Frame
from holdfast.resilience.guard.hedge import Hedge, hedged
from holdfast.resilience.guard.layers import Layer, Layers
from holdfast.resilience.guard.retry_budget import RetryBudget
from holdfast.resilience.guard.slot import Slot
from holdfast.resilience.guard.streams import guarded_generator, guarded_stream
from holdfast.resilience.guard.tries import Tries
from holdfast.resilience.verdicts import verdict_of

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_RETRY: Final = CallRetry()
_NEWS: Final = 0.2
"""What the latest attempt adds to the usual time of one."""


class Guard:
    """Makes the calls to one upstream. All methods may be called from any thread and any event loop.

    Use it as a decorator, as `guard.slot()` around a block, or by `call` and
    `acall`. What a call raises passes through unchanged. A call that was not
    made raises a RejectedError (BreakerOpen, RateLimited, BulkheadFull,
    DeadlinePassed), which in a job gives the attempt back. A guard within a
    guard of the same upstream joins the outer one's call.
    """

    def __init__(
        self,
        name: str,
        *,
        breaker: BreakerPolicy = DEFAULT_POLICY,
        retry: CallRetry | None = DEFAULT_RETRY,
        limits: Sequence[Layer] = (),
        timeout_seconds: float | None = None,
        hedge: Hedge | None = None,
        patience_seconds: float = 0.0,
        judged_by: Judge = verdict_of,
        fleet: Fleet = FLEET,
        stands_in_for: Breaker | None = None,
    ) -> None:
        """Guard an upstream by this name, which all processes that call it use.

        `retry=None` makes each call once. `limits` are entered in their order:
        rate limits first, then bulkheads. `timeout_seconds` cuts off an `async`
        attempt; a plain function reads `time_left()`. `patience_seconds` is how
        long a call that is refused waits for its turn instead of raising (a job
        that can be parked waits for a limit only, and a second at least). Raises
        ValueError for another policy than the upstream already has.
        `stands_in_for` is for `Guard.of` only.
        """
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise ValueError(f"the timeout of the guard {name!r} must be greater than 0")
        self.name = name
        self.policy = breaker
        self.fleet = fleet
        self.breaker = stands_in_for or fleet.breaker(name, breaker, judged_by)
        self.budget = RetryBudget(self.breaker.calls)
        self._retry = retry if retry is not None and retry.max_attempts > 1 else None
        self._patience = patience_seconds
        self.judge = judged_by
        self._entrance = Entrance(
            self.breaker,
            fleet,
            Layers(limits),
            judged_by,
            timeout_seconds,
            retries=self._retry is not None,
        )
        self._hedge = hedge
        self._is_plain = not limits and timeout_seconds is None and hedge is None
        self._now = self.breaker.now
        self.alone = self._entrance.inside(NOWHERE, None)
        self._fast_call, self._fast_acall = fast_call(self, _call), fast_acall(self, _acall)
        self._expected = 0.0
        if stands_in_for is None:
            options = (breaker, retry, timeout_seconds, hedge, patience_seconds, judged_by, *limits)
            fleet.declare(name, self, options)

    @classmethod
    def of(cls, name: str, *, fleet: Fleet = FLEET) -> "Guard":
        """Return the guard of an upstream: the one that was declared, else one with all defaults.

        The same object each time. Of guards that nobody declared a process keeps
        ten thousand; one that was dropped while it was idle begins anew, closed.
        Raises ValueError for a name that cannot be one, and for an upstream with
        several guards that differ in their options.
        """
        declared: Guard | None = fleet.declared(name)
        if declared is not None:
            return declared
        breaker = fleet.keyed_breaker(name, DEFAULT_POLICY)
        return fleet.stand_in(breaker, lambda of: cls(name, breaker=of.policy, fleet=fleet, stands_in_for=of))

    # How it is used.

    @overload
    def __call__(self, function: Callable[P, T]) -> Callable[P, T]: ...
    @overload
    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]: ...
    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Guard a function: `def` or `async def`, also one that yields; a stream's end is its outcome."""
        if inspect.isasyncgenfunction(function):
            return guarded_stream(self._entrance, function)
        if inspect.isgeneratorfunction(function):
            return guarded_generator(self._entrance, function)
        is_async = inspect.iscoroutinefunction(function)
        if self._is_plain:
            call = fast_acall(self, function) if is_async else fast_call(self, function)
            return functools.wraps(function)(call)
        return _guarded_by(lambda *_, **__: self, function)

    def slot(self) -> Slot:
        """Guard a block: `with guard.slot() as slot`, or `async with`. It is one attempt."""
        return Slot(self._entrance)

    def keyed(self, key: Callable[..., object]) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Guard a function with a breaker for each key, which `key` makes of the call's arguments.

        For upstreams that fail for one tenant and not for another. All else is
        shared. Of very many keys a process keeps ten thousand; one that was
        dropped while it was idle begins anew, closed.
        """

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            return _guarded_by(lambda *given, **options: self.for_key(key(*given, **options)), function)

        return decorate

    def for_key(self, key: object) -> "Guard":
        """Return the guard of one key, as `keyed` makes it."""
        name = f"{self.name}[{key}]"
        if len(name) > LONGEST_UPSTREAM or not name.isprintable():
            name = f"{self.name[: LONGEST_UPSTREAM // 2]}[{digest(name)[:32]}]"
        guard = copy.copy(self)
        guard.name = name
        guard.breaker = self.fleet.keyed_breaker(name, self.policy, self._entrance.judge)
        guard._entrance = self._entrance.of(guard.breaker)  # noqa: SLF001 -- our own copy
        guard.alone = guard._entrance.inside(NOWHERE, None)  # noqa: SLF001 -- our own copy
        guard._fast_call, guard._fast_acall = fast_call(guard, _call), fast_acall(guard, _acall)  # noqa: SLF001 -- our own copy
        return guard

    # The calls.

    def call(self, function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
        """Call a plain function."""
        if self._is_plain:
            return self._fast_call(function, *arguments, **options)
        return self.in_full(functools.partial(function, *arguments, **options))

    async def acall(
        self, function: Callable[P, Awaitable[T]], /, *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Call a coroutine function."""
        if self._is_plain:
            result: T = await self._fast_acall(function, *arguments, **options)
            return result
        return await self.ain_full(functools.partial(function, *arguments, **options))

    # The full way.

    def in_full(self, call: "functools.partial[T]") -> T:
        """Make a call through everything."""
        frame, on = FRAME.get(), CURRENT.get()
        if self.name in frame.names:
            return call()
        try:
            return self._attempt(frame, on, call)
        except BaseException as error:  # noqa: BLE001 -- raised again, unless another attempt goes well
            return self._again(error, frame, on, call)

    async def ain_full(self, call: "functools.partial[Awaitable[T]]") -> T:
        """Do the same on an event loop."""
        frame, on = FRAME.get(), CURRENT.get()
        if self.name in frame.names:
            return await call()
        try:
            return await self._aattempt(frame, on, call)
        except BaseException as error:  # noqa: BLE001 -- raised again, unless another attempt goes well
            return await self._aagain(error, frame, on, call)

    def again(self, failed: BaseException, call: "functools.partial[T]") -> T:
        """Make a call again whose first attempt took the fast path, or raise what that raised."""
        return self._again(failed, NOWHERE, None, call)

    async def aagain(self, failed: BaseException, call: "functools.partial[Awaitable[T]]") -> T:
        """Do the same on an event loop."""
        return await self._aagain(failed, NOWHERE, None, call)

    def _again(
        self,
        failed: BaseException,
        frame: Frame,
        on: Errand | None,
        call: "functools.partial[T]",
    ) -> T:
        if self._is_the_last_word(failed, on):
            raise failed
        tries = self._tries(frame, on)
        try:
            while (wait := tries.after(self._signed(failed))) is not None:
                threading.Event().wait(wait)
                if not tries.may_go():
                    break
                try:
                    with tries:
                        return self._attempt(frame, on, call)
                except BaseException as error:  # noqa: BLE001 -- raised below, unless there is another attempt
                    failed = error
            raise failed
        finally:
            # Else the error would hold the frame that holds the error.
            del failed

    async def _aagain(
        self,
        failed: BaseException,
        frame: Frame,
        on: Errand | None,
        call: "functools.partial[Awaitable[T]]",
    ) -> T:
        if self._is_the_last_word(failed, on):
            raise failed
        tries = self._tries(frame, on)
        try:
            while (wait := tries.after(self._signed(failed))) is not None:
                await asyncio.sleep(wait)
                if not tries.may_go():
                    break
                try:
                    with tries:
                        return await self._aattempt(frame, on, call)
                except BaseException as error:  # noqa: BLE001 -- raised below, unless there is another attempt
                    failed = error
            raise failed
        finally:
            # Else the error would hold the frame that holds the error.
            del failed

    def _tries(self, frame: Frame, on: Errand | None) -> Tries:
        return Tries(
            self.name,
            retry=None if frame.retries else self._retry,
            budget=self.budget,
            patience_seconds=self._patience,
            on=on,
            clock=self.fleet.clock,
            expected_seconds=self._expected,
            is_alone=self.fleet.is_alone,
        )

    def _is_the_last_word(self, error: BaseException, on: Errand | None) -> bool:
        """Tell whether a refusal is raised as it is, which is what most of very many refusals are."""
        if on is not None or self._patience > 0 or not isinstance(error, RejectedError):
            return False
        self._entrance.note(error)
        return True

    def _signed(self, error: BaseException) -> BaseException:
        if isinstance(error, RejectedError):
            self._entrance.note(error)
        return error

    # One attempt.

    def _attempt(self, frame: Frame, on: Errand | None, call: "functools.partial[T]") -> T:
        attempt = self._entrance.enter(frame, on, call.args, call.keywords)
        token = FRAME.set(self._entrance.inside(frame, attempt.until))
        began = self._now()
        try:
            result = attempt.struck(call, began)()
        except BaseException as error:
            attempt.fail(error)
            if on is not None:
                on.failed = (self.name, error)
            raise
        finally:
            FRAME.reset(token)
        self._note_time(self._now() - began)
        attempt.succeed(result)
        return result

    async def _aattempt(self, frame: Frame, on: Errand | None, call: "functools.partial[Awaitable[T]]") -> T:
        if self._hedge is None:
            return await self._aattempt_once(frame, on, call)
        once = functools.partial(self._aattempt_once, frame, on, call)
        return await hedged(self._hedge, self.budget, once)

    async def _aattempt_once(
        self, frame: Frame, on: Errand | None, call: "functools.partial[Awaitable[T]]"
    ) -> T:
        attempt = await self._entrance.aenter(frame, on, call.args, call.keywords)
        token = FRAME.set(self._entrance.inside(frame, attempt.until))
        began = self._now()
        try:
            struck = attempt.astruck(call)
            if attempt.until is None:
                result = await struck()
            else:
                result = await self._in_time(attempt.until - began, struck)
        except BaseException as error:
            attempt.fail(error)
            if on is not None:
                on.failed = (self.name, error)
            raise
        finally:
            FRAME.reset(token)
        self._note_time(self._now() - began)
        attempt.succeed(result)
        return result

    async def _in_time(self, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await call()
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise AttemptTimeout(detail=f"a call to {self.name} had {seconds:.3g} s") from error

    def _note_time(self, seconds: float) -> None:
        self._expected += _NEWS * (seconds - self._expected)


def _call(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    return function(*arguments, **options)


async def _acall(function: Callable[P, Awaitable[T]], *arguments: P.args, **options: P.kwargs) -> T:
    return await function(*arguments, **options)


def _guarded_by(guard_of: Callable[..., Guard], function: Callable[..., Any]) -> Callable[..., Any]:
    """Guard a function by what `guard_of` makes of each call's arguments."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def acalled(*arguments: object, **options: object) -> object:
            return await guard_of(*arguments, **options).acall(function, *arguments, **options)

        return acalled

    @functools.wraps(function)
    def called(*arguments: object, **options: object) -> object:
        return guard_of(*arguments, **options).call(function, *arguments, **options)

    return called
