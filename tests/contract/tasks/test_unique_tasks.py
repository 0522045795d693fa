"""`@task(unique=...)`, the override of a call, and keys of whole batches, on both databases."""

import asyncio

import pytest

from holdfast.jobs.errors import InvalidOption, InvalidTask, NotUnique, UnknownTask
from holdfast.jobs.outcome import Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.unique import UNTIL_STARTED, Unique
from holdfast.tasks import Client, Registry, TaskContext, task
from holdfast.tests.contract.tasks.conftest import Hand


@pytest.fixture
def report(registry):
    """A task of which one job for a document may be there."""

    @task(name="tests.report", unique=Unique(by=("document_id",)), registry=registry)
    async def report(ctx: TaskContext, document_id: int, style: str = "short") -> str:
        return f"{ctx.attempt} {document_id} {style}"

    return report


@pytest.fixture
def worker(ledger, report, registry):
    """A worker that offers it."""
    del report
    return Hand(ledger, registry)


@pytest.fixture
def stranger(ledger, bell):
    """A client in a process without the tasks' code."""
    client = Client(ledger, bell, registry=Registry())
    yield client
    client.close()


@pytest.mark.usefixtures("client")
def test_the_tasks_rule(report, bell, worker):
    """A double click is one job, and both handles wait for it; after its end the next click is a new one."""
    first = asyncio.run(report.enqueue(1))
    again = asyncio.run(report.enqueue(1, style="long"))
    assert (first.id, False, "returned") == (again.id, again.created, again.conflict)
    assert report.enqueue_sync(2).created
    assert report.options(tenant="north").enqueue_sync(1).created
    assert 3 == len(bell.rung)
    worker.run(first.id)
    assert '"done"' == f'"{again.result_sync()}"'
    assert report.enqueue_sync(1).created


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("way", ["delay", "apply_async", "many", "session"])
def test_every_way_to_enqueue_keeps_the_rule(report, ledger, way):
    """Celery's names and the caller's transaction, too."""
    first = report.enqueue_sync(1)
    with ledger.session() as session:
        handle = {
            "delay": lambda: report.delay(1),
            "apply_async": lambda: report.apply_async(args=(1,)),
            "many": lambda: report.enqueue_many_sync([(2,), (1,)])[1],
            "session": lambda: report.options(session=session).enqueue_sync(1),
        }[way]()
        session.commit()
    assert (first.id, "returned") == (handle.id, handle.conflict)


@pytest.mark.usefixtures("client", "worker")
def test_who_knows_the_task_by_name_keeps_its_rule(report, stranger):
    """Workers publish it with what else there is to know."""
    first = stranger.enqueue_sync("tests.report", {"document_id": 1})
    assert first.created
    assert first.id == stranger.enqueue_sync("tests.report", {"document_id": 1, "style": "long"}).id
    assert first.id == report.enqueue_sync(1).id
    assert stranger.enqueue_sync("tests.report", {"document_id": 2}).created


def test_a_rule_that_cannot_be_read_makes_no_jobs(ledger, stranger, report, monkeypatch):
    """A newer worker's rule may say what this program does not know: too many jobs would be made."""
    monkeypatch.setattr(Unique, "as_json", lambda _: {"by": "arguments", "states": [], "new": 1})
    registry = Registry()
    registry.add(report)
    Hand(ledger, registry)
    with pytest.raises(UnknownTask, match="rule about unique jobs"):
        stranger.enqueue_sync("tests.report", {"document_id": 1})


@pytest.mark.usefixtures("client")
def test_a_call_has_its_own_rule(report):
    """`unique=` of a call wins over the task's; False is none."""
    first = report.enqueue_sync(1)
    strict = report.options(unique=Unique(by=("document_id",), on_conflict="reject"))
    with pytest.raises(NotUnique) as told:
        strict.enqueue_sync(1)
    assert first.id == told.value.job_id
    free = report.options(unique=False)
    assert free.enqueue_sync(1).created
    assert report.options(unique=Unique()).enqueue_sync(1, "long").created


@pytest.mark.usefixtures("client")
def test_debounce(registry, ledger):
    """While they type, the job waits; it runs once, with what was said last."""

    @task(
        name="tests.save",
        unique=Unique(by=("document_id",), states=UNTIL_STARTED, on_conflict="debounce"),
        registry=registry,
    )
    async def save(document_id: int, text: str) -> str:
        return f"{document_id} {text}"

    later = save.options(delay_seconds=30)
    first = later.enqueue_sync(1, "h")
    handles = [later.enqueue_sync(1, text) for text in ("he", "hel", "hell", "hello")]
    assert {(first.id, "moved")} == {(handle.id, handle.conflict) for handle in handles}
    job = ledger.job(first.id)
    assert (JobState.SCHEDULED, '{"document_id":1,"text":"hello"}') == (job.state, job.arguments)


@pytest.mark.usefixtures("client")
def test_a_requeue_beside_the_next_one(report, ledger, worker):
    """The operator hears which job is in the way."""
    first = report.enqueue_sync(1)
    worker.run(first.id, Quarantine(QuarantineReason.PERMANENT))
    second = report.enqueue_sync(1)
    with pytest.raises(NotUnique, match=second.id):
        ledger.requeue(first.id)


def test_a_rule_names_parameters(client, report, stranger, worker):
    """A name that is none is found at the decorator, or at the call: it would make one job of all."""
    del worker
    with pytest.raises(InvalidTask, match="unique by documnet, which is no parameter"):

        @task(unique=Unique(by=("documnet",)), registry=Registry())
        def broken(document: int) -> int:
            return document

    wrong = Unique(by=("documnet",))
    with pytest.raises(InvalidOption, match="documnet"):
        report.options(unique=wrong, client=client).enqueue_sync(1)
    with pytest.raises(InvalidOption, match="documnet"):
        stranger.enqueue_sync("tests.report", {"document_id": 1}, report.options(unique=wrong)._options)  # noqa: SLF001 -- the test looks inside


# Keys of batches


@pytest.mark.usefixtures("client", "hand")
def test_a_batch_with_a_key_is_the_same_when_repeated(greet, bell, client):
    """Its n-th call is the n-th job, also by name and from synchronous code."""
    calls = [("Ada",), ("Ada",), ("Eve",)]
    batch = greet.options(key="monday")
    first = [handle.id for handle in asyncio.run(batch.enqueue_many(calls))]
    assert 3 == len(set(first)) == len(bell.rung)
    again = batch.enqueue_many_sync(calls)
    assert first == [handle.id for handle in again]
    assert [False] * 3 == [handle.created for handle in again]
    longer = batch.enqueue_many_sync([*calls, ("Bob",)])
    assert [*[False] * 3, True] == [handle.created for handle in longer]
    assert greet.options(key="monday").enqueue_sync("Ada").created
    named = client.enqueue_many_sync("tests.greet", [{"name": "Ada"}], batch._options)  # noqa: SLF001 -- the test looks inside
    assert first[:1] == [handle.id for handle in named]


@pytest.mark.usefixtures("client")
def test_how_long_a_key_is_remembered(greet):
    """It is the caller's to say."""
    short = greet.options(key="k", key_seconds=0.001)
    first = short.enqueue_sync("Ada")
    second = greet.options(key="k", key_seconds=60).enqueue_sync("Ada")
    assert first.id != second.id == greet.options(key="k").enqueue_sync("Ada").id
    for seconds in (0, -1, float("nan"), 400 * 24 * 3600.0):
        with pytest.raises(InvalidOption, match="key_seconds"):
            greet.options(key="k", key_seconds=seconds)
