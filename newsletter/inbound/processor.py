"""Process inbound mail: execute commands, queue unclear mail for review, send few answers.

`identify.py` tells whose subscription a mail is about. If its author is not verified, the
subscriber is mailed a link and nothing is changed yet.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from newsletter.delivery.message import notification
from newsletter.domain.addresses import ascii_domain
from newsletter.domain.links import TEST_READER, Purpose
from newsletter.errors import run_guarded
from newsletter.inbound import bounce_reports, why
from newsletter.inbound.identify import ADDRESS, identify
from newsletter.inbound.intents import Intent
from newsletter.inbound.mime import parse_mail
from newsletter.inbound.reply_actions import ReplyRequest, carry_out, help_answer, why_answer
from newsletter.inbound.reply_parser import ReplyKind, parse_reply
from newsletter.mailers import SendError
from newsletter.render.why import view_of
from newsletter.store import StoreError, inbound, retry, suppressions
from newsletter.store.inbound import InboundMail, InboundState
from newsletter.store.suppressions import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.mail import Subscription
    from newsletter.inbound.identify import IdentifiedReader
    from newsletter.inbound.reply_actions import Answer
    from newsletter.inbound.reply_parser import ParsedReply
    from newsletter.store import Store

log = logging.getLogger(__name__)

DKIM_PASS = re.compile(r"@([A-Za-z0-9.-]+)\s*:\s*pass\b")
STATES = {ReplyKind.REVIEW: InboundState.REVIEW, ReplyKind.OTHER: InboundState.PERSONAL}
REVIEWED = "A person reads your reply and decides."
ERASE_HELP = (
    "The button “Erase me” at the end of your preferences page deletes what we know of you, and "
    "ends all mail. If you would rather not use it, a person will do it: they have your reply."
)
UNREADABLE = "(this mail could not be processed; the log says why)"
UNVERIFIED = "Somebody, perhaps you, wrote to us from another address. Use the link to be sure."


class SentAnswer(NamedTuple):
    """An answer to send, and its recipient."""

    answer: Answer
    to: Subscription


def store_mail(
    store: Store,
    raw: bytes,
    envelope_from: str,
    recipients: Sequence[str],
    now: datetime,
    *,
    aligned: bool = False,
) -> int:
    """Store a mail once for each recipient; return how many were new.

    Raises StoreError: answer 503.
    """
    with store.begin() as tx:
        new = [
            inbound.keep(
                tx,
                raw,
                envelope_from=envelope_from,
                envelope_to=recipient,
                now=now,
                aligned=aligned,
            )
            for recipient in dict.fromkeys(recipients)
        ]
    return sum(new)


def recipients_to_store(recipients: Sequence[str], links: Links) -> list[str]:
    """The recipients to store a mail for: all reader addresses, else one recipient.

    Anybody can name a hundred addresses at our domain: mail to no reader is stored once.
    """
    tokens = [one for one in recipients if links.read_address(one)]
    host = links.reply_host.lower()
    at_home = [one for one in recipients if one.lower().rpartition("@")[2].rstrip(">") == host]
    return tokens or (at_home or list(recipients))[:1]


def is_aligned(author: str, dkim: str, spf: str, envelope_from: str) -> bool:
    """Whether DKIM, or SPF with the envelope, vouches for the From header's domain.

    `dkim` and `spf` are SendGrid's fields. `dkim` is not JSON and sometimes malformed, so only
    `@domain : pass` counts. The mail's own authentication headers are never read.
    """
    found = ADDRESS.search(author[:1000])
    if not found:
        return False
    domain = ascii_domain(found[1])
    signers = [ascii_domain(name) for name in DKIM_PASS.findall(dkim[:1000])]
    if spf.strip().lower() == "pass" and (sender := ADDRESS.search(envelope_from[:1000])):
        signers.append(ascii_domain(sender[1]))
    return any(_related(domain, signer) for signer in signers)


def _related(one: str, other: str) -> bool:
    """The same domain, or one below the other; never a bare top level."""
    shorter, longer = sorted((one, other), key=len)
    return "." in shorter and (one == other or longer.endswith(f".{shorter}"))


def process_new(app: App, now: datetime) -> int:
    """Process every new mail and send the answers; return how many mails there were.

    A mail's state is committed before its answer is sent: a crash between the two loses one
    answer and never sends two. Raises StoreError.
    """
    done = 0
    while processed := _process_next(app, now):
        done += 1
        if processed.answer:
            run_guarded("an answer", partial(_send, app, processed.answer, now))
    return done


class _Processed(NamedTuple):
    answer: SentAnswer | None


def _process_next(app: App, now: datetime) -> _Processed | None:
    """Process the next new mail. One that fails is left for manual review and stops no other."""
    taken: list[InboundMail] = []
    failed: list[StoreError] = []

    def process() -> SentAnswer | None:
        try:
            with app.store.begin() as tx:
                taken.extend(filter(None, [inbound.next_new(tx)]))
                return _process(tx, app, taken[0], now) if taken else None
        except StoreError as error:
            failed.append(error)
            raise

    answer, problem = run_guarded("an inbound mail", process)
    if failed and (not taken or retry.is_unavailable(failed[0])):
        raise failed[0]
    if not taken:
        return None
    if problem:
        with app.store.begin() as tx:
            inbound.set_state(tx, taken[0].id, InboundState.REVIEW, None, UNREADABLE)
    return _Processed(answer)


def _process(tx: Connection, app: App, found: InboundMail, now: datetime) -> SentAnswer | None:
    links = app.links
    mail = parse_mail(found.raw)
    token = links.read_address(found.envelope_to)
    to_unsubscribe = token is not None and token[0] is Purpose.UNSUB
    # These stand in our mails and so mark where a reply quotes them.
    our_addresses = [app.sender.email, links.reply_host, links.host]
    reply = parse_reply(
        mail, found.envelope_from, our_addresses, to_unsubscribe_address=to_unsubscribe
    )
    returned = reply.kind in {ReplyKind.BOUNCE, ReplyKind.COMPLAINT}
    if returned or bounce_reports.is_report(mail, found, links):
        state = bounce_reports.record_report(tx, links, found, mail, now)
        inbound.set_state(tx, found.id, state, None, reply.text or mail.text)
        return None
    test = token is not None and token[1] == TEST_READER
    if test or reply.kind is ReplyKind.AUTOMATIC:
        inbound.set_state(tx, found.id, InboundState.DONE, None, reply.text)
        return None
    reader = identify(tx, mail, token[1] if token else None, aligned=found.aligned)
    if reader is None or not reader.subscription.email:
        # A command from an unknown address is queued for review.
        state = STATES.get(reply.kind, InboundState.REVIEW)
        inbound.set_state(tx, found.id, state, None, reply.text)
        return None
    return _execute(tx, app, found, reply, reader, now)


def _execute(
    tx: Connection,
    app: App,
    found: InboundMail,
    reply: ParsedReply,
    reader: IdentifiedReader,
    now: datetime,
) -> SentAnswer | None:
    """Execute the command of a known subscriber; return the answer to send, if any."""
    person = reader.subscription
    state = STATES.get(reply.kind, InboundState.DONE)
    if suppressions.reason_for(tx, person.email) is Reason.COMPLAINED:
        inbound.set_state(tx, found.id, state, person.id, reply.text)
        return None
    if reply.kind is ReplyKind.COMMAND and reply.command and reader.verified:
        done = carry_out(tx, ReplyRequest(reply.command, reader, app.rubrics, now))
        state = InboundState.REVIEW if done.needs_person else InboundState.DONE
        inbound.set_state(tx, found.id, state, person.id, reply.text)
        if done.answer and inbound.may_answer(tx, found, person, now):
            return SentAnswer(done.answer, person)
        return None
    inbound.set_state(tx, found.id, state, person.id, reply.text)
    asks = reply.intent or reply.may_unsubscribe
    if not asks or inbound.was_answered(tx, person, now):
        return None
    if not inbound.may_answer(tx, found, person, now):
        return None
    review = ERASE_HELP if reply.intent is Intent.ERASE else REVIEWED
    return SentAnswer(help_answer(review if reader.verified else UNVERIFIED), person)


def _send(app: App, sent: SentAnswer, now: datetime) -> None:
    person = sent.to
    answer = _answered(app, sent)
    preferences = app.links.preferences_url(person.id)
    subject, html, text = app.renderer.mail(
        answer.template,
        **answer.values,
        email=person.email,
        preferences_url=preferences,
        unsubscribe_url=app.links.unsubscribe_url(person.id),
    )
    mail = notification(
        to_email=person.email,
        to_name=person.name,
        subject=subject,
        html=html,
        text=text,
        mail_id=uuid4().hex,
        sender=app.sender,
        now=now,
        answering=True,
        reply_to=app.links.reply_address(person.id) if answer.takes_replies else "",
    )
    try:
        app.mailer.send(mail)
    except SendError as error:
        log.warning("answer not sent: %s", error)


def _answered(app: App, sent: SentAnswer) -> Answer:
    """The answer with what became of the paper that was asked for."""
    question = sent.answer.question
    if not question:
        return sent.answer
    found = why.answer_reader(app, sent.to.id, question)
    return why_answer(view_of(found, app.links.issue_url)) if found else help_answer(REVIEWED)
