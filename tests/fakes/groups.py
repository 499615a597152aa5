"""Sending in groups: a light message for many, a mailer with small groups, and one run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from newsletter.delivery.batch_sender import deliver_batches
from newsletter.delivery.message import addressee
from newsletter.delivery.sender import SendLimits, Tally
from newsletter.domain.mail import BatchEmail
from newsletter.mailers.sendgrid.batch import SendGridBatches
from newsletter.store.mail_batches import MailBatchState
from newsletter.store.tables import mail_group
from tests.fakes.mail import LINKS, SENDER, settings

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.segments import DeliverySchedule
    from newsletter.store import Store
    from newsletter.store.mail_batches import MailBatch
    from tests.fakes.mail import DeliveryScenario
    from tests.fakes.sendgrid import FakeSendGrid

LEAD = timedelta(minutes=15)


class SmallGroups(SendGridBatches):
    """Ten readers a request are as good as a thousand."""

    max_readers = 10


def mailer(fake: FakeSendGrid, timeout: float = 240.0) -> SmallGroups:
    given = settings(sendgrid_api_key="SG.secret", sendgrid_url=fake.url)
    return SmallGroups(given, timeout=timeout)


def message(group: MailBatch) -> BatchEmail:
    """One paper for everybody, and a word for each."""
    return BatchEmail(
        id=group.id,
        from_email=SENDER.email,
        from_name=SENDER.name,
        reply_to=LINKS.common_reply_address,
        subject="arXiv digest",
        html="<p>One paper for -tag-.</p>",
        text="One paper for -tag-.\n",
        readers=tuple(
            addressee(
                one.subscription,
                delivery_id=one.id,
                words=(("-tag-", one.subscription.name),),
                links=LINKS,
                sender=SENDER,
                archive_url="",
            )
            for one in group.deliveries
        ),
        content_hash="0" * 64,
        batch_id=group.batch_id,
        send_at=group.send_at,
    )


def at_once(_schedule: DeliverySchedule) -> datetime | None:
    return None


def ahead(scenario: DeliveryScenario, lead: timedelta = LEAD) -> Any:
    """Everybody's hour is a while after the clock's beginning."""
    at = scenario.clock.now() + lead
    return lambda _schedule: at


def run(scenario: DeliveryScenario, fake: FakeSendGrid, **options: Any) -> Tally:
    fake.batches.clock = lambda: scenario.clock.now().timestamp()
    given: dict[str, Any] = {
        "due": at_once,
        "clock": scenario.clock.now,
        "sleep": scenario.clock.sleep,
        "limits": SendLimits(),
    }
    sender = options.pop("mailer", None) or mailer(fake)
    return deliver_batches(
        scenario.store, sender, scenario.digest_id, message, **{**given, **options}
    )


def states(store: Store) -> list[MailBatchState]:
    with store.read() as tx:
        rows = tx.scalars(select(mail_group.c.state).order_by(mail_group.c.started_at))
        return [MailBatchState(row) for row in rows]
