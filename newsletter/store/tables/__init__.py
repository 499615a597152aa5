"""All tables, one file for each subject."""

from newsletter.store.tables.digests import archive_text, digest, digest_paper
from newsletter.store.tables.jobs import ended_session, lease, life, shared_settings
from newsletter.store.tables.mail import (
    delivery,
    event,
    inbound,
    inbound_body,
    mail_group,
    mailing,
    pace,
    reply_answer,
)
from newsletter.store.tables.operations import (
    alert,
    digest_outcome,
    duration,
    operator_action,
    origin,
    ping,
    trouble,
)
from newsletter.store.tables.papers import (
    crosscheck,
    fetched,
    listing,
    look,
    paper,
    paper_metadata,
    paper_news,
    paper_version,
)
from newsletter.store.tables.reader_rubrics import (
    reader_rubric,
    reader_rubric_change,
    reader_rubric_version,
)
from newsletter.store.tables.scoring import call, month_cost, score
from newsletter.store.tables.subscribers import (
    erasure,
    first_mail,
    paper_lookup,
    rubric_mail,
    rubric_suppression,
    signup,
    subscriber,
    subscription,
    suppression,
)
from newsletter.store.tables.types import Moment, metadata
from newsletter.store.tables.votes import saved_paper, vote

__all__ = [
    "Moment",
    "alert",
    "archive_text",
    "call",
    "crosscheck",
    "delivery",
    "digest",
    "digest_outcome",
    "digest_paper",
    "duration",
    "ended_session",
    "erasure",
    "event",
    "fetched",
    "first_mail",
    "inbound",
    "inbound_body",
    "lease",
    "life",
    "listing",
    "look",
    "mail_group",
    "mailing",
    "metadata",
    "month_cost",
    "operator_action",
    "origin",
    "pace",
    "paper",
    "paper_lookup",
    "paper_metadata",
    "paper_news",
    "paper_version",
    "ping",
    "reader_rubric",
    "reader_rubric_change",
    "reader_rubric_version",
    "reply_answer",
    "rubric_mail",
    "rubric_suppression",
    "saved_paper",
    "score",
    "shared_settings",
    "signup",
    "subscriber",
    "subscription",
    "suppression",
    "trouble",
    "vote",
]
