"""Names on shared servers."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.queues import QUEUE_PATTERN, is_queue
from holdfast.settings import Names
from holdfast.settings.names import NAMESPACE_PATTERN, is_namespace

NAMESPACES = st.from_regex(NAMESPACE_PATTERN, fullmatch=True).filter(is_namespace)
QUEUES = st.from_regex(QUEUE_PATTERN, fullmatch=True).filter(is_queue)


def all_names(names: Names, queue: str) -> set[str]:
    """Every kind of name of one namespace."""
    return {
        names.queue(queue),
        names.health_queue,
        names.intake_queue,
        names.control_exchange,
        names.event_exchange,
        names.redis_key("unacked"),
        names.redis_key("breaker", queue),
    }


def test_the_default_namespace_takes_in_what_celery_sends():
    """A producer that knows only Celery sends to `celery`."""
    names = Names()
    assert "celery" == names.intake_queue
    assert "holdfast.default" == names.queue("default")
    assert "holdfast" == names.schema


def test_another_namespace_has_an_intake_of_its_own():
    """Two namespaces on one broker do not take each other's messages."""
    assert "blue.celery" == Names("blue").intake_queue
    assert "mail" == Names("blue", "mail").intake_queue


@given(NAMESPACES, NAMESPACES, QUEUES, QUEUES)
def test_two_namespaces_never_share_a_name(one, other, queue, another):
    """No name of one namespace is a name of another."""
    if one != other:
        assert not all_names(Names(one), queue) & all_names(Names(other), another)


@given(NAMESPACES, QUEUES)
def test_a_queue_is_never_taken_for_anything_else(namespace, queue):
    """Whatever users call their queues, a ring queue's name is no other name of ours."""
    names = Names(namespace)
    rest = all_names(names, queue) - {names.queue(queue)}
    assert len(all_names(names, queue)) - len(rest) == 1
    assert names.queue(queue) not in rest


def test_a_trailing_newline_is_no_name():
    """`$` in a pattern would let it pass."""
    assert not is_namespace("blue\n")
    assert not is_queue("mail\n")
