"""Several rubrics for one address: subscriptions, with what each reader has as their first."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Column,
    Date,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables import Moment

revision = "0023"
down_revision = "0022"

# The first subscription has the subscriber's id, so that tokens in old mail keep their meaning.
SUBSCRIPTIONS = """
INSERT INTO subscription (id, subscriber_id, rubric, state, state_reason, state_at, consent, since)
SELECT id, id, rubric,
    CASE WHEN state IN ('pending', 'unsubscribed') THEN state ELSE 'active' END,
    CASE WHEN state IN ('pending', 'unsubscribed') THEN state_reason ELSE '' END,
    CASE WHEN state IN ('pending', 'unsubscribed') THEN state_at ELSE since END,
    consent, since
FROM subscriber
"""
LEFT = """
INSERT INTO rubric_suppression (email_hash, rubric, source, at)
SELECT email_hash, rubric, state_reason, state_at FROM subscriber
WHERE state = 'unsubscribed' AND email != ''
"""
SUBSCRIBERS = """
UPDATE subscriber SET state = 'active', state_reason = '', state_at = since
WHERE state IN ('pending', 'unsubscribed')
"""


def upgrade() -> None:
    _make_subscription()
    op.create_table(
        "rubric_suppression",
        Column("email_hash", String(length=64), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("source", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("email_hash", "rubric", name=op.f("pk_rubric_suppression")),
    )
    for statement in (SUBSCRIPTIONS, LEFT, SUBSCRIBERS):
        op.execute(statement)
    op.drop_index(op.f("ix_subscriber_rubric_state"), "subscriber")
    for name in ("rubric", "consent", "since"):
        op.drop_column("subscriber", name)
    _name_subscriptions()
    _key_signups_by_rubric()


def _make_subscription() -> None:
    op.create_table(
        "subscription",
        Column("id", String(length=32), nullable=False),
        Column("subscriber_id", String(length=32), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("state_reason", Text(), server_default="", nullable=False),
        Column("state_at", Moment, nullable=False),
        Column("consent", Text(), nullable=False),
        Column("since", Moment, nullable=False),
        Column("begins_after", Date(), nullable=True),
        Column("days", JSON(), nullable=True),
        Column("max_papers", Integer(), nullable=True),
        Column("format", String(length=16), nullable=True),
        Column("chosen", JSON(), server_default="[]", nullable=False),
        ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_subscription_subscriber_id")
        ),
        PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        UniqueConstraint(
            "subscriber_id", "rubric", name=op.f("uq_subscription_subscriber_id_rubric")
        ),
    )
    op.create_index(op.f("ix_subscription_rubric_state"), "subscription", ["rubric", "state"])


def _name_subscriptions() -> None:
    """Deliveries and inbound mail name a subscription."""
    op.add_column(
        "delivery",
        Column("subscription_id", String(length=32), server_default="", nullable=False),
    )
    op.execute("UPDATE delivery SET subscription_id = subscriber_id")
    op.drop_index(op.f("ix_inbound_subscriber_id"), "inbound")
    op.alter_column("inbound", "subscriber_id", new_column_name="subscription_id")
    op.create_index(op.f("ix_inbound_subscription_id"), "inbound", ["subscription_id"])


def _key_signups_by_rubric() -> None:
    with op.batch_alter_table("signup") as signup:
        signup.drop_constraint("pk_signup", type_="primary")
        signup.create_primary_key("pk_signup", ["email_hash", "rubric"])
