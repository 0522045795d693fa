"""How long to wait before another try."""


def full_jitter(attempt: int, *, base_seconds: float, cap_seconds: float, fraction: float) -> float:
    """Return a wait in seconds, spread over [0, min(cap, base * 2^(attempt - 1))).

    `attempt` counts from 1 and is the one that just failed; `fraction` is a
    random number in [0, 1). The formula is "full jitter" of M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: the spread
    keeps a crowd that failed together from coming back together.
    """
    # 2^63 overflows no float, and no cap is that large.
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(max(attempt, 1) - 1, 63))
    return ceiling * fraction
