"""Clients that are not installed here, by stand-ins of the same module, qualified name, bases and attributes.

The facts are from the sources of httpx 0.28.1 and httpx2 2.16.2 (`_exceptions.py`), requests 2.34.2
(`exceptions.py`), aiohttp 3.14.5 (`client_exceptions.py`), openai 3.57.0 and anthropic 2.14.0
(`_exceptions.py`, `_client.py`, `types/shared`), pydantic-ai 2.68.0 (`exceptions.py`) and botocore
1.44.8 (`exceptions.py`, `retries/standard.py`), read on 2026-11-27, when the real classes were
judged the same way; and from developers.openai.com (error codes, spend limits).
"""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from holdfast.resilience.faults import Fault, Judgement, judge

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TRANSIENT, PUSHBACK, PERMANENT = Fault.TRANSIENT, Fault.PUSHBACK, Fault.PERMANENT
FATAL, NEUTRAL, UNKNOWN = Fault.FATAL, Fault.NEUTRAL, Fault.UNKNOWN


def a_class(module, name, *bases):
    """Make an exception class as a package has it."""
    return type(name, bases or (Exception,), {"__module__": module, "__qualname__": name})


def raised(kind, **attributes):
    """Make an exception of the class with what it carries."""
    error = kind("x")
    vars(error).update(attributes)
    return error


def a_response(status, headers=None):
    """Make what httpx and requests hang on their errors."""
    return SimpleNamespace(status_code=status, headers=headers or {})


def fault_of(error):
    """Give the fault alone."""
    return judge(error, now=NOW).fault


def a_family(module, tree):
    """Make the classes of a package from `name: base`, bases first."""
    made = {}
    for name, base in tree.items():
        made[name] = a_class(module, name, made.get(base, base))
    return SimpleNamespace(**made)


HTTPX_TREE = {
    "HTTPError": Exception,
    "RequestError": "HTTPError",
    "TransportError": "RequestError",
    "ConnectError": "TransportError",
    "ReadTimeout": "TransportError",
    "RemoteProtocolError": "TransportError",
    "UnsupportedProtocol": "TransportError",
    "LocalProtocolError": "TransportError",
    "DecodingError": "RequestError",
    "TooManyRedirects": "RequestError",
    "HTTPStatusError": "HTTPError",
    "InvalidURL": Exception,
    "StreamError": RuntimeError,
    "ResponseNotRead": "StreamError",
}


@pytest.mark.parametrize("package", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ConnectError", TRANSIENT),
        ("ReadTimeout", TRANSIENT),
        ("RemoteProtocolError", TRANSIENT),
        ("UnsupportedProtocol", PERMANENT),
        ("LocalProtocolError", PERMANENT),
        ("TooManyRedirects", PERMANENT),
        ("InvalidURL", PERMANENT),
        ("ResponseNotRead", PERMANENT),
        ("DecodingError", UNKNOWN),
        ("HTTPError", UNKNOWN),
    ],
)
def test_httpx_is_known(package, name, fault):
    """Trouble on the way is transient, a call that cannot be sent is a bug."""
    assert fault is fault_of(raised(getattr(a_family(package, HTTPX_TREE), name)))


@pytest.mark.parametrize("package", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("status", "headers", "judgement"),
    [
        (429, {"retry-after": "7"}, Judgement(PUSHBACK, 7.0, 429)),
        (503, {}, Judgement(TRANSIENT, None, 503)),
        (401, {}, Judgement(PERMANENT, None, 401)),
        (404, {}, Judgement(PERMANENT, None, 404)),
    ],
)
def test_httpx_statuses_are_judged(package, status, headers, judgement):
    """The status stands on the response; a 401 of anybody's server is that call's trouble."""
    kind = a_family(package, HTTPX_TREE).HTTPStatusError
    assert judgement == judge(raised(kind, response=a_response(status, headers)), now=NOW)


REQUESTS = a_family(
    "requests.exceptions",
    {
        "RequestException": OSError,
        "HTTPError": "RequestException",
        "ConnectionError": "RequestException",
        "SSLError": "ConnectionError",
        "ProxyError": "ConnectionError",
        "Timeout": "RequestException",
        "ReadTimeout": "Timeout",
        "ChunkedEncodingError": "RequestException",
        "TooManyRedirects": "RequestException",
        "InvalidJSONError": "RequestException",
        "InvalidURL": "RequestException",
    },
)


@pytest.mark.parametrize(
    ("name", "response", "fault"),
    [
        ("ConnectionError", None, TRANSIENT),
        ("ProxyError", None, TRANSIENT),
        ("ReadTimeout", None, TRANSIENT),
        ("ChunkedEncodingError", None, TRANSIENT),
        ("SSLError", None, UNKNOWN),
        ("InvalidJSONError", a_response(200), UNKNOWN),
        ("InvalidURL", None, PERMANENT),
        ("TooManyRedirects", a_response(302), PERMANENT),
        ("HTTPError", a_response(429), PUSHBACK),
        ("HTTPError", a_response(500), TRANSIENT),
        ("HTTPError", a_response(403), PERMANENT),
        ("HTTPError", None, UNKNOWN),
    ],
)
def test_requests_is_known(name, response, fault):
    """Its ConnectionError is not the builtin one, and is known all the same."""
    assert fault is fault_of(raised(getattr(REQUESTS, name), response=response))


AIOHTTP = a_family(
    "aiohttp.client_exceptions",
    {
        "ClientError": Exception,
        "ClientResponseError": "ClientError",
        "ContentTypeError": "ClientResponseError",
        "ClientConnectionError": "ClientError",
        "ServerDisconnectedError": "ClientConnectionError",
        "ServerFingerprintMismatch": "ClientConnectionError",
        "ClientConnectorCertificateError": "ClientConnectionError",
        "ClientPayloadError": "ClientError",
        "InvalidURL": "ClientError",
    },
)


@pytest.mark.parametrize(
    ("name", "status", "fault"),
    [
        ("ServerDisconnectedError", None, TRANSIENT),
        ("ClientPayloadError", None, TRANSIENT),
        ("ClientConnectorCertificateError", None, UNKNOWN),
        ("ServerFingerprintMismatch", None, PERMANENT),
        ("InvalidURL", None, PERMANENT),
        ("ClientResponseError", 429, PUSHBACK),
        ("ClientResponseError", 502, TRANSIENT),
        ("ClientResponseError", 422, PERMANENT),
        ("ContentTypeError", 200, UNKNOWN),
        ("ClientResponseError", 0, UNKNOWN),
    ],
)
def test_aiohttp_is_known(name, status, fault):
    """Its status and headers stand on the error itself."""
    assert fault is fault_of(raised(getattr(AIOHTTP, name), status=status, headers=None))


def test_aiohttp_says_how_long():
    """Headers on the error are read as those on a response."""
    error = raised(AIOHTTP.ClientResponseError, status=429, headers=(("Retry-After", "11"),))
    assert Judgement(PUSHBACK, 11.0, 429) == judge(error, now=NOW)


def a_provider(package, base, **more):
    """Make the tree that the clients of OpenAI and Anthropic share."""
    return a_family(
        package,
        {
            base: Exception,
            "APIError": base,
            "APIStatusError": "APIError",
            "APIConnectionError": "APIError",
            "APITimeoutError": "APIConnectionError",
            "APIResponseValidationError": "APIError",
            "BadRequestError": "APIStatusError",
            "AuthenticationError": "APIStatusError",
            "PermissionDeniedError": "APIStatusError",
            "ConflictError": "APIStatusError",
            "RateLimitError": "APIStatusError",
            "InternalServerError": "APIStatusError",
            **more,
        },
    )


OPENAI = a_provider("openai", "OpenAIError", ContentFilterFinishReasonError="OpenAIError")
ANTHROPIC = a_provider(
    "anthropic",
    "AnthropicError",
    OverloadedError="InternalServerError",
    ServiceUnavailableError="InternalServerError",
    EnforcedSpendLimitReachedError="RateLimitError",
    PaymentRequiredError="APIStatusError",
    CredentialsError="AnthropicError",
)


def an_answer(kind, status, *, headers=None, **attributes):
    """Make a status error of a provider."""
    return raised(kind, status_code=status, response=a_response(status, headers), **attributes)


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    ("name", "status", "fault"),
    [
        ("BadRequestError", 400, PERMANENT),
        ("AuthenticationError", 401, FATAL),
        ("APIStatusError", 402, FATAL),
        ("PermissionDeniedError", 403, PERMANENT),
        ("APIStatusError", 408, TRANSIENT),
        ("ConflictError", 409, TRANSIENT),
        ("RateLimitError", 429, PUSHBACK),
        ("InternalServerError", 500, TRANSIENT),
        ("InternalServerError", 529, PUSHBACK),
        ("APIResponseValidationError", 200, UNKNOWN),
    ],
)
def test_a_providers_statuses_are_judged(provider, name, status, fault):
    """A provider's 401 and 402 are the key and the money of everybody; its 403 is this resource's."""
    assert fault is fault_of(an_answer(getattr(provider, name), status))


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("APIConnectionError", TRANSIENT),
        ("APITimeoutError", TRANSIENT),
        ("InternalServerError", TRANSIENT),
        ("RateLimitError", PUSHBACK),
        ("AuthenticationError", FATAL),
        ("APIError", UNKNOWN),
    ],
)
def test_a_providers_class_is_enough_where_there_is_no_answer(provider, name, fault):
    """Who never heard from the upstream has no status; and a status that got lost changes nothing."""
    assert fault is fault_of(raised(getattr(provider, name)))


@pytest.mark.parametrize(
    ("status", "code", "kind", "fault"),
    [
        (429, "insufficient_quota", "insufficient_quota", FATAL),
        (429, None, "insufficient_quota", FATAL),
        (429, "credit_balance_exhausted", "insufficient_quota", FATAL),
        (429, "project_spend_limit_exceeded", "insufficient_quota", FATAL),
        (429, "rate_limit_exceeded", "tokens", PUSHBACK),
        (429, "slow_down", "rate_limit_error", PUSHBACK),
        (503, "server_is_overloaded", "service_unavailable_error", TRANSIENT),
        (400, "context_length_exceeded", "invalid_request_error", PERMANENT),
        (400, "content_policy_violation", "invalid_request_error", PERMANENT),
        (400, "content_filter", None, PERMANENT),
        (403, "unsupported_country_region_territory", "request_forbidden", FATAL),
        (None, "server_error", "server_error", TRANSIENT),
        (None, None, "invalid_request_error", PERMANENT),
        (None, "context_length_exceeded", None, PERMANENT),
    ],
)
def test_openais_codes_are_judged(status, code, kind, fault):
    """The same 429 means too fast or no money; and a stream fails after its HTTP 200, without a status."""
    name = "APIStatusError" if status else "APIError"
    attributes = {"status_code": status} if status else {}
    assert fault is fault_of(raised(getattr(OPENAI, name), code=code, type=kind, **attributes))


def test_openai_says_how_long():
    """The client keeps the headers on the response; milliseconds are the exact ones."""
    headers = {"retry-after": "2", "retry-after-ms": "1250", "x-ratelimit-reset-tokens": "6m0s"}
    error = an_answer(OPENAI.RateLimitError, 429, headers=headers)
    assert Judgement(PUSHBACK, 1.25, 429) == judge(error, now=NOW)


def test_openais_filter_is_permanent():
    """The same prompt is filtered again."""
    assert PERMANENT is fault_of(raised(OPENAI.ContentFilterFinishReasonError))


@pytest.mark.parametrize(
    ("name", "status", "attributes", "fault"),
    [
        ("OverloadedError", 529, {"type": "overloaded_error"}, PUSHBACK),
        ("APIStatusError", 200, {"type": "overloaded_error"}, PUSHBACK),
        ("APIStatusError", 200, {"body": {"type": "error", "error": {"type": "overloaded_error"}}}, PUSHBACK),
        ("APIStatusError", 200, {"type": "api_error"}, TRANSIENT),
        ("ServiceUnavailableError", 503, {"type": "api_error"}, TRANSIENT),
        ("EnforcedSpendLimitReachedError", 429, {}, FATAL),
        ("RateLimitError", 429, {"error_code": "contract_spend_limit_reached"}, FATAL),
        (
            "RateLimitError",
            429,
            {"body": {"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}},
            FATAL,
        ),
        ("RateLimitError", 429, {"error_code": "ramp_limit_exceeded", "type": "rate_limit_error"}, PUSHBACK),
        ("PaymentRequiredError", 402, {"type": "billing_error"}, FATAL),
        ("BadRequestError", 400, {"error_code": "organization_on_hold"}, FATAL),
        ("CredentialsError", None, {}, FATAL),
    ],
)
def test_anthropics_kinds_and_codes_are_judged(name, status, attributes, fault):
    """An overload is pushback though a stream's status is 200, a spent limit is fatal though it is a 429."""
    assert fault is fault_of(an_answer(getattr(ANTHROPIC, name), status, **attributes))


def test_anthropic_says_how_long():
    """Retry-After beats the resets; without it the spent budget tells."""
    headers = {
        "anthropic-ratelimit-tokens-reset": "2026-11-27T12:00:30Z",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-11-27T12:00:50Z",
        "anthropic-ratelimit-requests-remaining": "900",
    }
    error = an_answer(ANTHROPIC.RateLimitError, 429, headers=headers)
    assert Judgement(PUSHBACK, 30.0, 429) == judge(error, now=NOW)
    error = an_answer(ANTHROPIC.RateLimitError, 429, headers={**headers, "Retry-After": "12"})
    assert Judgement(PUSHBACK, 12.0, 429) == judge(error, now=NOW)


PYDANTIC_AI = a_family(
    "pydantic_ai.exceptions",
    {
        "AgentRunError": RuntimeError,
        "UserError": RuntimeError,
        "UsageLimitExceeded": "AgentRunError",
        "UnexpectedModelBehavior": "AgentRunError",
        "ContentFilterError": "UnexpectedModelBehavior",
        "ModelAPIError": "AgentRunError",
        "ModelHTTPError": "ModelAPIError",
        "ModelRateLimitError": "ModelAPIError",
        "ModelQuotaExceededError": "ModelAPIError",
    },
)


@pytest.mark.parametrize(
    ("name", "attributes", "fault"),
    [
        ("ModelAPIError", {}, TRANSIENT),
        ("UsageLimitExceeded", {}, PERMANENT),
        ("UnexpectedModelBehavior", {}, UNKNOWN),
        ("ContentFilterError", {}, PERMANENT),
        ("UserError", {}, PERMANENT),
        ("ModelRateLimitError", {}, PUSHBACK),
        ("ModelQuotaExceededError", {"status_code": 429}, FATAL),
        ("ModelHTTPError", {"status_code": 401}, FATAL),
        ("ModelHTTPError", {"status_code": 429}, PUSHBACK),
        ("ModelHTTPError", {"status_code": 429, "body": {"code": "insufficient_quota"}}, FATAL),
        ("ModelHTTPError", {"status_code": 400, "body": {"code": "context_length_exceeded"}}, PERMANENT),
        ("ModelHTTPError", {"status_code": 529}, PUSHBACK),
        ("ModelHTTPError", {"status_code": 500}, TRANSIENT),
    ],
)
def test_pydantic_ai_is_known(name, attributes, fault):
    """It passes on its provider's status and body; an odd answer of a model is paid for, so one more try."""
    assert fault is fault_of(raised(getattr(PYDANTIC_AI, name), **attributes))


def test_a_known_wrapper_is_asked_for_what_it_wraps():
    """Older releases of pydantic-ai keep no headers; the provider's error that it comes from has them."""
    error = raised(PYDANTIC_AI.ModelHTTPError, status_code=429)
    error.__cause__ = an_answer(OPENAI.RateLimitError, 429, headers={"retry-after-ms": "1500"})
    assert Judgement(PUSHBACK, 1.5, 429) == judge(error, now=NOW)


BOTOCORE = a_family(
    "botocore.exceptions",
    {
        "BotoCoreError": Exception,
        "ConnectionError": "BotoCoreError",
        "EndpointConnectionError": "ConnectionError",
        "HTTPClientError": "BotoCoreError",
        "ReadTimeoutError": "HTTPClientError",
        "SSLError": "ConnectionError",
        "NoCredentialsError": "BotoCoreError",
        "ClientError": Exception,
    },
)


@pytest.mark.parametrize(
    ("code", "status", "judgement"),
    [
        ("ThrottlingException", 400, Judgement(PUSHBACK, 2.5, 400)),
        ("SlowDown", 503, Judgement(PUSHBACK, 2.5, 503)),
        ("InternalServerError", 500, Judgement(TRANSIENT, 2.5, 500)),
        ("RequestTimeout", 400, Judgement(TRANSIENT, 2.5, 400)),
        ("ExpiredTokenException", 403, Judgement(FATAL, None, 403)),
        ("AccessDeniedException", 403, Judgement(PERMANENT, None, 403)),
        ("ValidationException", 400, Judgement(PERMANENT, None, 400)),
    ],
)
def test_botocores_codes_are_judged(code, status, judgement):
    """AWS throttles with HTTP 400, so the code stands above the status."""
    answer = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"x-amz-retry-after": "2500"}},
    }
    assert judgement == judge(raised(BOTOCORE.ClientError, response=answer), now=NOW)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("EndpointConnectionError", TRANSIENT),
        ("ReadTimeoutError", TRANSIENT),
        ("SSLError", UNKNOWN),
        ("NoCredentialsError", FATAL),
        ("BotoCoreError", UNKNOWN),
    ],
)
def test_botocores_own_errors_are_known(name, fault):
    """What never reached AWS has no code."""
    assert fault is fault_of(raised(getattr(BOTOCORE, name)))


def test_a_users_subclass_counts_by_its_bases():
    """A class of the user's own module is what it derives from, however far."""

    class OurLimit(OPENAI.RateLimitError):
        pass

    class OurOwnLimit(OurLimit):
        pass

    error = an_answer(OurOwnLimit, 429, headers={"Retry-After": "3"})
    assert Judgement(PUSHBACK, 3.0, 429) == judge(error, now=NOW)


def test_a_class_of_the_same_name_elsewhere_is_a_stranger():
    """`RateLimitError` in somebody's module is not OpenAI's."""
    assert UNKNOWN is fault_of(raised(a_class("shop.bank", "RateLimitError")))
