"""The tables, declared once. Times are UTC; money is integer nano-dollars."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime: SQLite stores no zone, PostgreSQL answers in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

paper = Table(
    "paper",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("authors", JSON, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("primary_category", String(32), nullable=False),
    Column("categories", JSON, nullable=False),
    Column("published", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("comment", Text, nullable=False),
)

# A paper is listed once for ever in each of its categories: the date it was new there.
listing = Table(
    "listing",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("date", Date, nullable=False),
    Column("late", Boolean, nullable=False),
    Index(None, "date", "category"),
)

# An announcement that was fetched whole for a category.
fetched = Table(
    "fetched",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("papers", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)

# One request that may cost money: committed as `intent` before it leaves, its raw answer before it
# is parsed. The states are drawn in `store/ledger.py`.
call = Table(
    "call",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("scorer", String(128), nullable=False),
    Column("date", Date, nullable=False),
    Column("reading", Integer, nullable=False),
    Column("model", String(64), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("papers", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("upper_nanos", BigInteger, nullable=False),
    Column("usage", JSON),
    Column("cost_nanos", BigInteger, nullable=False, default=0),
    Column("raw", LargeBinary),
    Column("reason", Text, nullable=False, default=""),
    Column("owner", String(128), nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("batch_id", String(128)),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Index(None, "rubric", "date"),
    Index(None, "fingerprint", "scorer", "state"),
    Index(None, "started_at"),
)

# What one reading of a paper under a rubric came to, for ever: rubrics of one fingerprint share it.
score = Table(
    "score",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("scorer", String(128), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("reading", Integer, primary_key=True),
    Column("outcome", String(32), nullable=False),
    Column("model", String(64), nullable=False),
    Column("relevance", Integer),
    Column("novelty", Integer),
    Column("fine", Integer, nullable=False, default=0),
    Column("criterion", Integer, nullable=False, default=0),
    Column("comment", Text, nullable=False, default=""),
    Column("similarity", Float),
    Column("call_id", String(32)),
)

digest = Table(
    "digest",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("date", Date, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("picks", Integer, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("scanned", Integer, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("rubric", "date"),
)

# Which digest of a rubric covered a paper: at most one, whatever happens.
digest_paper = Table(
    "digest_paper",
    metadata,
    Column("rubric", String(64), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False, index=True),
    Column("picked", Boolean, nullable=False),
)

subscriber = Table(
    "subscriber",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_key", String(320), nullable=False, unique=True),
    Column("email_hash", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("timezone", String(64)),
    Column("send_at", String(5)),
    Column("days", JSON, nullable=False),
    Column("max_papers", Integer),
    Column("format", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_reason", Text, nullable=False, default=""),
    Column("state_at", Moment, nullable=False),
    Column("soft_bounces", Integer, nullable=False, default=0),
    Column("consent", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Index(None, "rubric", "state"),
)

# Addresses that must never be mailed again; outlives the subscriber.
suppression = Table(
    "suppression",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
    Column("subscriber_id", String(32), ForeignKey("subscriber.id"), nullable=False, index=True),
    Column("email", String(320), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempt", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("lease_owner", String(160)),
    Column("lease_until", Moment),
    Column("not_before", Moment),
    Column("content_hash", String(64)),
    Column("provider_id", String(128)),
    Column("reason", Text, nullable=False, default=""),
    Column("fate", String(16), nullable=False, default="", server_default=""),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("digest_id", "subscriber_id"),
    # Claims walk along it: without the id each one would sort all that is still to be sent.
    Index(None, "digest_id", "state", "id"),
)

# How the audience of a digest was counted, and why its sending stopped, if it did.
mailing = Table(
    "mailing",
    metadata,
    Column("digest_id", Integer, ForeignKey("digest.id"), primary_key=True),
    Column("candidates", Integer, nullable=False),
    Column("excluded", JSON, nullable=False),
    Column("halted", Text, nullable=False, default=""),
    Column("at", Moment, nullable=False),
)

# What the provider told about mails. `id` is the hash of the news: told twice, it is one row.
event = Table(
    "event",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("email_hash", String(64), nullable=False),
    Column("delivery_id", String(32), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Index(None, "email_hash", "at"),
    Index(None, "kind", "at"),
)

# Mail that came in, kept raw before anything is made of it. `id` is the hash of what it is.
inbound = Table(
    "inbound",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("envelope_from", Text, nullable=False),
    Column("envelope_to", Text, nullable=False),
    Column("aligned", Boolean, nullable=False),
    Column("raw", LargeBinary),
    Column("state", String(16), nullable=False),
    Column("subscriber_id", String(32), index=True),
    Column("said", Text, nullable=False, default=""),
    Column("received_at", Moment, nullable=False),
    Column("answered_at", Moment),
    Index(None, "state", "received_at"),
)

# A limit shared by all machines: when the next start would be due at the even pace (Unix time).
pace = Table(
    "pace",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("due", Float, nullable=False),
)

# The words of every picked paper, to be searched; `number` is its place in its digest.
archive_text = Table(
    "archive_text",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("date", Date, nullable=False),
    Column("paper_id", String(32), nullable=False),
    Column("title", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("comment", Text, nullable=False),
    UniqueConstraint("digest_id", "number"),
    Index(None, "rubric", "date"),
)

# Who asked on the web to get mail. The address itself stands with the pending subscriber alone.
signup = Table(
    "signup",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("asked_at", Moment, nullable=False, index=True),
    Column("mailed_at", Moment, nullable=False, index=True),
)
