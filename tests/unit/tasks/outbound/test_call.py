"""What a redirect makes of a call."""

import httpx
import pytest

from holdfast.jobs.errors import TargetForbidden
from holdfast.tasks.outbound import Call
from holdfast.tasks.outbound.call import LONGEST_URL

HEADERS = {
    "Authorization": "Bearer secret", "X-Api-Key": "secret", "Cookie": "secret", "Accept": "text/plain",
    "Content-Type": "application/json", "Idempotency-Key": "k",
}  # fmt: skip


def a_call(url: str = "https://one.example/a", method: str = "POST") -> Call:
    """A call with headers of all kinds."""
    return Call(method, httpx.URL(url), dict(HEADERS), b"{}")


@pytest.mark.parametrize(
    "location", ["/b", "b", "https://one.example/b", "https://one.example:443/b", "?q=1"]
)
def test_within_the_same_origin_all_headers_are_kept(location):
    """The caller trusts it already."""
    assert a_call().redirected(307, location).headers == HEADERS


@pytest.mark.parametrize(
    "location",
    ["https://two.example/", "//two.example/", "https://one.example:444/", "https://a.one.example/"],
)
def test_to_another_origin_go_no_secrets(location):
    """Only headers that anybody may see, whatever the caller's own are called."""
    kept = a_call().redirected(308, location).headers
    assert {"Accept", "Content-Type", "Idempotency-Key"} == set(kept)


def test_an_upgrade_to_https_is_another_origin():
    """The headers went in clear once; not because of us a second time to somebody else."""
    assert (
        "Authorization" not in a_call("http://one.example/").redirected(307, "https://one.example/").headers
    )


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"),
        (301, "PUT", "PUT"), (302, "DELETE", "DELETE"), (307, "POST", "POST"), (308, "PATCH", "PATCH"),
    ],
)  # fmt: skip
def test_methods_turn_as_the_standard_says(status, method, then):
    """A call that becomes a GET loses its body, and what was said of it."""
    call = a_call(method=method).redirected(status, "/b")
    assert then == call.method
    assert (call.body is None) == (then == "GET")
    assert ("Content-Type" in call.headers) == (then != "GET")


@pytest.mark.parametrize(
    ("status", "location"), [(200, "/b"), (304, "/b"), (300, "/b"), (302, None), (302, "")]
)
def test_what_is_no_redirect_is_an_answer(status, location):
    """There is nowhere to go."""
    assert a_call().redirected(status, location) is None


@pytest.mark.parametrize(
    "location",
    [
        "http://one.example/b", "ftp://one.example/", "file:///etc/passwd", "gopher://one.example/",
        "https://user:password@two.example/", "https://user@two.example/", "https://one.example:0/",
        "javascript:alert(1)",
        "https://one.example:999999/", "https://[::1/", "/" + "b" * LONGEST_URL,
    ],
)  # fmt: skip
def test_some_places_may_not_be_called(location):
    """Downgrades, other schemes, credentials, no URL at all; the error does not quote the place."""
    with pytest.raises(TargetForbidden) as caught:
        a_call().redirected(302, location)
    assert "password" not in caught.value.detail.replace("name or password", "")


def test_a_fragment_is_not_sent():
    """It is the reader's business."""
    assert "https://one.example/a" == str(Call("GET", httpx.URL("https://one.example/a#b")).checked().url)


def test_a_call_that_is_printed_tells_no_secret():
    """Neither its URL, which may hold a token, nor headers, nor body."""
    assert "Call(method='POST')" == repr(a_call())
