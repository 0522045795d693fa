"""The breaker's decision: by which rule it opens, how it probes, how it comes back, what counts nowhere."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.resilience.breaker.circuit import TURNS, Circuit, Override, Phase, Turn
from holdfast.resilience.breaker.machine import exchange
from holdfast.resilience.breaker.message import Message, Order, ProbeWord
from holdfast.resilience.breaker.policy import LOCAL, BreakerPolicy
from holdfast.resilience.breaker.terms import Terms
from holdfast.tests.support.breaker_walks import START, WALKS, present

POLICY = BreakerPolicy()
SECOND = 1000


class Upstream:
    """A circuit, a clock, and whoever speaks."""

    def __init__(self, policy=POLICY):
        self.terms = Terms.of(policy)
        self.circuit, self.now = Circuit(), START
        self.turns = []

    def say(self, who="one", **fields):
        """Exchange a message that speaks of the present epoch."""
        message = Message(who=who, **{"epoch": self.circuit.epoch, **fields})
        self.circuit, reply = exchange(self.circuit, message, self.now, self.terms)
        self.turns += reply.turns
        return reply

    def fail(self, times=1, who="one"):
        """Report failures, one by one."""
        for _ in range(times):
            reply = self.say(who, failed=1)
        return reply

    def succeed(self, times=1, who="one"):
        """Report successes."""
        return self.say(who, ok=times)

    def wait(self, seconds):
        """Let time pass."""
        self.now += round(seconds * SECOND)
        return self

    def opened(self):
        """Bring it to OPEN."""
        self.fail(20)
        return self

    def probing(self, token="prober"):  # noqa: S107 -- a name, no secret
        """Bring it to HALF_OPEN, with a prober."""
        self.opened().wait(30)
        assert self.say(probe=ProbeWord.ASK, token=token).is_prober
        return self

    def ramping(self, normal=0):
        """Bring it to RAMP; `normal` is how many calls a second there were before."""
        for _ in range(10 if normal else 0):
            self.succeed(normal * 3)
            self.wait(3)
        self.probing()
        self.say(probe=ProbeWord.WON, token="prober", probe_took=31 * SECOND)
        assert Phase.RAMP is self.circuit.phase
        return self


@pytest.fixture
def upstream():
    """A closed circuit."""
    return Upstream()


# Opening.


def test_a_streak_opens_at_its_last_failure(upstream):
    """Nineteen failures in a row are bad luck, the twentieth is an outage."""
    assert Phase.CLOSED is upstream.fail(19).phase
    assert (Phase.OPEN, "streak", (Turn.OPENED,)) == (
        (reply := upstream.fail()).phase,
        reply.reason,
        reply.turns,
    )


def test_a_success_breaks_a_streak(upstream):
    """Also one in the same report; the failures after it count anew."""
    upstream.fail(12)
    upstream.say(ok=7, failed=0)
    upstream.say(ok=30, failed=7, tail=4)
    assert 4 == upstream.circuit.streak
    assert Phase.CLOSED is upstream.circuit.phase


def test_a_success_that_is_told_late_breaks_no_streak(upstream):
    """Successes are told lazily: one that began before the first failure did says nothing against it."""
    upstream.fail(10)
    upstream.wait(0.2).say("two", ok=3, failed=1, tail=1, ok_age=201)
    assert 11 == upstream.circuit.streak
    upstream.say("two", ok=1, failed=1, tail=1, ok_age=199)
    assert 1 == upstream.circuit.streak


def test_a_streak_begins_with_its_first_call(upstream):
    """Not when that was told: a success in between ends it."""
    upstream.say(failed=3, tail=3, tail_age=5_000)
    upstream.say(ok=1, ok_age=4_999)
    assert 0 == upstream.circuit.streak


def test_one_bad_process_does_not_open_the_fleet():
    """It fails without end while another one works: the others' calls go on."""
    upstream = Upstream(replace(POLICY, least_calls=10_000, rare_calls=10_000))
    upstream.succeed(who="well")
    upstream.fail(100, who="ill")
    assert Phase.CLOSED is upstream.circuit.phase
    assert Phase.OPEN is upstream.fail(1, who="another").phase


def test_a_process_alone_opens(upstream):
    """Where no other one was heard there is nobody to contradict."""
    upstream.succeed(who="gone")
    upstream.wait(31)
    assert Phase.OPEN is upstream.fail(20, who="alone").phase


@pytest.mark.parametrize(("of_a_hundred", "phase"), [(50, Phase.OPEN), (49, Phase.CLOSED)])
def test_a_share_of_failures_opens(upstream, of_a_hundred, phase):
    """Half of the calls fail, never many in a row."""
    upstream.say(ok=100 - of_a_hundred, failed=of_a_hundred, tail=1)
    assert phase is upstream.circuit.phase


def test_few_calls_are_judged_by_the_last_twenty(upstream):
    """One call in ten seconds never fills a window; twenty in a few minutes do."""
    for number in range(20):
        assert Phase.CLOSED is upstream.circuit.phase
        upstream.say(ok=number % 2, failed=1 - number % 2, tail=1)
        upstream.wait(10)
    assert (Phase.OPEN, "failing") == (upstream.circuit.phase, upstream.circuit.reason)


def test_what_is_old_is_not_judged(upstream):
    """Nine failures of half an hour ago and one of now are one failure of now."""
    for _ in range(9):
        upstream.say(ok=1, failed=1, tail=1)
    assert Phase.CLOSED is upstream.wait(1800).say(ok=1, failed=1, tail=1).phase
    assert "failing" == Upstream().say(ok=10, failed=10, tail=1).reason


def test_calls_in_flight_that_are_slow_open(upstream):
    """Ten calls hang and none has ended: nobody waits for them to end."""
    for _ in range(9):
        assert Phase.CLOSED is upstream.say(slow=1, overdue=1).phase
    assert "slow" == upstream.say(slow=1, overdue=1).reason


def test_a_slow_call_counts_once(upstream):
    """When it became slow, and not again when it ends."""
    for _ in range(5):
        upstream.say(slow=1, overdue=1)
    for _ in range(5):
        upstream.say(ok=1, overdue=-1)
    assert Phase.CLOSED is upstream.say(ok=4).phase
    assert Phase.CLOSED is upstream.say(slow=1, overdue=1).phase


def test_push_back_is_no_illness_until_it_lasts(upstream):
    """An upstream that answers 429 is well; when most calls are pushed back for a whole window, it is not."""
    for _ in range(9):
        assert Phase.CLOSED is upstream.say(pushed=9, ok=1).phase
        upstream.wait(3)
    assert "pushed_back" == upstream.say(pushed=9, ok=1).reason


def test_a_fault_that_no_retry_mends_isolates(upstream):
    """A key that is refused is refused for everyone: nobody calls for a quarter of an hour."""
    reply = upstream.say(fatal="the key is refused")
    assert (Override.ISOLATED, "the key is refused", 900 * SECOND) == (
        reply.override,
        reply.reason,
        reply.closed_for,
    )
    assert Override.NONE is upstream.wait(900).say().override


# What counts nowhere.


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.HALF_OPEN])
def test_late_outcomes_turn_nothing(upstream, phase):
    """Calls that began before the opening end now, well or ill: they tell nothing of now."""
    upstream.opened() if phase is Phase.OPEN else upstream.probing()
    before = upstream.circuit
    for epoch in (1, before.epoch):
        upstream.say(epoch=epoch, ok=50)
        upstream.say(epoch=epoch, failed=50)
    assert before == upstream.circuit


def test_an_outcome_of_another_epoch_is_not_counted(upstream):
    """A failure that began before the trouble does not open what has recovered."""
    upstream.ramping()
    slots = list(upstream.circuit.slots)
    upstream.say(epoch=1, failed=50)
    assert (Phase.RAMP, 0, slots) == (
        upstream.circuit.phase,
        upstream.circuit.streak,
        upstream.circuit.slots,
    )


# Open.


def test_each_opening_in_a_row_waits_longer(upstream):
    """Five seconds, doubled each time, up to the longest, a fifth of it by chance."""
    upstream.terms = Terms.of(BreakerPolicy(longest_open_seconds=30.0))
    waits = []
    for _ in range(5):
        upstream.opened() if not waits else upstream.say(probe=ProbeWord.LOST, token="p", chance=999)
        waits.append(upstream.circuit.until - upstream.now)
        upstream.wait(30)
        upstream.say(probe=ProbeWord.ASK, token="p")
    assert [4000, 9990, 19980, 29970, 29970] == waits[:1] + [wait // 10 * 10 for wait in waits[1:]]


def test_openings_are_forgiven(upstream):
    """Five minutes closed take one back."""
    upstream.opened().say(order=Order.CLOSE)
    upstream.circuit.trips, upstream.circuit.forgiven_at = 3, upstream.now
    upstream.wait(650).say()
    assert 1 == upstream.circuit.trips


def test_what_the_upstream_asks_for_is_the_least_wait(upstream):
    """No call and no probe before; what is absurd is cut to ten minutes."""
    upstream.say(pushed=1, retry_after=60 * SECOND)
    assert 60 * SECOND == upstream.say().not_before
    upstream.opened()
    assert not upstream.wait(59).say(probe=ProbeWord.ASK, token="p").is_prober
    assert upstream.wait(1).say(probe=ProbeWord.ASK, token="p").is_prober
    assert 600 * SECOND == upstream.say(retry_after=10**9).not_before


# Half open.


def test_one_probe_in_the_whole_fleet(upstream):
    """Everybody else hears how long to wait for it."""
    upstream.probing("first")
    for _ in range(50):
        reply = upstream.say(probe=ProbeWord.ASK, token="another")
        assert (False, 15 * SECOND) == (reply.is_prober, reply.closed_for)


def test_two_probes_in_a_row_bring_it_back(upstream):
    """The first success frees the probe for whoever comes, the second one begins the ramp."""
    upstream.probing("first")
    assert Phase.HALF_OPEN is upstream.say(probe=ProbeWord.WON, token="first").phase
    assert upstream.say(probe=ProbeWord.ASK, token="second").is_prober
    assert Phase.RAMP is upstream.say(probe=ProbeWord.WON, token="second").phase


def test_a_prober_that_died_loses_the_probe(upstream):
    """When its lease is over another one probes, and no two at once; renewed, it stays."""
    upstream.probing("dies")
    assert upstream.wait(14).say(probe=ProbeWord.RENEW, token="dies").is_prober
    assert not upstream.wait(14.9).say(probe=ProbeWord.ASK, token="next").is_prober
    assert upstream.wait(0.1).say(probe=ProbeWord.ASK, token="next").is_prober


@pytest.mark.parametrize("word", [ProbeWord.WON, ProbeWord.LOST, ProbeWord.DROPPED, ProbeWord.RENEW])
def test_a_prober_that_wakes_up_late_has_no_say(upstream, word):
    """Its probe is another one's."""
    upstream.probing("frozen").wait(20).say(probe=ProbeWord.ASK, token="next")
    before = upstream.circuit
    upstream.say(probe=word, token="frozen")
    assert before == upstream.circuit


def test_a_cancelled_probe_is_no_verdict(upstream):
    """The next one may ask at once, and is the first of two that have to go well."""
    upstream.probing("first").say(probe=ProbeWord.DROPPED, token="first")
    assert upstream.say(probe=ProbeWord.ASK, token="second").is_prober
    assert Phase.HALF_OPEN is upstream.say(probe=ProbeWord.WON, token="second").phase
    assert [Turn.OPENED, Turn.PROBING] == upstream.turns


def test_a_probe_without_end_has_failed(upstream):
    """It is renewed for ten minutes, and then the upstream is ill."""
    upstream.probing("endless")
    for _ in range(60):
        assert Phase.HALF_OPEN is upstream.wait(10).say(probe=ProbeWord.RENEW, token="endless").phase
    assert Phase.OPEN is upstream.wait(1).say(probe=ProbeWord.RENEW, token="endless").phase


# The ramp.


def test_a_ramp_begins_low_and_grows_while_it_is_used(upstream):
    """A fifth of the rate before, three tenths more each second, nothing for one without calls."""
    upstream.ramping(normal=100)
    assert 20_000 == upstream.circuit.rate
    upstream.wait(1).say(wants=1)
    upstream.wait(1)
    assert 26_001 == upstream.say().rate
    assert 26_001 == upstream.wait(5).say().rate


def test_a_failure_cuts_the_rate_once_a_second(upstream):
    """And it grows slowly from then on, the faster the longer nothing fails."""
    upstream.ramping(normal=100)
    for _ in range(5):
        upstream.say(pushed=1)
    assert 17_800 == upstream.circuit.rate
    upstream.wait(0.5).say(wants=1)
    assert 17_979 == upstream.wait(1).say().rate
    upstream.wait(20).say(wants=1)
    before = upstream.circuit.rate
    assert before * 106 // 100 + 1 == upstream.wait(1).say().rate


def test_a_ramp_is_over_when_all_is_well(upstream):
    """At the old rate, for ten seconds, with nobody parked; its wait is doubled no more after a while."""
    upstream.ramping(normal=2)
    for _ in range(12):
        upstream.wait(1).say(wants=1, ok=2, backlog=True)
    assert Phase.RAMP is upstream.circuit.phase
    for _ in range(16):
        upstream.wait(1).say(wants=1, ok=2)
    assert [Turn.OPENED, Turn.PROBING, Turn.RECOVERING, Turn.RECOVERED] == upstream.turns


def test_a_ramp_that_fails_falls_back(upstream):
    """And waits twice as long as before."""
    upstream.ramping()
    upstream.fail(20)
    assert (Phase.OPEN, 2, Turn.FELL_BACK) == (
        upstream.circuit.phase,
        upstream.circuit.trips,
        upstream.turns[-1],
    )


# Operators.


def test_an_operator_isolates_for_a_while(upstream):
    """With reason, name and end; nobody probes meanwhile, and the phase decides again afterwards."""
    upstream.opened().wait(30)
    reply = upstream.say(
        order=Order.ISOLATE, order_for=60 * SECOND, order_reason="incident 42", order_actor="ada"
    )
    assert (Override.ISOLATED, "incident 42", True) == (reply.override, reply.reason, reply.is_overridden)
    assert not upstream.say(probe=ProbeWord.ASK, token="p").is_prober
    assert Override.NONE is upstream.wait(60).say().override
    assert upstream.say(probe=ProbeWord.ASK, token="p").is_prober


@pytest.mark.parametrize("bring", [Upstream.opened, Upstream.probing, Upstream.ramping])
def test_an_operator_closes(upstream, bring):
    """From whatever phase; what was counted is forgotten."""
    bring(upstream)
    assert Phase.CLOSED is upstream.say(order=Order.CLOSE, order_reason="it is back").phase
    assert (Turn.FORCED, 0, 0) == (upstream.turns[-1], upstream.circuit.trips, upstream.circuit.streak)


def test_a_store_that_forgot_is_told(upstream):
    """It is open again for the rest of its time, under an epoch that nobody has seen."""
    reply = upstream.say(epoch=0, known_epoch=7, known_open=7 * SECOND)
    assert (Phase.OPEN, 7 * SECOND, 8) == (reply.phase, reply.closed_for, reply.epoch)
    assert Phase.OPEN is upstream.say(epoch=0, known_epoch=7, known_open=0).phase


# Any walk.


@settings(max_examples=300)
@given(WALKS, st.sampled_from([POLICY, LOCAL]))
def test_whatever_comes_the_rules_hold(walk, policy):
    """Epochs only grow, turns are legal, one has the probe, nobody passes early, permits keep the rate."""
    terms, circuit, now = Terms.of(policy), Circuit(), START
    prober = None
    for drawn, is_present, wait in walk:
        now += wait
        message = present(drawn, circuit, is_present=is_present)
        before = circuit
        circuit, reply = exchange(before, message, now, terms)
        assert circuit.epoch >= before.epoch + len(reply.turns)
        phase = before.phase
        for turn in reply.turns:
            assert phase in TURNS[turn][0]
            phase = TURNS[turn][1]
        assert phase is circuit.phase is reply.phase
        if reply.is_prober and message.probe is ProbeWord.ASK and prober != message.token:
            assert Phase.HALF_OPEN is circuit.phase
            assert now >= before.not_before
            assert before.probe_until <= now or before.phase is Phase.OPEN
            assert before.phase is not Phase.OPEN or now >= before.until
        prober = circuit.probe_owner or None
        assert not reply.permits or (Phase.RAMP is circuit.phase and now >= circuit.not_before)
        assert reply.permits <= 1 + circuit.rate // 1000
        assert len(circuit.slots) <= 10
        assert len(circuit.recent) <= policy.rare_calls
        assert len(circuit.heard) <= 2


@settings(max_examples=100)
@given(WALKS)
def test_from_wherever_it_is_it_comes_back(walk):
    """Whoever asks for a probe every few seconds gets it in the end, and two good ones bring the ramp."""
    terms, circuit, now = Terms.of(POLICY), Circuit(), START
    for drawn, _, wait in walk:
        now += wait
        circuit, _ = exchange(circuit, present(drawn, circuit, is_present=True), now, terms)
    circuit, _ = exchange(circuit, Message("op", 0, order=Order.RELEASE), now, terms)
    for _ in range(400):
        now += 2 * SECOND
        if circuit.phase in {Phase.CLOSED, Phase.RAMP}:
            return
        circuit, reply = exchange(circuit, Message("a", 0, probe=ProbeWord.ASK, token="t"), now, terms)
        if reply.is_prober:
            circuit, _ = exchange(circuit, Message("a", 0, probe=ProbeWord.WON, token="t"), now, terms)
    pytest.fail(f"stuck in {circuit.phase}")
