"""Which headers a caller may set."""

import pytest

from holdfast.tasks.outbound.headers import LONGEST_VALUE, MOST_HEADERS, checked_headers


def test_ordinary_ones_pass():
    """Authorization among them."""
    given = {"Authorization": "Bearer abc", "X-Signature": "t=1, v=2", "content-type": "text/plain"}
    assert given == checked_headers(given)


@pytest.mark.parametrize(
    "name",
    ["Host", "CONTENT-LENGTH", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
     "Proxy-Authorization", "Expect", "Accept-Encoding", "Content-Encoding", "Idempotency-Key"],
)  # fmt: skip
def test_those_that_the_call_sets_do_not(name):
    """In any case of letters; the value is never quoted."""
    with pytest.raises(ValueError, match=name) as caught:
        checked_headers({name: "secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "v"), ("a b", "v"), ("a:", "v"), ("a\r\nb", "v"), ("é", "v"), ("a" * 65, "v"),
     ("a", ""), ("a", " v"), ("a", "v\r\nHost: x"), ("a", "v\x00"), ("a", "é"),
     ("a", "v" * (LONGEST_VALUE + 1))],
)  # fmt: skip
def test_what_is_no_header_does_not(name, value):
    """A line break would begin another header, or another request."""
    with pytest.raises(ValueError, match=r"header|printable"):
        checked_headers({name: value})


def test_twice_and_too_many_do_not():
    """Of two values the upstream would choose."""
    with pytest.raises(ValueError, match="twice"):
        checked_headers({"x-a": "1", "X-A": "2"})
    with pytest.raises(ValueError, match="at most"):
        checked_headers({f"x-{number}": "v" for number in range(MOST_HEADERS + 1)})
