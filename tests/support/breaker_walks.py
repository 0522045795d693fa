"""Random walks of a breaker: what may be said of an upstream, in any order and at any time."""

from dataclasses import replace

from hypothesis import strategies as st

from holdfast.resilience.breaker.circuit import Circuit
from holdfast.resilience.breaker.message import Message, Order, ProbeWord

START = 1_800_000_000_000
"""A time of the store's clock, in milliseconds."""

_NAMES = st.sampled_from("abc")
_TOKENS = st.sampled_from(["p", "q"])
_ANYTHING = st.builds(
    Message,
    who=_NAMES,
    epoch=st.just(-1),
    ok=st.integers(0, 30),
    failed=st.integers(0, 30),
    pushed=st.integers(0, 30),
    slow=st.integers(0, 12),
    overdue=st.integers(-12, 12),
    tail=st.integers(0, 30),
    ok_age=st.integers(0, 70_000),
    tail_age=st.integers(0, 70_000),
    retry_after=st.one_of(st.just(0), st.integers(0, 2_000_000)),
    fatal=st.sampled_from(["", "", "", "", "", "", "", "the key"]),
    probe=st.sampled_from(ProbeWord),
    token=st.one_of(st.just(""), _TOKENS),
    probe_took=st.integers(0, 60_000),
    wants=st.integers(0, 50),
    backlog=st.booleans(),
    known_epoch=st.one_of(st.just(0), st.integers(0, 40)),
    known_open=st.integers(0, 60_000),
    order=st.sampled_from([Order.NOTHING] * 12 + list(Order)),
    order_for=st.integers(0, 60_000),
    order_reason=st.sampled_from(["", "why"]),
    chance=st.integers(0, 999),
)
_WORDS = [
    # One thing at a time, as processes really speak: most walks get far with these.
    st.builds(Message, who=_NAMES, epoch=st.just(-1), ok=st.integers(1, 9), wants=st.integers(0, 3)),
    st.builds(
        Message, who=_NAMES, epoch=st.just(-1), ok=st.integers(1, 40), failed=st.just(1), tail=st.just(1)
    ),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), failed=st.integers(1, 20)),
    st.builds(
        Message, who=_NAMES, epoch=st.just(-1), failed=st.integers(1, 9), tail_age=st.integers(0, 9_000)
    ),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), ok=st.integers(1, 9), ok_age=st.integers(0, 9_000)),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), pushed=st.integers(1, 9), ok=st.integers(0, 1)),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), slow=st.just(1), overdue=st.just(1)),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), probe=st.just(ProbeWord.ASK), token=_TOKENS),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), probe=st.just(ProbeWord.RENEW), token=_TOKENS),
    st.builds(Message, who=_NAMES, epoch=st.just(-1), probe=st.just(ProbeWord.WON), token=_TOKENS),
]
_WAITS = st.one_of(
    st.integers(0, 500),
    st.sampled_from([1_000, 3_000, 10_000, 15_000, 30_000, 300_000]),
    st.integers(0, 60_000),
)
_STEPS = st.tuples(st.one_of(*_WORDS, _ANYTHING), st.sampled_from([True, True, True, False]), _WAITS)
_OPENED = [(Message("a", -1, ok=60), True, 0), (Message("a", -1, failed=20), True, 3_000)]
_PROBING = [*_OPENED, (Message("a", -1, probe=ProbeWord.ASK, token="p"), True, 5_000)]
_RAMPING = [*_PROBING, (Message("a", -1, probe=ProbeWord.WON, token="p", probe_took=40_000), True, 100)]
WALKS = st.builds(
    list.__add__,
    st.sampled_from([[], _OPENED, _PROBING, _RAMPING]),
    st.lists(_STEPS, max_size=50),
)
"""Each step: a message, whether it speaks of the present epoch, and the milliseconds before it."""


def present(message: Message, circuit: Circuit, *, is_present: bool) -> Message:
    """Let a message speak of the present epoch, or of the one before."""
    return replace(message, epoch=circuit.epoch if is_present else circuit.epoch - 1)
