"""Subscribers, suppressions, sign-ups, first mails, and pending erasures."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, Index, Integer, String, Table, Text

from newsletter.store.tables.types import Moment, metadata

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
    # Names of the preferences that the reader set; no import changes them.
    Column("chosen", JSON, nullable=False, default=list, server_default="[]"),
    Index(None, "rubric", "state"),
)

# Addresses that must never be mailed again; rows outlive the subscriber.
suppression = Table(
    "suppression",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

# Sign-ups on the web. The address itself is stored only with the pending subscriber.
signup = Table(
    "signup",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("asked_at", Moment, nullable=False, index=True),
    Column("mailed_at", Moment, nullable=False, index=True),
    # Confirmation mails without an answer; and when the recipient refused further ones.
    Column("mails", Integer, nullable=False, default=1, server_default="1"),
    Column("refused_at", Moment),
)

# Imported addresses, until a day after their first mail.
first_mail = Table(
    "first_mail",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("imported_at", Moment, nullable=False),
    Column("mailed_at", Moment, index=True),
)

# How many papers the source was asked for on a reader's behalf on their last such day.
paper_lookup = Table(
    "paper_lookup",
    metadata,
    Column("subscriber_id", String(32), primary_key=True),
    Column("date", Date, nullable=False),
    Column("requests", Integer, nullable=False),
)

# Addresses that the provider must still erase; a row is deleted when it was asked to.
erasure = Table(
    "erasure",
    metadata,
    Column("email", String(320), primary_key=True),
    Column("asked_at", Moment, nullable=False),
)
