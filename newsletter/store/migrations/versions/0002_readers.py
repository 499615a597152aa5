"""Readers, their mail, and what comes back of it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _make_subscriber()
    _make_suppression()
    _make_delivery()
    _make_mailing()
    _make_event()
    _make_inbound()
    _make_signup()


def _make_subscriber() -> None:
    op.create_table(
        "subscriber",
        Column("id", String(length=32), nullable=False),
        Column("email", String(length=320), nullable=False),
        Column("email_key", String(length=320), nullable=False),
        Column("email_hash", String(length=64), nullable=False),
        Column("name", Text(), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("timezone", String(length=64), nullable=True),
        Column("send_at", String(length=5), nullable=True),
        Column("days", JSON(), nullable=False),
        Column("max_papers", Integer(), nullable=True),
        Column("format", String(length=16), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("state_reason", Text(), nullable=False),
        Column("state_at", Moment, nullable=False),
        Column("soft_bounces", Integer(), nullable=False),
        Column("consent", Text(), nullable=False),
        Column("since", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_subscriber")),
        UniqueConstraint("email_key", name=op.f("uq_subscriber_email_key")),
    )
    op.create_index(op.f("ix_subscriber_email_hash"), "subscriber", ["email_hash"])
    op.create_index(op.f("ix_subscriber_rubric_state"), "subscriber", ["rubric", "state"])


def _make_suppression() -> None:
    op.create_table(
        "suppression",
        Column("email_hash", String(length=64), nullable=False),
        Column("reason", String(length=32), nullable=False),
        Column("source", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("email_hash", name=op.f("pk_suppression")),
    )


def _make_delivery() -> None:
    op.create_table(
        "delivery",
        Column("id", String(length=32), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        Column("subscriber_id", String(length=32), nullable=False),
        Column("email", String(length=320), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("attempt", Integer(), nullable=False),
        Column("failures", Integer(), nullable=False),
        Column("lease_owner", String(length=160), nullable=True),
        Column("lease_until", Moment, nullable=True),
        Column("not_before", Moment, nullable=True),
        Column("content_hash", String(length=64), nullable=True),
        Column("provider_id", String(length=128), nullable=True),
        Column("reason", Text(), nullable=False),
        Column("fate", String(length=16), server_default="", nullable=False),
        Column("created_at", Moment, nullable=False),
        Column("changed_at", Moment, nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_delivery_digest_id")),
        ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_delivery_subscriber_id")
        ),
        PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        UniqueConstraint(
            "digest_id", "subscriber_id", name=op.f("uq_delivery_digest_id_subscriber_id")
        ),
    )
    op.create_index(
        op.f("ix_delivery_digest_id_state_id"), "delivery", ["digest_id", "state", "id"]
    )
    op.create_index(op.f("ix_delivery_state"), "delivery", ["state"])
    op.create_index(op.f("ix_delivery_subscriber_id"), "delivery", ["subscriber_id"])


def _make_mailing() -> None:
    op.create_table(
        "mailing",
        Column("digest_id", Integer(), nullable=False),
        Column("candidates", Integer(), nullable=False),
        Column("excluded", JSON(), nullable=False),
        Column("halted", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_mailing_digest_id")),
        PrimaryKeyConstraint("digest_id", name=op.f("pk_mailing")),
    )


def _make_event() -> None:
    op.create_table(
        "event",
        Column("id", String(length=64), nullable=False),
        Column("kind", String(length=16), nullable=False),
        Column("email_hash", String(length=64), nullable=False),
        Column("delivery_id", String(length=32), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        Column("received_at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_delivery_id"), "event", ["delivery_id"])
    op.create_index(op.f("ix_event_email_hash_at"), "event", ["email_hash", "at"])
    op.create_index(op.f("ix_event_kind_at"), "event", ["kind", "at"])


def _make_inbound() -> None:
    op.create_table(
        "inbound",
        Column("id", String(length=64), nullable=False),
        Column("envelope_from", Text(), nullable=False),
        Column("envelope_to", Text(), nullable=False),
        Column("aligned", Boolean(), nullable=False),
        Column("raw", LargeBinary(), nullable=True),
        Column("state", String(length=16), nullable=False),
        Column("subscriber_id", String(length=32), nullable=True),
        Column("said", Text(), nullable=False),
        Column("received_at", Moment, nullable=False),
        Column("answered_at", Moment, nullable=True),
        PrimaryKeyConstraint("id", name=op.f("pk_inbound")),
    )
    op.create_index(op.f("ix_inbound_state_received_at"), "inbound", ["state", "received_at"])
    op.create_index(op.f("ix_inbound_subscriber_id"), "inbound", ["subscriber_id"])


def _make_signup() -> None:
    op.create_table(
        "signup",
        Column("email_hash", String(length=64), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("asked_at", Moment, nullable=False),
        Column("mailed_at", Moment, nullable=False),
        PrimaryKeyConstraint("email_hash", name=op.f("pk_signup")),
    )
    op.create_index(op.f("ix_signup_asked_at"), "signup", ["asked_at"])
    op.create_index(op.f("ix_signup_mailed_at"), "signup", ["mailed_at"])
