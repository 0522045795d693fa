"""PostgreSQL can enqueue by itself: `enqueue(task, payload, ...)`, for triggers and other languages.

Revision 0013. SQLite has no functions of its own, so nothing changes there.

The function writes what `ledger/statements/enqueue.py` writes; a contract test compares the rows field by
field. A change there that matters to new rows needs a new revision with the whole function in it.
"""

from typing import Final

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SIGNATURE: Final = """enqueue(
  text, jsonb, text, text, integer, text, text, double precision, double precision, timestamptz,
  double precision, timestamptz, text[], double precision, double precision, text
)"""

# SECURITY INVOKER: who may call it may do no more than their own role may. Every name is qualified, and the
# search path pinned, so that no table of the caller's takes the place of ours.
FUNCTION: Final = """
CREATE FUNCTION {schema}.enqueue(
  task text,
  payload jsonb DEFAULT '{{}}',
  queue text DEFAULT NULL,
  version text DEFAULT NULL,
  priority integer DEFAULT 5,
  tenant text DEFAULT NULL,
  key text DEFAULT NULL,
  key_seconds double precision DEFAULT 604800,
  delay_seconds double precision DEFAULT 0,
  run_at timestamptz DEFAULT NULL,
  deadline_seconds double precision DEFAULT NULL,
  deadline_at timestamptz DEFAULT NULL,
  tags text[] DEFAULT NULL,
  soft_timeout_seconds double precision DEFAULT NULL,
  hard_timeout_seconds double precision DEFAULT NULL,
  trace text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
  longest CONSTANT double precision := 366 * 24 * 3600.0;
  total_age CONSTANT interval := interval '7 days';
  at CONSTANT timestamptz := statement_timestamp();
  epoch_ms CONSTANT numeric := extract(epoch FROM clock_timestamp()) * 1000;
  refused text;
  offer record;
  job_id text;
  holder text;
  due timestamptz;
  ends timestamptz;
  body text := enqueue.payload::text;
  words text[];
  job_state text;
  digest_of_key text := encode(
    sha256(convert_to(enqueue.task, 'UTF8') || '\\x00'::bytea || convert_to(enqueue.key, 'UTF8')), 'hex'
  );
BEGIN
  SELECT o.version, o.queue, o.isolated, jsonb_exists(o.schema::jsonb, 'x-holdfast-unique') AS is_unique
    INTO offer
    FROM {schema}.offers AS o JOIN {schema}.workers AS w ON w.id = o.worker_id
    WHERE o.task = enqueue.task AND NOT jsonb_exists(o.schema::jsonb, 'x-holdfast-upcast-to')
      AND (enqueue.version IS NULL OR o.version = enqueue.version)
    GROUP BY o.version, o.queue, o.isolated, o.schema, w.alive
    ORDER BY w.alive DESC, count(*) DESC, o.version DESC
    LIMIT 1;
  SELECT array_agg(one.tag ORDER BY one.first) INTO words
    FROM (
      SELECT u.tag, min(u.n) AS first FROM unnest(enqueue.tags) WITH ORDINALITY AS u(tag, n) GROUP BY u.tag
    ) AS one;
  refused := CASE
    WHEN enqueue.task IS NULL OR length(enqueue.task) NOT BETWEEN 1 AND 255
      THEN 'task must be 1 to 255 characters'
    WHEN offer.version IS NULL AND (enqueue.queue IS NULL OR enqueue.version IS NULL)
      THEN 'no worker has offered the task ' || enqueue.task || '; start one, or say queue and version'
    WHEN offer.is_unique
      THEN enqueue.task || ' has a rule about unique jobs, which only a program with its code can keep'
    WHEN enqueue.payload IS NULL OR jsonb_typeof(enqueue.payload) <> 'object'
      THEN 'payload must be a JSON object: name of each parameter, and its value'
    WHEN octet_length(convert_to(body, 'UTF8')) > 1048576
      THEN 'payload has more than 1048576 bytes: store the data elsewhere and pass a reference'
    WHEN enqueue.queue !~ '^[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}$'
      OR enqueue.queue IN ('celery', 'control', 'epoch', 'events', 'health', 'intake', 'plain')
      THEN 'queue must be 1 to 64 letters, digits, _ and -, and none of those that are taken'
    WHEN enqueue.priority IS NULL OR enqueue.priority NOT BETWEEN 0 AND 9
      THEN 'priority must be from 0 (first) to 9 (last)'
    WHEN length(enqueue.tenant) NOT BETWEEN 1 AND 255 OR enqueue.tenant ~ '[[:cntrl:]]'
      THEN 'tenant must be 1 to 255 printable characters'
    WHEN length(enqueue.key) NOT BETWEEN 1 AND 1024 OR enqueue.key ~ '[[:cntrl:]]'
      THEN 'key must be 1 to 1024 printable characters'
    WHEN enqueue.key_seconds IS NULL OR NOT (enqueue.key_seconds > 0 AND enqueue.key_seconds <= longest)
      THEN 'key_seconds must be more than 0, up to 366 days'
    WHEN enqueue.delay_seconds IS NULL OR enqueue.delay_seconds NOT BETWEEN 0 AND longest
      THEN 'delay_seconds must be from 0 to 366 days'
    WHEN NOT (enqueue.deadline_seconds > 0 AND enqueue.deadline_seconds <= 100 * longest)
      OR NOT (enqueue.soft_timeout_seconds > 0 AND enqueue.soft_timeout_seconds <= 100 * longest)
      OR NOT (enqueue.hard_timeout_seconds > 0 AND enqueue.hard_timeout_seconds <= 100 * longest)
      THEN 'deadline and timeouts must be more than 0, up to a hundred years'
    WHEN NOT (enqueue.run_at BETWEEN '1971-01-01Z' AND '8800-01-01Z')
      OR NOT (enqueue.deadline_at BETWEEN '1971-01-01Z' AND '8800-01-01Z')
      THEN 'run_at and deadline_at must be within the years 1971 to 8800'
    WHEN cardinality(words) > 16 OR EXISTS (
        SELECT FROM unnest(words) AS u(tag) WHERE u.tag IS NULL OR length(u.tag) NOT BETWEEN 1 AND 64
          OR u.tag ~ '[[:cntrl:],]|^[[:space:]]|[[:space:]]$'
      ) THEN 'tags must be up to 16 texts of 1 to 64 printable characters, without a comma'
    WHEN length(enqueue.version) NOT BETWEEN 1 AND 255 OR length(enqueue.trace) NOT BETWEEN 1 AND 255
      THEN 'version and trace must be 1 to 255 characters'
  END;
  IF refused IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'enqueue: ' || refused;
  END IF;
  -- A UUID of version 7: milliseconds, their fraction, and 62 random bits behind the variant.
  job_id := lpad(to_hex(floor(epoch_ms)::bigint), 12, '0') || '7'
    || lpad(to_hex(floor((epoch_ms - floor(epoch_ms)) * 4096)::integer), 3, '0')
    || substr(replace(gen_random_uuid()::text, '-', ''), 17);
  job_id := job_id::uuid::text;
  IF enqueue.key IS NOT NULL THEN
    INSERT INTO {schema}.job_keys AS k (digest, job_id, held_until)
      VALUES (
        digest_of_key, job_id, at + enqueue.key_seconds * interval '1 second'
      )
      ON CONFLICT (digest) DO UPDATE
        SET job_id = excluded.job_id, held_until = excluded.held_until, became = NULL
        WHERE k.held_until <= at;
    IF NOT FOUND THEN
      SELECT k.job_id INTO holder FROM {schema}.job_keys AS k WHERE k.digest = digest_of_key;
      IF holder IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
          MESSAGE = 'enqueue: the rival that held the key vanished while we looked; repeat the transaction';
      END IF;
      RETURN holder;
    END IF;
  END IF;
  due := coalesce(enqueue.run_at, at + enqueue.delay_seconds * interval '1 second');
  ends := coalesce(enqueue.deadline_at, at + enqueue.deadline_seconds * interval '1 second');
  job_state := CASE WHEN due <= at THEN 'available' ELSE 'scheduled' END;
  INSERT INTO {schema}.jobs (
    id, task, version, queue, state, priority, tenant, principal, arguments, trace, key,
    soft_timeout_seconds, hard_timeout_seconds, cohort, tags, created_at, run_at, deadline_at, expires_at,
    ends_at, generation, attempt, claims, losses, crashes, deaths_alone, wake_seq, moments,
    fence_incarnation, fence_counter, rings, ring_epoch, next_ring_at
  ) VALUES (
    job_id, enqueue.task, coalesce(enqueue.version, offer.version), coalesce(enqueue.queue, offer.queue),
    job_state, enqueue.priority, enqueue.tenant, left('sql:' || session_user, 255), body, enqueue.trace,
    enqueue.key, enqueue.soft_timeout_seconds, enqueue.hard_timeout_seconds,
    CASE WHEN offer.isolated THEN 1 END, to_jsonb(words)::text, at, due, ends,
    greatest(due, at) + total_age, least(ends, greatest(due, at) + total_age),
    1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, '', CASE WHEN due <= at THEN at + interval '1 second' END
  );
  INSERT INTO {schema}.job_moments (job_id, seq, at, kind, state, attempt)
    VALUES (job_id, 1, at, 'enqueue', job_state, 0);
  INSERT INTO {schema}.job_tags (job_id, tag) SELECT job_id, u.tag FROM unnest(words) AS u(tag);
  RETURN job_id;
END
$body$
"""


def upgrade() -> None:
    """Create the function; nobody but its owner may call it before somebody grants it."""
    if op.get_bind().dialect.name != "postgresql":
        return
    schema = _schema()
    op.execute(text(FUNCTION.format(schema=schema)))
    op.execute(text(f"REVOKE ALL ON FUNCTION {schema}.{SIGNATURE} FROM PUBLIC"))


def downgrade() -> None:
    """Drop it: triggers that call it fail from then on."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(text(f"DROP FUNCTION {_schema()}.{SIGNATURE}"))


def _schema() -> str:
    schema: str = op.get_context().opts.get("version_table_schema") or "public"
    return op.get_bind().dialect.identifier_preparer.quote(schema)
