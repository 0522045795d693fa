"""The breaker's one decision: a circuit and a message in, the next circuit and a reply out.

Pure, whole numbers only, no clock and no chance of its own. The store's
script computes the same; a test compares the two over random walks.
"""

from dataclasses import replace
from typing import Final

from holdfast.resilience.breaker.circuit import TURNS, Circuit, Override, Phase, Slot, Turn
from holdfast.resilience.breaker.message import Message, Order, ProbeWord, Reply
from holdfast.resilience.breaker.policy import PERCENT
from holdfast.resilience.breaker.terms import SLOTS, Terms

SECOND: Final = 1000
THOUSAND_SECONDS: Final = 1_000_000
CALM: Final = 4_000
"""Milliseconds without a failure after which a ramp that has failed grows by one percent more a second."""
BURST: Final = 250_000
"""Microseconds of unused permits that a ramp keeps: its users come by in steps."""
NEWCOMER: Final = 0
"""The epoch of a process that has heard nothing yet: what it counted is of now."""
_OVERRIDES: Final = {
    Order.ISOLATE: Override.ISOLATED,
    Order.DISABLE: Override.DISABLED,
    Order.SHADOW: Override.SHADOW,
    Order.RELEASE: Override.NONE,
    Order.CLOSE: Override.NONE,
}


def exchange(before: Circuit, message: Message, now: int, terms: Terms) -> tuple[Circuit, Reply]:
    """Take a message in; `now` is the store's clock in milliseconds."""
    step = _Step(_copy(before), message, now, terms)
    return step.circuit, step.run()


class _Step:
    """One exchange, under way."""

    def __init__(self, circuit: Circuit, message: Message, now: int, terms: Terms) -> None:
        self.circuit = circuit
        self._message = message
        self._now = now
        self._terms = terms
        self._turns: list[Turn] = []
        self._is_overridden = False
        self._has_counted = False
        self._permits = 0

    def run(self) -> Reply:
        self._pass_time()
        self._obey()
        self._remember()
        self._count()
        self._judge()
        self._hear_of_the_probe()
        self._grant()
        return self._reply()

    # Time.

    def _pass_time(self) -> None:
        c, now = self.circuit, self._now
        if c.override is not Override.NONE and 0 < c.override_until <= now:
            self._override(Override.NONE, 0, "its time was over", "")
        if c.phase is Phase.CLOSED:
            while c.trips > 0 and now - c.forgiven_at >= self._terms.forgive:
                c.trips -= 1
                c.forgiven_at += self._terms.forgive
        elif c.phase is Phase.RAMP:
            self._grow()

    def _grow(self) -> None:
        c = self.circuit
        seconds = (self._now - c.grown_at) // SECOND
        if seconds <= 0:
            return
        growth = self._terms.quick_growth
        if c.has_failed:
            # Near its limit the rate creeps; the longer nothing fails, the surer the limit has moved.
            calm = (self._now - c.cut_at) // CALM
            growth = min(self._terms.slow_growth + calm, growth)
        # One step for a second that was used; a pause proves nothing of the upstream.
        if c.taken > 0:
            c.rate = min(c.rate * growth // PERCENT + 1, self._terms.most_rate)
        c.taken = 0
        c.grown_at += seconds * SECOND

    # Orders.

    def _obey(self) -> None:
        m = self._message
        if m.order is Order.NOTHING:
            return
        until = self._now + m.order_for if m.order_for > 0 else 0
        self._override(_OVERRIDES[m.order], until, m.order_reason, m.order_actor)
        if m.order is Order.CLOSE and self.circuit.phase is not Phase.CLOSED:
            self.circuit.trips = 0
            self._turn(Turn.FORCED, m.order_reason)

    def _override(self, override: Override, until: int, reason: str, actor: str) -> None:
        c = self.circuit
        c.override, c.override_until = override, until
        c.override_reason, c.override_actor = reason, actor
        c.epoch += 1
        self._is_overridden = True

    def _remember(self) -> None:
        c, m = self.circuit, self._message
        if m.known_epoch <= c.epoch:
            return
        # The store lost what it knew: the stricter of the two memories counts.
        c.epoch = m.known_epoch
        if c.phase is Phase.CLOSED and m.known_open > 0:
            c.trips += 1
            self._turn(Turn.REMEMBERED, "the store had forgotten")
            c.until = self._now + min(m.known_open, self._terms.longest_open)

    # Counting.

    def _count(self) -> None:
        c, m, now = self.circuit, self._message, self._now
        if m.retry_after > 0:
            c.not_before = max(c.not_before, now + min(m.retry_after, self._terms.longest_retry_after))
        if m.backlog:
            c.backlog_until = now + self._terms.backlog_counts
        if m.fatal:
            self._override(Override.ISOLATED, now + self._terms.fatal, m.fatal, "the breaker")
        if m.ok + m.failed + m.pushed + m.slow == 0 and m.overdue == 0:
            return
        if m.epoch not in {c.epoch, NEWCOMER} or c.phase not in {Phase.CLOSED, Phase.RAMP}:
            # From another time: a number for the metrics, and nothing to judge by.
            return
        slot = self._slot()
        slot.ok += m.ok
        slot.failed += m.failed
        slot.pushed += m.pushed
        slot.slow += m.slow
        slot.overdue += m.overdue
        c.heard = _noted(c.heard, m.who, now)
        if m.failed > 0:
            c.failers = _noted(c.failers, m.who, now)
        c.recent += [(now, 0)] * min(m.ok, self._terms.rare_calls)
        c.recent += [(now, 1)] * min(m.failed, self._terms.rare_calls)
        c.recent = c.recent[-self._terms.rare_calls :]
        self._lengthen_streak()
        self._has_counted = True

    def _slot(self) -> Slot:
        c = self.circuit
        stamp = self._now // self._terms.slot
        c.slots = [slot for slot in c.slots if stamp - SLOTS < slot.stamp <= stamp]
        if not c.slots or c.slots[-1].stamp != stamp:
            c.slots.append(Slot(stamp))
        return c.slots[-1]

    def _lengthen_streak(self) -> None:
        c, m = self.circuit, self._message
        if m.ok > 0 and self._now - m.ok_age >= c.streak_since:
            c.streak, c.streak_since, c.streak_by, c.is_streak_shared = 0, 0, "", False
        added = m.tail if m.ok > 0 else m.failed
        if added <= 0:
            return
        if c.streak == 0:
            c.streak_since = self._now - m.tail_age
        c.streak += added
        if not c.streak_by:
            c.streak_by = m.who
        elif c.streak_by != m.who:
            c.is_streak_shared = True

    # Judging.

    def _judge(self) -> None:
        match self.circuit.phase:
            case Phase.CLOSED:
                if reason := self._illness(self._terms.window):
                    self._open(Turn.OPENED, reason)
            case Phase.RAMP:
                if reason := self._illness(self._terms.ramp_window):
                    self._open(Turn.FELL_BACK, reason)
                else:
                    self._steer()
            case _:
                pass

    def _illness(self, window: int) -> str:
        # Whoever only looks, or orders, may come with another policy than those who call.
        return self._ill(window) if self._has_counted else ""

    def _ill(self, window: int) -> str:
        """Say by which rule the upstream is ill; empty: it is well."""
        c, terms = self.circuit, self._terms
        several = self._are_two(c.heard)
        if c.streak >= terms.streak and (c.is_streak_shared or not several):
            return "streak"
        ok, failed, pushed, slow, overdue = self._sums(window)
        ended = ok + failed
        is_fleetwide = self._are_two(c.failers) or not several
        if ended >= terms.least_calls:
            if failed * PERCENT >= ended * terms.failing_percent and is_fleetwide:
                return "failing"
        elif self._is_rarely_well() and is_fleetwide:
            return "failing"
        calls = ended + max(overdue, 0)
        if calls >= terms.least_slow_calls and slow * PERCENT >= calls * terms.slow_percent:
            return "slow"
        asked = ended + pushed
        is_long = bool(c.slots) and c.slots[0].stamp <= self._now // terms.slot - (SLOTS - 1)
        if is_long and asked >= terms.least_calls and pushed * PERCENT > asked * terms.failing_percent:
            return "pushed_back"
        return ""

    def _is_rarely_well(self) -> bool:
        c, terms = self.circuit, self._terms
        fresh = [failed for at, failed in c.recent if self._now - at <= terms.rare]
        return len(fresh) >= terms.rare_calls and sum(fresh) * PERCENT >= len(fresh) * terms.failing_percent

    def _are_two(self, noted: list[tuple[str, int]]) -> bool:
        return sum(self._now - at <= self._terms.window for _, at in noted) > 1

    def _sums(self, window: int) -> tuple[int, int, int, int, int]:
        oldest = (self._now - window) // self._terms.slot
        counted = [slot for slot in self.circuit.slots if slot.stamp > oldest]
        return (
            sum(slot.ok for slot in counted),
            sum(slot.failed for slot in counted),
            sum(slot.pushed for slot in counted),
            sum(slot.slow for slot in counted),
            sum(slot.overdue for slot in counted),
        )

    def _steer(self) -> None:
        c, m, terms, now = self.circuit, self._message, self._terms, self._now
        if m.epoch in {c.epoch, NEWCOMER} and m.failed + m.pushed > 0:
            c.has_failed = True
            if now - c.cut_at >= SECOND:
                c.rate = max(c.rate * terms.cut_percent // PERCENT, terms.least_rate)
                c.cut_at = now
        ok, failed, pushed, _, _ = self._sums(terms.ramp_window)
        calls = ok + failed + pushed
        is_well = ok > 0 and (failed + pushed) * PERCENT < calls * terms.well_percent
        if not is_well or c.rate < c.normal_rate:
            c.well_since = 0
        elif c.well_since == 0:
            c.well_since = now
        elif now - c.well_since >= terms.ramp_window and c.backlog_until <= now:
            self._turn(Turn.RECOVERED, "well")
            c.forgiven_at = now

    # Turning.

    def _turn(self, turn: Turn, reason: str) -> None:
        c = self.circuit
        froms, to = TURNS[turn]
        if c.phase not in froms:
            raise ValueError(f"a circuit that is {c.phase} cannot be {turn}")
        c.phase, c.epoch, c.turned_at, c.reason = to, c.epoch + 1, self._now, reason
        c.slots, c.recent, c.heard, c.failers = [], [], [], []
        c.streak, c.streak_since, c.streak_by, c.is_streak_shared = 0, 0, "", False
        c.probe_owner, c.probe_until, c.probe_began, c.probe_wins = "", 0, 0, 0
        self._turns.append(turn)

    def _open(self, turn: Turn, reason: str) -> None:
        c, terms = self.circuit, self._terms
        best = max((slot.ok for slot in c.slots), default=0) * THOUSAND_SECONDS // terms.slot
        if turn is Turn.OPENED and best > 0:
            c.normal_rate = best
        c.trips += 1
        span = min(terms.open << min(c.trips - 1, 20), terms.longest_open)
        self._turn(turn, reason)
        c.until = max(self._now + span * (800 + self._message.chance // 5) // SECOND, c.not_before)

    # Probes.

    def _hear_of_the_probe(self) -> None:
        probe = self._message.probe
        if probe is ProbeWord.ASK:
            self._lend()
        # Who lost the lease, and wakes up late, has no say.
        elif self._is_prober():
            match probe:
                case ProbeWord.RENEW:
                    self._renew()
                case ProbeWord.WON:
                    self._win()
                case ProbeWord.LOST:
                    self._open(Turn.RELAPSED, "probe")
                case ProbeWord.DROPPED:
                    self._drop()
                case _:
                    pass

    def _is_prober(self) -> bool:
        c, m = self.circuit, self._message
        return c.phase is Phase.HALF_OPEN and m.token != "" and c.probe_owner == m.token

    def _lend(self) -> None:
        c, now = self.circuit, self._now
        if c.override in {Override.ISOLATED, Override.DISABLED} or not self._message.token:
            return
        if c.phase is Phase.OPEN and now >= max(c.until, c.not_before):
            self._turn(Turn.PROBING, "time")
        if c.phase is Phase.HALF_OPEN and now >= c.not_before and (not c.probe_owner or c.probe_until <= now):
            c.probe_owner, c.probe_until, c.probe_began = (
                self._message.token,
                now + self._terms.probe_lease,
                now,
            )

    def _renew(self) -> None:
        c, now = self.circuit, self._now
        if now - c.probe_began > self._terms.longest_probe:
            self._open(Turn.RELAPSED, "probe without end")
        else:
            c.probe_until = now + self._terms.probe_lease

    def _win(self) -> None:
        c, terms = self.circuit, self._terms
        c.probe_wins += 1
        self._drop()
        if c.probe_wins >= terms.probe_successes or self._message.probe_took > terms.long_probe:
            self._turn(Turn.RECOVERING, "probe")
            c.rate = max(terms.least_rate, c.normal_rate * terms.ramp_start // PERCENT)
            c.grown_at, c.cut_at, c.taken, c.next_permit = self._now, 0, 0, 0
            c.has_failed, c.well_since = False, 0

    def _drop(self) -> None:
        c = self.circuit
        c.probe_owner, c.probe_until, c.probe_began = "", 0, 0

    # The ramp's permits.

    def _grant(self) -> None:
        c, m = self.circuit, self._message
        if c.phase is not Phase.RAMP or m.wants <= 0 or self._now < c.not_before:
            return
        interval = self._interval()
        at = (self._now - c.turned_at) * SECOND
        arrival = max(c.next_permit, at - BURST)
        if arrival > at:
            return
        self._permits = min(m.wants, (at - arrival) // interval + 1)
        c.next_permit = arrival + self._permits * interval
        c.taken += self._permits

    def _interval(self) -> int:
        # Microseconds between two permits.
        return SECOND * THOUSAND_SECONDS // self.circuit.rate

    # The answer.

    def _reply(self) -> Reply:
        c, now = self.circuit, self._now
        closed_for = max(c.until - now, 0) if c.phase is Phase.OPEN else 0
        if c.phase is Phase.HALF_OPEN and c.probe_owner:
            closed_for = max(c.probe_until - now, 0)
        if c.override is Override.ISOLATED:
            closed_for = max(c.override_until - now, 0)
        next_permit = 0
        if c.phase is Phase.RAMP:
            next_permit = max(c.next_permit - (now - c.turned_at) * SECOND, 0) // SECOND
        return Reply(
            phase=c.phase,
            epoch=c.epoch,
            override=c.override,
            reason=c.override_reason if c.override is not Override.NONE else c.reason,
            closed_for=closed_for,
            not_before=max(c.not_before - now, 0),
            is_prober=self._is_prober(),
            permits=self._permits,
            next_permit=next_permit,
            rate=c.rate if c.phase is Phase.RAMP else 0,
            turns=tuple(self._turns),
            is_overridden=self._is_overridden,
        )


def _copy(circuit: Circuit) -> Circuit:
    # Everything within is whole numbers and texts; a deep copy costs twenty times as much.
    return replace(
        circuit,
        slots=[replace(slot) for slot in circuit.slots],
        recent=[*circuit.recent],
        heard=[*circuit.heard],
        failers=[*circuit.failers],
    )


def _noted(noted: list[tuple[str, int]], who: str, now: int) -> list[tuple[str, int]]:
    """Note that somebody was heard: the last two different ones are enough to tell one from several."""
    return [*[(name, at) for name, at in noted if name != who][-1:], (who, now)]
