"""Reports that others collected, each made one of a mail of ours, and taken as mail is taken.

The corpus says of each report what the project says that collected it. None of them names a mail
of ours, so the Message-ID of a mail to a reader is planted by a rule that looks at nothing else.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import SubscriberState
from newsletter.domain.model import Rubric
from newsletter.inbound.processor import process_new, store_mail
from newsletter.render import Renderer, SiteInfo
from newsletter.store import Store, subscriptions
from newsletter.store.tables import event, suppression
from tests.fakes.app import app_of
from tests.fakes.mail import RUBRIC, SENDER, START, DeliveryScenario, FakeMailer

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "bounces"
RENDERER = Renderer(SiteInfo("arXiv digest", "Example Lab, 1 Street", "https://digest.example.org"))
MESSAGE_ID = re.compile(rb"(?im)^([> \t]*message-id:)(?:[ \t]*\r?\n[ \t]+)?[^\r\n]*")
BODY = re.compile(rb"\r?\n\r?\n")
SOFT_TAKEN_AS_HARD = 0.02
HARD_RECOGNISED = 0.55
"""All but those whose fields give no reason: a bare 550 says nothing of the address."""


@dataclass(frozen=True)
class ReportOutcome:
    """What a report was taken for; `suppressed` whether its reader is not mailed any more."""

    name: str
    expected: str
    found: str
    suppressed: bool


def plant(raw: bytes, message_id: str) -> bytes:
    """Every Message-ID below the report's own header becomes ours; without any it is put last."""
    own = BODY.search(raw)
    start = own.end() if own else len(raw)
    ours = message_id.encode()
    below, number = MESSAGE_ID.subn(rb"\1 " + ours, raw[start:])
    return raw[:start] + below + (b"" if number else b"\nMessage-ID: " + ours + b"\n")


def process_reports(folder: Path = CORPUS) -> list[ReportOutcome]:
    """Take every report of the corpus as `serve` does, each about the mail of a reader of its own.

    The sender of each is empty, which is what the standards ask of a report and of a vacation note.
    """
    expected = json.loads((folder / "expected.json").read_text())
    names = sorted(name for name in expected if (folder / name).exists())
    with tempfile.TemporaryDirectory() as place:
        store = Store(f"sqlite:///{place}/mail.db")
        store.migrate()
        scenario = DeliveryScenario(store)
        scenario.add_readers(len(names))
        scenario.make_digest()
        scenario.send(FakeMailer())
        rubric = Rubric(RUBRIC, "Cold stars", ("astro-ph.SR",), ())
        post = app_of(store, rubrics={RUBRIC: rubric})
        rows = dict(zip(names, scenario.rows(), strict=True))
        for number, (name, row) in enumerate(rows.items()):
            raw = plant((folder / name).read_bytes(), f"<{row.id}@{SENDER.domain}>")
            # Each to an address of its own: some of the collected mails have one Message-ID.
            store_mail(store, raw, "", [f"postmaster{number}@{SENDER.domain}"], START)
        process_new(post, START)
        found = [_outcome(store, name, rows[name], expected[name]["expected"]) for name in names]
        store.close()
    return found


def _outcome(store: Store, name: str, row, expected: str) -> ReportOutcome:  # noqa: ANN001 - a row
    with store.read() as tx:
        state, key = subscriptions.by_id(tx, row.subscription_id).state, fingerprint(row.email)
        kinds = set(tx.scalars(select(event.c.kind).where(event.c.email_hash == key)))
        shut = tx.scalar(select(suppression.c.reason).where(suppression.c.email_hash == key))
    if state in (SubscriberState.UNSUBSCRIBED, SubscriberState.COMPLAINED):
        found = "complaint"
    elif state == SubscriberState.BOUNCED:
        found = "hard"
    elif kinds & {"soft bounce", "deferred"}:
        found = "soft"
    else:
        found = "delivered" if kinds else "nothing"
    return ReportOutcome(name, expected, found, shut is not None)


def share_of_soft_taken_as_hard(found: list[ReportOutcome]) -> float:
    soft = [one for one in found if one.expected == "soft"]
    return sum(one.suppressed for one in soft) / len(soft)


def wrong_complaints(found: list[ReportOutcome]) -> list[str]:
    """Those missed, and those that were none."""
    return [
        one.name
        for one in found
        if (one.expected == "complaint:abuse") is not (one.found == "complaint")
    ]


def suppressed_by_notes(found: list[ReportOutcome]) -> list[str]:
    quiet = ("vacation", "delivered")
    return [one.name for one in found if one.expected in quiet and one.suppressed]


def share_of_hard_recognised(found: list[ReportOutcome]) -> float:
    hard = [one for one in found if one.expected == "hard"]
    return sum(one.suppressed for one in hard) / len(hard)


def main() -> None:
    if not CORPUS.is_dir():
        print("bounces: skipped, the corpus is not here")
        return
    found = process_reports()
    print(f"bounces: {len(found)} reports that others collected")
    for (expected, taken), number in sorted(Counter((v.expected, v.found) for v in found).items()):
        print(f"  {expected:24} taken as {taken:10} {number:4}")
    wrong = share_of_soft_taken_as_hard(found)
    print(f"  soft taken as hard       {wrong:.1%} ({SOFT_TAKEN_AS_HARD:.0%} allowed)")
    print(f"  hard recognised          {share_of_hard_recognised(found):.1%}")
    print(f"  complaints wrong         {len(wrong_complaints(found))}")
    print(f"  suppressed by notes      {len(suppressed_by_notes(found))}")
