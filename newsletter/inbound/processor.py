"""Process inbound mail: execute commands, queue unclear mail for review, send few answers.

A token in the recipient address proves whose subscription a mail is about, whatever its From
says: readers have aliases and forward their mail. Without a token, the From address must be
aligned with DKIM or SPF. Otherwise the subscriber is mailed a link and nothing is changed yet.
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
from newsletter.inbound import bounce_reports
from newsletter.inbound.intents import Intent
from newsletter.inbound.mime import ParsedMail, parse_mail
from newsletter.inbound.reply_parser import LEAVING, ParsedReply, ReplyKind, parse_reply
from newsletter.mailers import SendError
from newsletter.store import (
    StoreError,
    events,
    inbound,
    retry,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.inbound import InboundMail, InboundState
from newsletter.store.suppressions import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.mail import Sender, Subscription
    from newsletter.store import Store

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"[^\s<>@\",;]+@([^\s<>@\",;]+)")
MESSAGE_ID = re.compile(r"<([^<>\s]{3,200})>")
MAX_REFERENCES = 20
DKIM_PASS = re.compile(r"@([A-Za-z0-9.-]+)\s*:\s*pass\b")
COMMAND_HELP = (
    ("unsubscribe", "no mail any more, from now on"),
    ("pause", "no mail until you say resume"),
    ("resume", "mail again"),
    ("help", "this list"),
)
STATES = {ReplyKind.REVIEW: InboundState.REVIEW, ReplyKind.OTHER: InboundState.LETTER}
HELP_REASONS = {
    InboundState.REVIEW: "A person reads your reply and decides.",
    InboundState.DONE: "You asked for help.",
}
ERASE_HELP = (
    "The button “Erase me” at the end of your preferences page deletes what we know of you, and "
    "ends all mail. If you would rather not use it, a person will do it: they have your reply."
)
NO_EFFECT_YET = {Intent.WEEKLY, Intent.DAILY, Intent.VOTE, Intent.WHY}
PAUSE_ACTIONS = {Intent.PAUSE: subscribers.pause, Intent.RESUME: subscribers.resume}
UNREADABLE = "(this mail could not be processed; the log says why)"
UNVERIFIED = "Somebody, perhaps you, wrote to us from another address. Use the link to be sure."


class SentAnswer(NamedTuple):
    """An answer to send: the name of its templates, its recipient and the reason shown in it."""

    name: str
    to: Subscription
    reason: str = ""


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
    while processed := _process_next(app.store, app.links, app.sender, now):
        done += 1
        if processed.answer:
            run_guarded("an answer", partial(_send, app, processed.answer, now))
    return done


class _Processed(NamedTuple):
    answer: SentAnswer | None


def _process_next(store: Store, links: Links, sender: Sender, now: datetime) -> _Processed | None:
    """Process the next new mail. One that fails is left for manual review and stops no other."""
    taken: list[InboundMail] = []
    failed: list[StoreError] = []

    def process() -> SentAnswer | None:
        try:
            with store.begin() as tx:
                taken.extend(filter(None, [inbound.next_new(tx)]))
                return _process(tx, links, sender, taken[0], now) if taken else None
        except StoreError as error:
            failed.append(error)
            raise

    answer, trouble = run_guarded("an inbound mail", process)
    if failed and (not taken or retry.is_unavailable(failed[0])):
        raise failed[0]
    if not taken:
        return None
    if trouble:
        with store.begin() as tx:
            inbound.set_state(tx, taken[0].id, InboundState.REVIEW, None, UNREADABLE)
    return _Processed(answer)


def _process(
    tx: Connection, links: Links, sender: Sender, found: InboundMail, now: datetime
) -> SentAnswer | None:
    mail = parse_mail(found.raw)
    token = links.read_address(found.envelope_to)
    to_unsubscribe = token is not None and token[0] is Purpose.UNSUB
    # These stand in our mails and so mark where a reply quotes them.
    our_addresses = [sender.email, links.reply_host, links.host]
    reply = parse_reply(
        mail, found.envelope_from, our_addresses, to_unsubscribe_address=to_unsubscribe
    )
    returned = reply.kind in {ReplyKind.BOUNCE, ReplyKind.COMPLAINT}
    if returned or bounce_reports.is_report(mail, found, links):
        state = bounce_reports.record_report(tx, links, found, mail, now)
        inbound.set_state(tx, found.id, state, None, reply.text or mail.text)
        return None
    reader_id = token[1] if token else None
    if reply.command and (reply.command.days or reply.command.intent in NO_EFFECT_YET):
        reply = ParsedReply(ReplyKind.REVIEW, text=reply.text)
    person, verified = _identify_sender(tx, mail, reader_id, aligned=found.aligned)
    test = token is not None and token[1] == TEST_READER
    if test or reply.kind is ReplyKind.AUTOMATIC:
        inbound.set_state(tx, found.id, InboundState.DONE, None, reply.text)
        return None
    if person is None or not person.email:
        # A command from an unknown address is queued for review.
        inbound.set_state(
            tx, found.id, STATES.get(reply.kind, InboundState.REVIEW), None, reply.text
        )
        return None
    return _execute(tx, found, reply, person, now, verified=verified)


def _identify_sender(
    tx: Connection, mail: ParsedMail, reader_id: str | None, *, aligned: bool
) -> tuple[Subscription | None, bool]:
    """The subscriber a mail is about, and whether that is verified.

    Mail sent in batches has no token. The Message-ID it replies to tells the subscriber, but
    people to whom it was forwarded can reply as well: the author must be the subscriber, and
    aligned.
    """
    if reader_id:
        return subscriptions.by_id(tx, reader_id), True
    author, reader = _author(tx, mail), _replied_to(tx, mail)
    if reader and (author is None or author.id != reader.id):
        return reader, False
    return author, aligned


def _replied_to(tx: Connection, mail: ParsedMail) -> Subscription | None:
    named = f"{mail.header('in-reply-to')} {mail.header('references')}"
    for message_id in MESSAGE_ID.findall(named)[:MAX_REFERENCES]:
        if reader_id := events.subscription_by_message_id(tx, message_id):
            return subscriptions.by_id(tx, reader_id)
    return None


def _author(tx: Connection, mail: ParsedMail) -> Subscription | None:
    address = ADDRESS.search(mail.header("from"))
    return subscriptions.find(tx, address[0]) if address else None


def _execute(  # noqa: PLR0911 - one line for each thing that may be done, in order
    tx: Connection,
    found: InboundMail,
    reply: ParsedReply,
    person: Subscription,
    now: datetime,
    *,
    verified: bool,
) -> SentAnswer | None:
    """Execute the command of a known subscriber; return the answer to send, if any."""
    state = STATES.get(reply.kind, InboundState.DONE)
    inbound.set_state(tx, found.id, state, person.id, reply.text)
    complained = suppressions.reason_for(tx, person.email) is Reason.COMPLAINED
    if complained or not (reply.intent or reply.may_unsubscribe):
        return None
    if reply.intent in LEAVING and verified:
        # A subscription ends once, so this confirmation cannot loop between two machines.
        if not subscriptions.leave(tx, person.id, "reply", now):
            return None
        inbound.mark_answered(tx, found.id, person.id, now)
        return SentAnswer("goodbye", person)
    if not inbound.may_answer(tx, found.id, person.id, now):
        return None
    if not verified:
        return SentAnswer("help", person, UNVERIFIED)
    if reply.intent in PAUSE_ACTIONS:
        return _pause_or_resume(tx, person, reply.intent, now)
    reason = ERASE_HELP if reply.intent is Intent.ERASE else HELP_REASONS[state]
    return SentAnswer("help", person, reason)


def _pause_or_resume(
    tx: Connection, person: Subscription, intent: Intent, now: datetime
) -> SentAnswer:
    PAUSE_ACTIONS[intent](tx, person.subscriber_id, "reply", now)
    return SentAnswer("preferences", subscriptions.by_id(tx, person.id) or person)


def _send(app: App, answer: SentAnswer, now: datetime) -> None:
    person = answer.to
    rubric = app.rubrics.get(person.rubric)
    preferences = app.links.preferences_url(person.id)
    subject, html, text = app.renderer.mail(
        answer.name,
        email=person.email,
        rubric=rubric.title if rubric else person.rubric,
        reason=answer.reason,
        words=COMMAND_HELP,
        lines=[f"state: {person.state.value}"],
        preferences_url=preferences,
        resubscribe_url=preferences,
        unsubscribe_url=app.links.unsubscribe_url(person.id),
    )
    mail = notification(
        to_email=person.email,
        to_name=person.name,
        subject=subject,
        html=html,
        text=text,
        letter_id=uuid4().hex,
        sender=app.sender,
        now=now,
        answering=True,
    )
    try:
        app.mailer.send(mail)
    except SendError as error:
        log.warning("answer not sent: %s", error)
