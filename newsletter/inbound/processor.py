"""Mail that came in is worked off: wishes are done, doubts go to a person, answers are few.

A token in the address it was sent to proves whose mail it is, whatever its From says: readers have
aliases and forward their mail. Without one, a From that DKIM or SPF vouches for will do; else the
subscriber is mailed a link, and nothing is done yet.
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
from newsletter.inbound import bounces
from newsletter.inbound.intents import Wish
from newsletter.inbound.mime import ParsedMail, read
from newsletter.inbound.reply_parser import ParsedReply, ReplyKind, understand
from newsletter.mailers import SendError
from newsletter.store import StoreError, events, inbound, retry, subscribers, suppressions
from newsletter.store.inbound import InboundMail, InboundState
from newsletter.store.suppressions import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.mail import Sender, Subscriber
    from newsletter.store import Store

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"[^\s<>@\",;]+@([^\s<>@\",;]+)")
MESSAGE_ID = re.compile(r"<([^<>\s]{3,200})>")
MOST_NAMED = 20
DKIM_PASS = re.compile(r"@([A-Za-z0-9.-]+)\s*:\s*pass\b")
WORDS = (
    ("unsubscribe", "no mail any more, from now on"),
    ("pause", "no mail until you say resume"),
    ("resume", "mail again"),
    ("help", "this list"),
)
STATES = {ReplyKind.REVIEW: InboundState.REVIEW, ReplyKind.OTHER: InboundState.LETTER}
HELD = {
    InboundState.REVIEW: "A person reads your reply and decides.",
    InboundState.DONE: "You asked for help.",
}
ERASING = (
    "The button “Erase me” at the end of your preferences page deletes what we know of you, and "
    "ends all mail. If you would rather not use it, a person will do it: they have your reply."
)
RESTS = {Wish.PAUSE: subscribers.pause, Wish.RESUME: subscribers.resume}
UNREADABLE = "(this mail could not be worked off; the log says why)"
UNPROVEN = "Somebody, perhaps you, wrote to us from another address. Use the link to be sure."


class SentAnswer(NamedTuple):
    """A mail to write: the name of its templates, to whom, and why it is written."""

    name: str
    to: Subscriber
    reason: str = ""


def take(
    store: Store,
    raw: bytes,
    envelope_from: str,
    recipients: Sequence[str],
    now: datetime,
    *,
    aligned: bool = False,
) -> int:
    """Note one mail for each recipient; what is read of it is stored once. How many were new.

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


def of_ours(recipients: Sequence[str], links: Links) -> list[str]:
    """For whom a mail is kept: the readers' addresses among its recipients, else one recipient.

    Anybody can name a hundred addresses at our domain; a mail to none of our readers is kept once.
    """
    tokens = [one for one in recipients if links.read_address(one)]
    host = links.reply_host.lower()
    at_home = [one for one in recipients if one.lower().rpartition("@")[2].rstrip(">") == host]
    return tokens or (at_home or list(recipients))[:1]


def is_aligned(author: str, dkim: str, spf: str, envelope_from: str) -> bool:
    """Whether DKIM, or SPF with the envelope, vouches for the From header's domain.

    `dkim` and `spf` are fields of SendGrid's own. The first is no JSON and sometimes
    nonsense, so
    only `@domain : pass` counts in it. What the mail's headers claim about this is never read.
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


def work_off(app: App, now: datetime) -> int:
    """Process every new mail and send the answers; return how many mails there were.

    A mail's state is committed before its answer is sent: a crash between the two loses one
    answer and never sends two. Raises StoreError.
    """
    done = 0
    while dealt := _deal(app.store, app.links, app.sender, now):
        done += 1
        if dealt.answer:
            run_guarded("an answer", partial(_send, app, dealt.answer, now))
    return done


class _Dealt(NamedTuple):
    answer: SentAnswer | None


def _deal(store: Store, links: Links, sender: Sender, now: datetime) -> _Dealt | None:
    """Process the next new mail. One that fails is left for manual review and stops no other."""
    taken: list[InboundMail] = []
    failed: list[StoreError] = []

    def settle() -> SentAnswer | None:
        try:
            with store.begin() as tx:
                taken.extend(filter(None, [inbound.next_new(tx)]))
                return _settle(tx, links, sender, taken[0], now) if taken else None
        except StoreError as error:
            failed.append(error)
            raise

    answer, trouble = run_guarded("a mail that came in", settle)
    if failed and (not taken or retry.is_unavailable(failed[0])):
        raise failed[0]
    if not taken:
        return None
    if trouble:
        with store.begin() as tx:
            inbound.set_state(tx, taken[0].id, InboundState.REVIEW, None, UNREADABLE)
    return _Dealt(answer)


def _settle(
    tx: Connection, links: Links, sender: Sender, found: InboundMail, now: datetime
) -> SentAnswer | None:
    mail = read(found.raw)
    token = links.read_address(found.envelope_to)
    # What stands in our mails, and so marks where a reply quotes them.
    ours = [sender.email, links.reply_host, links.host]
    reply = understand(
        mail, found.envelope_from, ours, leaving=bool(token and token[0] is Purpose.UNSUB)
    )
    returned = reply.kind in {ReplyKind.BOUNCE, ReplyKind.COMPLAINT}
    if returned or bounces.is_report(mail, found, links):
        state = bounces.take(tx, links, found, mail, now)
        inbound.set_state(tx, found.id, state, None, reply.text or mail.text)
        return None
    person, proven = _whose(tx, mail, token[1] if token else None, aligned=found.aligned)
    test = token is not None and token[1] == TEST_READER
    if test or reply.kind is ReplyKind.AUTOMATIC:
        inbound.set_state(tx, found.id, InboundState.DONE, None, reply.text)
        return None
    if person is None or not person.email:
        # A wish of somebody whom we do not know is for a person to look into.
        inbound.set_state(
            tx, found.id, STATES.get(reply.kind, InboundState.REVIEW), None, reply.text
        )
        return None
    return _obey(tx, found, reply, person, now, proven=proven)


def _whose(
    tx: Connection, mail: ParsedMail, reader_id: str | None, *, aligned: bool
) -> tuple[Subscriber | None, bool]:
    """Whose subscription a mail is about, by the token it came to, and whether that is proven.

    Mails that left in groups bear no token. The one that is answered says whose it is; but who
    was forwarded it can answer it as well, so its reader must be the author, and be vouched for.
    """
    if reader_id:
        return subscribers.get(tx, reader_id), True
    author, reader = _author(tx, mail), _answered(tx, mail)
    if reader and (author is None or author.id != reader.id):
        return reader, False
    return author, aligned


def _answered(tx: Connection, mail: ParsedMail) -> Subscriber | None:
    named = f"{mail.header('in-reply-to')} {mail.header('references')}"
    for message_id in MESSAGE_ID.findall(named)[:MOST_NAMED]:
        if reader_id := events.subscriber_by_message_id(tx, message_id):
            return subscribers.get(tx, reader_id)
    return None


def _author(tx: Connection, mail: ParsedMail) -> Subscriber | None:
    address = ADDRESS.search(mail.header("from"))
    return subscribers.find(tx, address[0]) if address else None


def _obey(  # noqa: PLR0911 - one line for each thing that may be done, in order
    tx: Connection,
    found: InboundMail,
    reply: ParsedReply,
    person: Subscriber,
    now: datetime,
    *,
    proven: bool,
) -> SentAnswer | None:
    """Do what a known subscriber's mail asks for; the answer to give, where one may be given."""
    state = STATES.get(reply.kind, InboundState.DONE)
    inbound.set_state(tx, found.id, state, person.id, reply.text)
    hostile = suppressions.reason_for(tx, person.email) is Reason.COMPLAINED
    if hostile or not (reply.wish or reply.may_leave):
        return None
    if reply.wish is Wish.UNSUBSCRIBE and proven:
        # Leaving happens once, so its confirmation can't go back and forth between two machines.
        if not subscribers.unsubscribe(tx, person.id, "reply", now):
            return None
        inbound.mark_answered(tx, found.id, person.id, now)
        return SentAnswer("goodbye", person)
    if not inbound.may_answer(tx, found.id, person.id, now):
        return None
    if not proven:
        return SentAnswer("help", person, UNPROVEN)
    if reply.wish in RESTS:
        return _rest(tx, person, reply.wish, now)
    return SentAnswer("help", person, ERASING if reply.wish is Wish.ERASE else HELD[state])


def _rest(tx: Connection, person: Subscriber, wish: Wish, now: datetime) -> SentAnswer:
    RESTS[wish](tx, person.id, "reply", now)
    return SentAnswer("preferences", subscribers.get(tx, person.id) or person)


def _send(app: App, answer: SentAnswer, now: datetime) -> None:
    person = answer.to
    rubric = app.rubrics.get(person.rubric)
    preferences = app.links.preferences_url(person.id)
    subject, html, text = app.renderer.mail(
        answer.name,
        email=person.email,
        rubric=rubric.title if rubric else person.rubric,
        reason=answer.reason,
        words=WORDS,
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
        log.warning("an answer was not sent: %s", error)
