"""What readers of the simulated year write back, and the answers: by the real inbound processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.votes import Vote
from newsletter.inbound.processor import process_new, store_mail
from newsletter.store import subscriptions, votes
from tests.fakes.replies import message

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.mail import Subscription
    from tests.simulations.year import Mail, Reader, Service

AWAY = {"Auto_Submitted": "auto-replied", "Precedence": "bulk"}


@dataclass(frozen=True)
class Reply:
    """One mail of a reader. `answers` went to their address, `repeated` after the provider brought
    the same mail again.
    """

    at: datetime
    email: str
    said: str
    machine: bool
    answers: int
    repeated: int


@dataclass(frozen=True)
class CastVote:
    at: datetime
    rubric: str
    paper: str


class Replies:
    """The replies of a service's readers so far."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.written: list[Reply] = []
        self.votes: list[CastVote] = []

    def write(self, reader: Reader, said: str, *, machine: bool = False) -> None:
        """Reply to the newest mail of a subscription, which brings our mail twice."""
        service, box = self._service, self._service.year.box(reader)
        number = len(self.written)
        head = {"Message_ID": f"<{number}@reader.example>", **(AWAY if machine else {})}
        if box:
            head["In_Reply_To"] = box[-1].message_id
        raw = message(said, **head)
        to = service.app.links.reply_address(self._subscription(reader).id)
        answers, repeated = (self._bring(raw, reader.email, to) for _ in range(2))
        now = service.clock()
        self.written.append(Reply(now, reader.email, said, machine, answers, repeated))

    def _bring(self, raw: bytes, sender: str, to: str) -> int:
        app, sent = self._service.app, self._service.year.post.answers
        before = len(sent)
        store_mail(app.store, raw, sender, [to], self._service.clock())
        process_new(app, self._service.clock())
        assert all(one.to_email == sender for one in sent[before:])
        return len(sent) - before

    def _subscription(self, reader: Reader) -> Subscription:
        with self._service.app.store.read() as tx:
            found = subscriptions.of_address(tx, reader.email)
        return next(one for one in found if one.rubric == reader.rubric)

    def vote(self, reader: Reader, way: str) -> None:
        """Vote about all papers of the newest mail: for one subject, against the other one."""
        box = self._service.year.box(reader)
        if not box or not box[-1].papers:
            return
        wanted = [self._service.year.is_wanted(paper) for paper in box[-1].papers]
        if way == "link":
            self._by_link(reader, box[-1], wanted)
        else:
            signs = ("-", "+") if way == "reply" else ("less like ", "more like ")
            told = (f"{signs[more]}{number}" for number, more in enumerate(wanted, 1))
            self.write(reader, (" " if way == "reply" else ", ").join(told))
        now = self._service.clock()
        self.votes += [CastVote(now, reader.rubric, paper) for paper in box[-1].papers]

    def _by_link(self, reader: Reader, mail: Mail, wanted: list[bool]) -> None:
        subscription_id = self._subscription(reader).id
        with self._service.app.store.begin() as tx:
            for paper, more in zip(mail.papers, wanted, strict=True):
                given = Vote.MORE if more else Vote.OFF_TOPIC
                votes.cast(tx, subscription_id, paper, given, self._service.clock())
