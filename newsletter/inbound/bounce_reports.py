"""Delivery reports (RFC 3464) and feedback reports (RFC 5965) received by mail.

Each counts once, like an event of the provider. Anybody can write one, so its effect depends on
what proves that it is about a mail of ours:

    it came to the bounce address of that mail          all that it says
    a token or the Message-ID of one of our mails       no more than leaving: it can be undone
    the address of a reader                             a soft bounce, never a complaint
    nothing                                             nothing; it is counted, and shown

A digest forwarded as an attachment carries its tokens and its Message-ID with it: that is why
those prove less than the bounce address. `parse_report` is pure.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from datetime import timedelta
from email.parser import BytesParser
from email.policy import compat32
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.bounce_codes import DIAGNOSTIC_LENGTH, enhanced_codes, is_address_gone
from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import EventKind
from newsletter.inbound.mime import KNOWN_CHARSET
from newsletter.inbound.reply_parser import is_absence_note
from newsletter.store import events, subscriptions
from newsletter.store.events import Event
from newsletter.store.inbound import InboundState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from email.message import Message

    from sqlalchemy import Connection

    from newsletter.domain.links import Links
    from newsletter.inbound.mime import ParsedMail
    from newsletter.store.inbound import InboundMail

DUPLICATE_WINDOW = timedelta(hours=1)
"""Two reports without an id within this time count as one."""
COMPLAINTS = frozenset({"abuse", "fraud"})
OPT_OUTS = frozenset({"opt-out", "opt-out-list"})
RECEIPT = "disposition-notification"
"""Report that a mail was read or deleted; it says nothing about delivery."""


class Proof(NamedTuple):
    """Proof of the mail that a report is about.

    `by_mail`: the report quotes an id that only that mail has. `by_bounce_address`: it was sent to
    the mail's bounce address, which only mail servers use.
    """

    email: str = ""
    delivery_id: str = ""
    by_mail: bool = False
    by_bounce_address: bool = False
    test: bool = False


def is_report(mail: ParsedMail, found: InboundMail, links: Links) -> bool:
    """Whether a mail server wrote it, even if neither its type nor its sender says so."""
    token = links.read_address(found.envelope_to)
    if mail.report_type == RECEIPT:
        return False
    to_bounces = token is not None and token[0] is Purpose.BOUNCE
    return to_bounces or has_feedback_report(found.raw) or is_from_mail_server(found.raw)


def record_report(
    tx: Connection, links: Links, found: InboundMail, mail: ParsedMail, now: datetime
) -> InboundState:
    """Record a delivery or feedback report as an event of the mail that it is about."""
    report = parse_report(found.raw)
    proof = _find_proof(tx, links, found, report)
    if proof.test or mail.report_type == RECEIPT:
        return InboundState.DONE
    if report.feedback is not None:
        return _record_feedback(tx, report, proof, found, now)
    from_server = mail.report_type or is_from_mail_server(found.raw)
    if is_absence_note(mail) and not from_server:
        return InboundState.DONE
    if not report.recipients:
        return InboundState.UNREADABLE
    if not proof.email:
        return InboundState.UNREADABLE
    recipient = report.recipient_for(proof.email)
    if kind := _event_kind(recipient, proof):
        _record(tx, kind, proof, f"{recipient.status} {recipient.diagnostic}".strip(), found, now)
    return InboundState.DONE


def _find_proof(tx: Connection, links: Links, found: InboundMail, report: ParsedReport) -> Proof:
    came_to = links.read_address(found.envelope_to)
    if came_to and came_to[0] is Purpose.BOUNCE:
        email = events.recipient(tx, came_to[1])
        known = bool(email)
        return Proof(email, came_to[1] if known else "", by_mail=known, by_bounce_address=known)
    sent_to = events.recipient(tx, report.delivery_id)
    token = links.read_address(report.token_address) or came_to
    if token and token[1] == TEST_READER:
        return Proof(test=True)
    if token and (person := subscriptions.by_id(tx, token[1])) and person.email:
        same = sent_to == person.email
        return Proof(person.email, report.delivery_id if same else "", by_mail=True)
    if sent_to:
        return Proof(sent_to, report.delivery_id, by_mail=True)
    named = [one.original or one.address for one in report.recipients]
    readers = (subscriptions.find(tx, one) for one in named if one)
    return Proof(next((one.email for one in readers if one), ""))


def _record_feedback(
    tx: Connection, report: ParsedReport, proof: Proof, found: InboundMail, now: datetime
) -> InboundState:
    """A complaint, an unsubscribe request, or neither (types of RFC 5965 and RFC 6430)."""
    complaint = report.feedback in COMPLAINTS
    if report.feedback and not complaint and report.feedback not in OPT_OUTS:
        return InboundState.DONE
    if not report.feedback or not proof.by_mail:
        return InboundState.PERSONAL
    kind = EventKind.COMPLAINT if complaint and proof.by_bounce_address else EventKind.UNSUBSCRIBE
    _record(tx, kind, proof, f"feedback report: {report.feedback}", found, now)
    return InboundState.DONE


def _event_kind(recipient: ReportedRecipient, proof: Proof) -> EventKind | None:
    """Without proof no bounce is hard: anybody could forge one to end a subscription."""
    if recipient.action == "failed":
        if not (recipient.is_gone and proof.by_mail):
            return EventKind.SOFT_BOUNCE
        return EventKind.HARD_BOUNCE if proof.by_bounce_address else EventKind.REPORTED_BOUNCE
    if recipient.action == "delayed":
        return EventKind.DEFERRED
    return EventKind.PROCESSED if recipient.action and proof.by_mail else None


def _record(
    tx: Connection, kind: EventKind, proof: Proof, reason: str, found: InboundMail, now: datetime
) -> None:
    event = Event(kind, proof.email, found.received_at, proof.delivery_id, reason=reason)
    events.apply_once(tx, event, now, DUPLICATE_WINDOW)


MAX_BYTES = 256 * 1024
MAX_TEXT = 16 * 1024
"""Length limit for the text above the returned mail."""
MAX_PARTS = 60
MAX_CODES = 5
MAX_PATTERN_BYTES = 64 * 1024
OUR_ID = re.compile(r"(?im)^[> \t]*message-id:\s*<([0-9a-f]{32})@")
OUR_TOKEN = re.compile(r"(?i)\b(?:reply|unsub)[+=-][a-z2-7]{48}@")
FOLDED = re.compile(r"\r?\n[ \t]+")
FIELD = re.compile(
    r"(?i)(final-recipient|original-recipient|original-rcpt-to|action|status|diagnostic-code"
    r"|feedback-type)[ \t]*:[ \t]*(.*)"
)
ADDRESS = re.compile(r"[^\s<>;,\"]+@[^\s<>;,\"]+")
# Where the returned mail begins in a report without parts.
RETURNED_MAIL = re.compile(
    r"(?im)^[> ]*(?:return-path|received|x-received|message-id|dkim-signature|arc-seal"
    r"|mime-version|x-envelope-from)[ \t]*:"
    r"|^.*(?:copy of (?:the|your) (?:original )?message|original message|message header).{0,40}$"
)
HEAD_END = re.compile(rb"\r?\n\r?\n")
FROM = re.compile(rb"(?im)^from[ \t]*:(.*(?:\n[ \t].*)*)")
MAIL_SERVER = re.compile(r"(?i)mailer-?daemon|postmaster|mail delivery (?:sub)?system")
BLANK_LINE = re.compile(r"\r?\n[ \t]*\r?\n")
MESSAGE_TYPE = re.compile(rb"(?i)(\bcontent-type:\s*)message/")
FEEDBACK_PART = re.compile(rb"(?im)^content-type:\s*message/feedback-report")
FEEDBACK = "text/x-feedback-report"
STATUS = {"text/x-delivery-status", "text/x-global-delivery-status"}
QUOTED = {"text/x-rfc822", "text/x-global", "text/x-global-headers", "text/rfc822-headers"}
ACTIONS = {"5": "failed", "4": "delayed", "2": "delivered"}
"""The action that a status implies, if the report names none."""


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """The outcome for one recipient; `action` as in RFC 3464 (failed, delayed, delivered, ...)."""

    address: str = ""
    original: str = ""
    action: str = ""
    status: str = ""
    diagnostic: str = ""

    def is_of(self, email: str) -> bool:
        return email.lower() in (self.original.lower(), self.address.lower())

    @property
    def is_gone(self) -> bool:
        return self.action == "failed" and is_address_gone(self.status, self.diagnostic)


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """`delivery_id` and `token_address` prove which mail it is about; recipients prove nothing.

    `feedback` is the Feedback-Type; None if it is no feedback report.
    """

    delivery_id: str = ""
    token_address: str = ""
    recipients: tuple[ReportedRecipient, ...] = ()
    feedback: str | None = None

    @property
    def is_report(self) -> bool:
        return self.feedback is not None or bool(self.recipients)

    def recipient_for(self, email: str = "") -> ReportedRecipient:
        """The outcome for a reader: the recipient of that name, else the least severe outcome.

        An alias may have several mailboxes: it is gone only if all of them are.
        """
        named = [one for one in self.recipients if email and one.is_of(email)]
        known = named or self.recipients or [ReportedRecipient()]
        return min(known, key=lambda one: (_SEVERITY.get(one.action, 0), one.is_gone))


_SEVERITY = {"delayed": 1, "failed": 2}


@dataclass(slots=True)
class _ReportText:
    """The readable text of a report, and of the mail that it returns."""

    fields: str = ""
    said: str = ""
    feedback: str | None = None
    quoted: list[str] = field(default_factory=list)


def parse_report(raw: bytes) -> ParsedReport:
    """Never raises, whatever the bytes."""
    raw = raw[:MAX_BYTES]
    text = _text(raw)
    everything = FOLDED.sub(" ", "\n".join([raw.decode("latin-1"), *text.quoted]))
    found, token = OUR_ID.search(everything), OUR_TOKEN.search(everything)
    feedback = None if text.feedback is None else dict(_fields(text.feedback))
    recipients = [] if feedback is not None else _recipients(raw, text)
    return ParsedReport(
        delivery_id=found[1].lower() if found else "",
        token_address=token[0] if token else "",
        recipients=tuple(recipients),
        feedback=None if feedback is None else _word(feedback.get("feedback-type", "")),
    )


def _text(raw: bytes) -> _ReportText:
    text = _ReportText()
    for kind, said in _leaves(raw):
        if kind == FEEDBACK:
            text.feedback = said
        elif kind in STATUS:
            text.fields += f"{said}\n\n"
        elif kind in QUOTED:
            text.quoted.append(said)
        else:
            end = RETURNED_MAIL.search(said[:MAX_TEXT])
            text.said += f"{said[: end.start() if end else MAX_TEXT]}\n\n"
    text.said = text.said[:MAX_TEXT]
    return text


def _leaves(raw: bytes) -> Iterator[tuple[str, str]]:
    """Type and text of each readable part. The mail that is returned is one of them, whole."""
    if raw.lower().count(b"boundary") > MAX_PARTS:
        yield "text/plain", raw.decode("latin-1")
        return
    # Else the parser would open what is returned, and leave encoded fields as they are.
    message = BytesParser(policy=compat32).parsebytes(MESSAGE_TYPE.sub(rb"\1text/x-", raw))
    parts = [one for one in message.walk() if one.get_content_maintype() == "text"]
    for part in parts:
        yield part.get_content_type(), _decoded(part)
    if not parts:
        yield "text/plain", HEAD_END.split(raw, maxsplit=1)[-1].decode("latin-1")


def _decoded(part: Message) -> str:
    said = part.get_payload(decode=True)
    if not isinstance(said, bytes):
        return ""
    # Python knows codecs that are no charsets, and some of them take no damaged text.
    charset = str(part.get_content_charset() or "utf-8")
    try:
        return said.decode(charset if KNOWN_CHARSET.fullmatch(charset) else "latin-1", "replace")
    except LookupError:
        return said.decode("latin-1")


def _recipients(raw: bytes, text: _ReportText) -> list[ReportedRecipient]:
    """By the fields of RFC 3464, wherever they stand; else by the patterns of flufl.bounce."""
    for said in (text.fields, text.said):
        groups = [dict(_fields(group)) for group in BLANK_LINE.split(said)]
        if found := [_recipient(one, text.said) for one in groups if _is_recipient(one)]:
            return found
    return list(_by_wording(raw, text.said))


def _fields(said: str) -> Iterator[tuple[str, str]]:
    """The first of several equal fields counts: it is yielded last."""
    lines = FOLDED.sub(" ", said).splitlines()
    for line in reversed(lines):
        if found := FIELD.match(line):
            yield found[1].lower(), found[2].strip()[:DIAGNOSTIC_LENGTH]


def _is_recipient(fields: dict[str, str]) -> bool:
    return bool({"status", "diagnostic-code"} & fields.keys()) and bool(
        {"final-recipient", "original-recipient", "action"} & fields.keys()
    )


def _recipient(fields: dict[str, str], said: str) -> ReportedRecipient:
    status, address = fields.get("status", ""), _address(fields.get("final-recipient", ""))
    lines = (line.strip() for line in said.splitlines() if address and address in line)
    lines = (line for line in lines if not FIELD.match(line))
    return ReportedRecipient(
        address=address,
        original=_address(fields.get("original-recipient", "")),
        action=_word(fields.get("action", "")) or ACTIONS.get((status or _code(fields))[:1], ""),
        status=status,
        diagnostic=fields.get("diagnostic-code") or next(lines, "")[:DIAGNOSTIC_LENGTH],
    )


def _code(fields: dict[str, str]) -> str:
    """The first enhanced code of a diagnostic, where a report has no status."""
    return next((one.code for one in enhanced_codes(fields.get("diagnostic-code", ""))), "")


def _by_wording(raw: bytes, said: str) -> Iterator[ReportedRecipient]:
    """A report without fields: who failed by the patterns of flufl.bounce, why by its codes."""
    coded = [line.strip() for line in said.splitlines() if any(enhanced_codes(line))]
    status = " ".join(code for code, _ in islice(enhanced_codes("\n".join(coded)), MAX_CODES))
    diagnostic = (" ".join(coded) or " ".join(said.split()))[:DIAGNOSTIC_LENGTH]
    temporary, permanent = _failures(raw)
    if not (temporary or permanent or is_from_mail_server(raw)):
        return  # Readers and their machines write of codes, too.
    if status and all(code[0] == "2" for code in status.split()):
        yield ReportedRecipient(action="delivered", status=status, diagnostic=diagnostic)
        return
    for address in sorted(temporary | permanent) or [""]:
        action = "delayed" if address in temporary - permanent else "failed"
        yield ReportedRecipient(address, action=action, status=status, diagnostic=diagnostic)


def has_feedback_report(raw: bytes) -> bool:
    """Whether a feedback report is a part of it, of whatever type the whole is."""
    return FEEDBACK_PART.search(raw[:MAX_BYTES]) is not None


def is_from_mail_server(raw: bytes) -> bool:
    """Whether its From names a mail server."""
    found = FROM.search(HEAD_END.split(raw, maxsplit=1)[0])
    return found is not None and MAIL_SERVER.search(found[1].decode("latin-1")) is not None


def _failures(raw: bytes) -> tuple[set[str], set[str]]:
    """The addresses that failed for now, and for good, by the patterns of flufl.bounce."""
    if raw.lower().count(b"boundary") > MAX_PARTS:
        return set(), set()
    from flufl.bounce import all_failures

    # flufl.bounce logs mails that match no pattern, with a traceback.
    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
    try:
        found = all_failures(BytesParser(policy=compat32).parsebytes(raw[:MAX_PATTERN_BYTES]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return set(), set()
    temporary, permanent = ({one.decode("latin-1") for one in some} for some in found)
    return temporary, permanent


def _word(value: str) -> str:
    """`failed` of `Failed (fatal error)`."""
    found = re.match(r"[a-z-]+", value.strip().lower())
    return found[0] if found else ""


def _address(value: str) -> str:
    found = ADDRESS.search(value)
    return found[0] if found else ""
