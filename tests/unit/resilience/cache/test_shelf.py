"""What one process keeps in memory is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.cache.shelf import Copy, Shelf


def a_copy(size: int = 1) -> Copy:
    """An answer of so many bytes."""
    return Copy(b"x" * size, made_at=0, checked_at=0, is_shared=False)


def test_what_was_asked_for_last_stays():
    """The one that nobody asked for makes room."""
    shelf = Shelf(most_entries=2, most_bytes=10_000)
    shelf.keep("a", a_copy())
    shelf.keep("b", a_copy())
    shelf.find("a")
    shelf.keep("c", a_copy())
    assert (True, False, True) == tuple(shelf.find(key) is not None for key in "abc")


def test_one_that_is_too_large_alone_drives_nothing_out():
    """It is not kept, and neither is what it replaces, which is no longer true."""
    shelf = Shelf(most_entries=10, most_bytes=2_000)
    shelf.keep("a", a_copy())
    shelf.keep("b", a_copy())
    shelf.keep("b", a_copy(5_000))
    assert (True, False) == tuple(shelf.find(key) is not None for key in "ab")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 900), st.booleans())))
def test_it_never_holds_more_than_it_may(operations):
    """Whatever comes and goes, in entries and in bytes; and an empty shelf counts nothing."""
    shelf = Shelf(most_entries=4, most_bytes=3_000)
    for key, size, removes in operations:
        if removes:
            shelf.remove(key)
        else:
            shelf.keep(key, a_copy(size))
        kept = [copy for copy in map(shelf.find, "abcdefgh") if copy is not None]
        assert len(shelf) == len(kept) <= 4
        assert sum(len(copy.text) + 400 for copy in kept) == shelf.size_bytes <= 3_000
