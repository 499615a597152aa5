"""Deliveries, batches of mail, provider events, inbound mail, and shared rate limits."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
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
)

from newsletter.store.tables.types import Moment, metadata, partial_index

# One request for many readers of one rendering. A retry is a new row with a new batch.
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
    # SQLite can't add a foreign key to an existing table. Without an index: rows are found by
    # their subscriber as well.
    Column("subscription_id", String(32), nullable=False, server_default=""),
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
    # The mail_group of the last attempt, without a foreign key either.
    Column("group_id", String(32)),
    # The mailer that sent it, by its name in the settings.
    Column("mailer", String(16), nullable=False, default="", server_default=""),
    # The message id that SendGrid gave: replies to a batched mail have only this, no token.
    Column("message_id", String(200)),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("digest_id", "subscriber_id"),
    # For claims, in this order: without the id each claim would sort all pending mail.
    Index(None, "digest_id", "state", "id"),
    *(
        partial_index(None, name, where=f"{name} IS NOT NULL")
        for name in ("group_id", "message_id")
    ),
)

# The audience of a digest, and why its sending stopped, if it did.
mailing = Table(
    "mailing",
    metadata,
    Column("digest_id", Integer, ForeignKey("digest.id"), primary_key=True),
    Column("candidates", Integer, nullable=False),
    Column("excluded", JSON, nullable=False),
    Column("halted", Text, nullable=False, default=""),
    Column("at", Moment, nullable=False),
    # Set by the operator: neither hard bounces nor first mails stop sending.
    Column("unrestrained", Boolean, nullable=False, default=False, server_default=false()),
    partial_index("ix_mailing_halted", "digest_id", where="halted != ''"),
)

# Provider events. `id` is the hash of the event: a repeated event is one row.
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

# Inbound mail, stored raw before it is processed. `id` is the hash of what was read of it: one
# row, however many of our addresses it was sent to.
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
    Column("subscription_id", String(32), index=True),
    Column("said", Text, nullable=False, default=""),
    Column("received_at", Moment, nullable=False),
    Column("answered_at", Moment),
    Index(None, "state", "received_at"),
)

# Answers to replies: at most so many numbers a day (UTC) for one address, one for each mail.
reply_answer = Table(
    "reply_answer",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("inbound_id", String(64), nullable=False, unique=True),
    Column("at", Moment, nullable=False, index=True),
)

# A rate limit shared by all processes; `store/rate_limits.py` explains the columns.
pace = Table(
    "pace",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("due", Float, nullable=False),
    Column("not_before", Float),
    Column("slow_rate", Float),
    Column("slow_until", Float),
)
