"""The third answer of a probe, in a module of its own so that both ways of asking can give it."""


class CannotAsk(Exception):
    """The worker cannot be asked; the text says why."""
