"""Writes the table of the results into docs/guarantees.md."""


def write() -> None:
    """Not yet."""
