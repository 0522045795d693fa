"""What a handler returns is what the caller gets."""

from datetime import UTC, datetime

import pydantic
import pytest

from holdfast.jobs.errors import InvalidResult, InvalidTask
from holdfast.tasks.result_codec import ResultCodec


class Report(pydantic.BaseModel):
    title: str
    made_at: datetime | None = None


def codec_of(**hints: object) -> ResultCodec:
    """Make the codec of these hints."""
    return ResultCodec.of(hints, task="shop.order")


def test_a_typed_result_comes_back_typed():
    """The return annotation is the type that the caller sees."""
    codec = codec_of(**{"return": list[Report]})
    value = [Report(title="a", made_at=datetime(2026, 1, 1, tzinfo=UTC))]

    assert value == codec.load(codec.encode(value))


def test_none_is_a_result():
    """A handler without a return value completes with null."""
    assert "null" == codec_of(**{"return": type(None)}).encode(None)
    assert codec_of().load("null") is None


def test_a_dict_that_fits_the_declared_model_is_taken():
    """Paid work is not thrown away for a formality."""
    assert '{"title":"a","made_at":null}' == codec_of(**{"return": Report}).encode({"title": "a"})


@pytest.mark.parametrize("value", [{"name": "a"}, 5, float("nan")])
def test_a_result_of_another_type_is_refused(value):
    """The typed caller would otherwise get something else than was promised."""
    with pytest.raises(InvalidResult, match=r"shop\.order"):
        codec_of(**{"return": Report}).encode(value)


@pytest.mark.parametrize("value", [object(), float("inf"), "a\x00", pydantic.SecretStr("hunter2")])
def test_what_json_cannot_hold_is_refused(value):
    """An undeclared result is checked as strictly."""
    with pytest.raises(InvalidResult) as caught:
        codec_of().encode(value)
    assert "hunter2" not in str(caught.value)


def test_a_result_over_the_limit_is_refused():
    """Large results belong elsewhere; the job returns a reference."""
    with pytest.raises(InvalidResult, match="at most 10"):
        codec_of().encode("x" * 10, largest_bytes=10)
    with pytest.raises(InvalidResult, match="at most 1048576"):
        codec_of().encode("x" * 1024 * 1024)


def test_a_secret_return_type_is_refused_at_import():
    """Results are held in clear too."""
    with pytest.raises(InvalidTask):
        codec_of(**{"return": pydantic.SecretStr})
