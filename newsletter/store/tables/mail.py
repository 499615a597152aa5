"""Mails that leave in one request.

Mail that goes out, what became of it, and mail that comes in.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from newsletter.store.tables.types import Moment, metadata

# One request for many readers of one rendering. A second try is a new row, with a batch of its own.
mail_group = Table(
    "mail_group",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
    Column("rendering", String(64), nullable=False),
    Column("readers", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("batch_id", String(128), unique=True),
    Column("send_at", Moment),
    Column("lease_owner", String(160), nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("provider_id", String(128)),
    Column("reason", Text, nullable=False, default=""),
    Column("started_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Index(None, "digest_id", "state"),
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
    # The mail_group of its last try; no foreign key, as SQLite can't add one to a table it has.
    Column("group_id", String(32)),
    # Which mailer it was handed to, by its name in the settings.
    Column("mailer", String(16), nullable=False, default="", server_default=""),
    # As SendGrid named it: replies to a grouped mail bear no token, only this.
    Column("message_id", String(200)),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("digest_id", "subscriber_id"),
    # Claims walk along it: without the id each one would sort all that is still to be sent.
    Index(None, "digest_id", "state", "id"),
    *(
        Index(None, name, sqlite_where=text(named), postgresql_where=text(named))
        for name, named in (
            ("group_id", "group_id IS NOT NULL"),
            ("message_id", "message_id IS NOT NULL"),
        )
    ),
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
    # By the operator: neither hard bounces nor new addresses hold it back.
    Column("unrestrained", Boolean, nullable=False, default=False, server_default=false()),
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
# What was read of a mail, once, however many of our addresses it came to.
inbound_body = Table(
    "inbound_body",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)

inbound = Table(
    "inbound",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("envelope_from", Text, nullable=False),
    Column("envelope_to", Text, nullable=False),
    Column("aligned", Boolean, nullable=False),
    Column("body_id", String(64), ForeignKey("inbound_body.id"), index=True),
    Column("state", String(16), nullable=False),
    Column("subscriber_id", String(32), index=True),
    Column("said", Text, nullable=False, default=""),
    Column("received_at", Moment, nullable=False),
    Column("answered_at", Moment),
    Index(None, "state", "received_at"),
)

# A limit shared by all machines; what the columns mean is told in `store/rate_limits.py`.
pace = Table(
    "pace",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("due", Float, nullable=False),
    Column("not_before", Float),
    Column("slow_rate", Float),
    Column("slow_until", Float),
)
