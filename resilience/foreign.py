"""What is known of other people's errors: names of classes, statuses, codes. Tables, no imports.

A class is known by the package that it is from and its qualified name; which
module of the package it stands in is the package's own business and changes
between releases. A subclass counts as its nearest known base.

Read from the sources of httpx 0.28.1 and httpx2 2.16.2, requests 2.34.2,
aiohttp 3.14.5, redis 8.1.0, SQLAlchemy 2.1.9, psycopg 3.3.9, openai 3.57.0,
anthropic 2.14.0, pydantic-ai 2.68.0, botocore 1.44.8 and celery 5.7.0 (November
2026), and from the pages of OpenAI and Anthropic about their errors.
"""

from typing import Final

NEUTRAL_CLASSES: Final = frozenset({"celery.TaskPredicate"})
"""Celery's Retry, Ignore and Reject: decisions, not faults."""

TRANSIENT_CLASSES: Final = frozenset(
    {
        "httpx.TransportError", "httpx2.TransportError",
        "requests.ConnectionError", "requests.Timeout", "requests.ChunkedEncodingError",
        "requests.RetryError",
        "aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError",
        "redis.ConnectionError", "redis.TimeoutError", "redis.ClusterDownError", "redis.TryAgainError",
        "redis.AskError", "redis.ReadOnlyError", "redis.OutOfMemoryError", "redis.WatchError",
        "sqlalchemy.OperationalError", "sqlalchemy.InterfaceError", "sqlalchemy.TimeoutError",
        "sqlalchemy.DisconnectionError",
        "psycopg.OperationalError", "psycopg.InterfaceError",
        "openai.APIConnectionError", "openai.InternalServerError", "openai.WebSocketConnectionClosedError",
        "anthropic.APIConnectionError", "anthropic.InternalServerError", "anthropic.RetryableError",
        "pydantic_ai.ModelAPIError", "pydantic_ai.ConcurrencyLimitExceeded",
        "botocore.ConnectionError", "botocore.HTTPClientError", "botocore.IncompleteReadError",
    }
)  # fmt: skip

PUSHBACK_CLASSES: Final = frozenset(
    {
        "openai.RateLimitError", "anthropic.RateLimitError", "anthropic.OverloadedError",
        "pydantic_ai.ModelRateLimitError", "pydantic_ai.ModelOverloadedError",
    }
)  # fmt: skip

PERMANENT_CLASSES: Final = frozenset(
    {
        "httpx.UnsupportedProtocol", "httpx.LocalProtocolError", "httpx.TooManyRedirects", "httpx.InvalidURL",
        "httpx.StreamError",
        "httpx2.UnsupportedProtocol", "httpx2.LocalProtocolError", "httpx2.TooManyRedirects",
        "httpx2.InvalidURL", "httpx2.StreamError",
        "requests.MissingSchema", "requests.InvalidSchema", "requests.InvalidURL", "requests.InvalidHeader",
        "requests.URLRequired", "requests.TooManyRedirects",
        "aiohttp.InvalidURL", "aiohttp.NonHttpUrlClientError", "aiohttp.TooManyRedirects",
        "aiohttp.ServerFingerprintMismatch",
        "redis.DataError", "redis.NoPermissionError",
        "sqlalchemy.IntegrityError", "sqlalchemy.ProgrammingError", "sqlalchemy.DataError",
        "sqlalchemy.NotSupportedError", "sqlalchemy.InvalidRequestError", "sqlalchemy.ArgumentError",
        "sqlalchemy.CompileError",
        "psycopg.IntegrityError", "psycopg.ProgrammingError", "psycopg.DataError",
        "psycopg.NotSupportedError",
        "openai.LengthFinishReasonError", "openai.ContentFilterFinishReasonError",
        "anthropic.SandboxEgressRestrictedError",
        "pydantic_ai.UsageLimitExceeded", "pydantic_ai.UserError", "pydantic_ai.ContentFilterError",
        "pydantic_ai.OutputTokenLimitExceeded", "pydantic_ai.ModelContextWindowExceededError",
        "pydantic_ai.ModelNotFoundError",
        "botocore.ParamValidationError",
    }
)  # fmt: skip

FATAL_CLASSES: Final = frozenset(
    {
        "redis.AuthenticationError", "redis.AuthorizationError", "redis.AuthenticationWrongNumberOfArgsError",
        "openai.AuthenticationError",
        "anthropic.AuthenticationError", "anthropic.CredentialsError", "anthropic.PaymentRequiredError",
        "anthropic.EnforcedSpendLimitReachedError", "anthropic.ContractSpendLimitReachedError",
        "anthropic.OrganizationOnHoldError",
        "pydantic_ai.ModelQuotaExceededError",
        "botocore.NoCredentialsError", "botocore.PartialCredentialsError",
    }
)  # fmt: skip

UNKNOWN_CLASSES: Final = frozenset(
    {
        # What they carry decides: status, code, sqlstate.
        "httpx.HTTPStatusError", "httpx2.HTTPStatusError", "requests.HTTPError",
        "aiohttp.ClientResponseError",
        "openai.APIError", "anthropic.APIError", "pydantic_ai.ModelHTTPError", "botocore.ClientError",
        "sqlalchemy.DBAPIError", "psycopg.Error",
        # A certificate is wrong until somebody acts, or the clock is; not the transport that it derives from.
        "requests.SSLError", "aiohttp.ClientConnectorCertificateError", "botocore.SSLError",
        # The consequence of an earlier fault, which it does not name.
        "sqlalchemy.PendingRollbackError",
        # A status class of refusals; the answer itself (an HTTP 403 of a guardrail, say) decides.
        "pydantic_ai.ModelRequestRejectedError",
        # The model said something odd. It is paid for each time, so one more try and no more.
        "pydantic_ai.UnexpectedModelBehavior",
    }
)  # fmt: skip
"""Known, and yet they tell nothing by their class."""

PROVIDERS: Final = frozenset({"openai", "anthropic", "pydantic_ai"})
"""Packages whose errors are answers of one account's upstream: see FATAL_STATUSES."""

FATAL_STATUSES: Final = frozenset({401, 402})
"""Of a provider: the key or the money. 403 is not here: it may mean one model only, or a guardrail."""
OVERLOADED: Final = 529
"""The upstream is short of capacity for everybody; no limit of ours is spent."""
PUSHBACK_STATUSES: Final = frozenset({429, OVERLOADED})
UNAVAILABLE: Final = 503
"""Pushback if it says for how long, else transient."""
TRANSIENT_STATUSES: Final = frozenset({408, 409, 423, 425, 499})
"""Of the 4xx: too slow, locked, too early, closed underway. All others are permanent."""
PERMANENT_STATUSES: Final = frozenset({501, 505, 506, 510, 511})
"""Of the 5xx: never implemented, or not to be had this way. All others are transient."""

FATAL_CODES: Final = frozenset(
    {
        # OpenAI: error.code, and error.type for the first one (docs/guides/error-codes, spend-limits).
        "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_not_active",
        "billing_hard_limit_reached", "invalid_api_key", "account_deactivated",
        "unsupported_country_region_territory",
        # Anthropic: error.details.error_code. The spend limits are HTTP 429 without Retry-After.
        "enforced_spend_limit_reached", "contract_spend_limit_reached", "organization_on_hold",
        "linked_organization_billing_unavailable", "linked_organization_spend_limit_reached",
        # AWS: common errors of every service.
        "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
        "InvalidAccessKeyId", "SignatureDoesNotMatch", "MissingAuthenticationToken", "AuthFailure",
    }
)  # fmt: skip
PERMANENT_CODES: Final = frozenset(
    {
        "context_length_exceeded", "string_above_max_length", "max_output_tokens", "invalid_prompt",
        "content_filter", "content_policy_violation", "image_content_policy_violation", "moderation_blocked",
        "cyber_policy", "bio_policy", "misalignment_policy_violation", "model_not_found",
        # SQLite's name for a wrong statement or a missing table, which drivers call an operational error.
        "SQLITE_ERROR",
    }
)  # fmt: skip
PUSHBACK_CODES: Final = frozenset(
    {
        "rate_limit_exceeded", "slow_down", "ramp_limit_exceeded", "flex_unavailable",
        # botocore/retries/standard.py, ThrottledRetryableChecker: many come as HTTP 400.
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException",
        "TooManyRequestsException", "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "RequestThrottled",
        "SlowDown", "PriorRequestNotComplete", "EC2ThrottledException",
    }
)  # fmt: skip
TRANSIENT_CODES: Final = frozenset({"RequestTimeout", "RequestTimeoutException"})

# Broad kinds, where there is no status that says it better: a stream that fails after its HTTP 200.
FATAL_KINDS: Final = frozenset({"authentication_error", "billing_error"})
PERMANENT_KINDS: Final = frozenset({"invalid_request_error", "not_found_error", "permission_error"})
PUSHBACK_KINDS: Final = frozenset(
    {"rate_limit_error", "overloaded_error", "server_is_overloaded", "server_overloaded"}
)
TRANSIENT_KINDS: Final = frozenset(
    {"api_error", "server_error", "service_unavailable_error", "timeout_error", "internal_error"}
)

# SQLSTATE, whole or its class (the first two characters); whole ones win. Of `ledger/translate.py`'s opinion.
TRANSIENT_STATES: Final = frozenset(
    {
        "08", "40", "53", "57", "58",
        "25006", "25P03", "25P04", "55006", "55P03", "72000",
    }
)  # fmt: skip
"""Connection, rollback, resources, shutdown, I/O; a standby that was the primary, timeouts, locks."""
PERMANENT_STATES: Final = frozenset(
    {"0A", "21", "22", "23", "26", "2B", "34", "3D", "3F", "42", "44", "54", "55", "P0", "40002", "57P04"}
)
"""The data, the statement, the schema; a constraint that fails at the commit, a database that was dropped."""
FATAL_STATES: Final = frozenset({"28"})
"""Name or password."""
