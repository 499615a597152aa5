"""Subscribers with subscriptions, votes and reading lists; suppressions, sign-ups, erasures."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables.types import Moment, metadata, partial_index

subscriber = Table(
    "subscriber",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_key", String(320), nullable=False, unique=True),
    Column("email_hash", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("timezone", String(64)),
    Column("send_at", String(5)),
    Column("days", JSON, nullable=False),
    Column("max_papers", Integer),
    Column("format", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_reason", Text, nullable=False, default=""),
    Column("state_at", Moment, nullable=False),
    # When a pause ends by itself.
    Column("paused_until", Moment),
    Column("soft_bounces", Integer, nullable=False, default=0),
    # Names of the preferences that the reader set; no import changes them.
    Column("chosen", JSON, nullable=False, default=list, server_default="[]"),
    # For the round that ends pauses.
    partial_index(None, "paused_until", where="paused_until IS NOT NULL"),
)

# What a subscriber reads. The first subscription of a subscriber has the subscriber's id.
subscription = Table(
    "subscription",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subscriber_id", String(32), ForeignKey("subscriber.id"), nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_reason", Text, nullable=False, default="", server_default=""),
    Column("state_at", Moment, nullable=False),
    Column("consent", Text, nullable=False),
    Column("since", Moment, nullable=False),
    # Mail of this date and earlier ones was had of another rubric, from which the reader moved.
    Column("begins_after", Date),
    # NULL: as the subscriber's. A `max_papers` of 0 means no limit.
    Column("days", JSON(none_as_null=True)),
    Column("max_papers", Integer),
    Column("format", String(16)),
    Column("chosen", JSON, nullable=False, default=list, server_default="[]"),
    UniqueConstraint("subscriber_id", "rubric"),
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

# Rubrics that an address left; rows outlive the subscriber.
rubric_suppression = Table(
    "rubric_suppression",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("rubric", String(64), primary_key=True),
    Column("source", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

# Sign-ups on the web. The address itself is stored only with the pending subscriber.
signup = Table(
    "signup",
    metadata,
    Column("email_hash", String(64), primary_key=True),
    Column("rubric", String(64), primary_key=True),
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

# How many mails with a link that confirms a rubric a reader had on their last such day.
rubric_mail = Table(
    "rubric_mail",
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

# One vote of a subscription about a paper of its rubric; a later vote replaces it.
vote = Table(
    "vote",
    metadata,
    Column("subscription_id", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("rubric", String(64), nullable=False),
    # One of `domain/votes.py`, Vote.
    Column("vote", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "rubric", "at"),
)

# The reading list of a subscription.
saved_paper = Table(
    "saved_paper",
    metadata,
    Column("subscription_id", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("at", Moment, nullable=False),
)
