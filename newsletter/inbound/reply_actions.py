"""Carry out the command of a reply, in the transaction that settles its mail.

Each action's outcome has the answer to send, which says what was done and how to undo it. Where an
outcome needs a person, nothing was changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.formatting import plural, short_date
from newsletter.domain.mail import READING, WEEKDAYS, WEEKLY, SubscriberState
from newsletter.domain.preferences import days_in_words
from newsletter.domain.votes import VOTE_NAMES
from newsletter.inbound.commands import is_arxiv_id
from newsletter.inbound.intents import Intent
from newsletter.store import papers, subscribers, subscriptions, votes
from newsletter.store.why import papers_by_title

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.domain.model import Rubric
    from newsletter.inbound.commands import Command
    from newsletter.inbound.identify import IdentifiedReader
    from newsletter.render.why import WhyView

WAY = "reply"
COMMAND_HELP = (
    ("unsubscribe", "leave this digest"),
    ("unsubscribe all", "leave all our digests"),
    ("pause 2 weeks", "no mail for that time; “pause” alone: until you resume"),
    ("resume", "mail again"),
    ("weekly", "one email a week"),
    ("daily", "an email each day"),
    ("+3 -7", "more papers like number 3 of the issue, fewer like number 7"),
    ("more like 3, less like 7", "the same in words"),
    ("why not 2509.12345", "why a paper was not picked; its arXiv id or its title"),
    ("help", "this list"),
)
UNCHANGED = "Nothing was changed"
NOT_READING = {
    SubscriberState.PENDING: "Your subscription is not confirmed yet: use the link in the "
    "confirmation email.",
    SubscriberState.UNSUBSCRIBED: "You are unsubscribed. Your preferences page can undo that for "
    "30 days.",
    SubscriberState.BOUNCED: "We send no digests to your address, because an email to it bounced.",
}
OF_READERS = {
    *(Intent.PAUSE, Intent.RESUME, Intent.WEEKLY, Intent.DAILY, Intent.VOTE, Intent.WHY),
}
OF_ALL = {Intent.PAUSE, Intent.RESUME, Intent.WHY}
OF_ONE_RUBRIC = {Intent.UNSUBSCRIBE, Intent.WEEKLY, Intent.DAILY, Intent.VOTE}
RESUME = "reply “resume”."
ON_PAGE = "choose again on your preferences page."


class Answer(NamedTuple):
    """A mail that says what was done: its template folder and values."""

    template: str
    values: dict[str, Any]
    takes_replies: bool = True
    """Whether a reply to it is read as one to a digest."""
    question: str = ""
    """The paper that it is about, where `why_answer` is still to be made."""


class ReplyOutcome(NamedTuple):
    answer: Answer | None = None
    needs_person: bool = False


class ReplyRequest(NamedTuple):
    """A command, and the reader and the mail that it is about."""

    command: Command
    reader: IdentifiedReader
    rubrics: Mapping[str, Rubric]
    now: datetime

    @property
    def subscription(self) -> Subscription:
        return self.reader.subscription

    @property
    def title(self) -> str:
        return self.title_of(self.subscription)

    def title_of(self, subscription: Subscription) -> str:
        rubric = self.rubrics.get(subscription.rubric)
        return rubric.title if rubric else subscription.rubric


REVIEW = ReplyOutcome(needs_person=True)


def carry_out(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    """Do what a command asks. It is left to a person where that cannot be told with certainty."""
    intent = request.command.intent
    if intent in OF_ONE_RUBRIC and not request.reader.certain:
        return REVIEW
    reads = request.subscription.state in READING or (intent in OF_ALL and _live(tx, request))
    if intent in OF_READERS and not reads:
        reason = NOT_READING.get(request.subscription.state, "We send no digests to your address.")
        return _done(UNCHANGED, reason)
    return ACTIONS[intent](tx, request)


def help_answer(reason: str) -> Answer:
    """The list of commands, and why it is sent."""
    return Answer("help", {"reason": reason, "words": COMMAND_HELP})


def _done(title: str, *lines: str, items: tuple[str, ...] = (), undo: str = "") -> ReplyOutcome:
    return ReplyOutcome(
        Answer("answer", {"title": title, "lines": lines, "items": items, "undo": undo})
    )


def _pause(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    days = request.command.days
    until = request.now + timedelta(days=days) if days else None
    subscribers.pause_until(tx, request.subscription.subscriber_id, until, WAY, request.now)
    if until is None:
        return _done("Your digests are paused", "You receive none until you resume.", undo=RESUME)
    title = f"Your digests are paused until {short_date(until.date())}"
    return _done(title, "You receive none until then.", undo=RESUME)


def _resume(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    if not subscribers.resume(tx, request.subscription.subscriber_id, WAY, request.now):
        return _done(UNCHANGED, "Your digests were not paused.")
    best = "The next issue includes the best papers that you missed."
    return _done("Your digests come again", best, undo="reply “pause”.")


def _weekly(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    how = "One email has the best papers of the week, after its last announcement."
    undo = "reply “daily”." if request.subscription.days == WEEKDAYS else ON_PAGE
    return _set_days(tx, request, WEEKLY, how, undo)


def _daily(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    undo = "reply “weekly”." if request.subscription.days == WEEKLY else ON_PAGE
    return _set_days(tx, request, WEEKDAYS, "You get each issue on its day.", undo)


def _set_days(
    tx: Connection, request: ReplyRequest, days: tuple[str, ...], how: str, undo: str
) -> ReplyOutcome:
    before = request.subscription.days
    comes = f"“{request.title}” comes {days_in_words(days)}"
    if before == days:
        return _done(UNCHANGED, f"{comes} already.")
    subscriptions.set_preferences(tx, request.subscription.id, {"days": days}, request.now)
    return _done(f"{comes} now", how, f"Before, it came {days_in_words(before)}.", undo=undo)


def _vote(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    """All votes of a reply, or none of them."""
    given, reader = request.command.votes, request.reader
    if reader.delivery_id is None and not all(is_arxiv_id(one.paper) for one in given):
        return REVIEW
    found = {one.paper: _paper_id(tx, reader, one.paper) for one in given}
    if missing := [paper for paper, paper_id in found.items() if paper_id is None]:
        what = f"Paper {missing[0]} is" if len(missing) == 1 else f"Papers {', '.join(missing)} are"
        return _done(UNCHANGED, f"{what} not in the issues that you got.")
    ids = {paper: paper_id for paper, paper_id in found.items() if paper_id}
    if len(set(ids.values())) < len(ids):
        return REVIEW
    for one in given:
        votes.cast(tx, request.subscription.id, ids[one.paper], one.vote, request.now)
    titles = {paper.id: paper.title for paper in papers.by_ids(tx, [*ids.values()])}
    return _done(
        f"{plural(len(given), 'vote')} counted",
        "Votes change the order of the next issues. They drop no paper and change no score.",
        items=tuple(f"{VOTE_NAMES[one.vote]}: {titles[ids[one.paper]]}" for one in given),
        undo="vote again, or take the vote back on your preferences page.",
    )


def _paper_id(tx: Connection, reader: IdentifiedReader, paper: str) -> str | None:
    """The id of a paper that this subscription may vote about."""
    found: str | None = paper
    if not is_arxiv_id(paper):
        found = votes.paper_of_pick(tx, reader.delivery_id or "", int(paper))
    if found is None or votes.rubric_of(tx, reader.subscription.id, found) is None:
        return None
    return found


def _leave(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    """A subscription ends once, so this confirmation cannot loop between two machines."""
    if not subscriptions.leave(tx, request.subscription.id, WAY, request.now):
        return ReplyOutcome()
    return _goodbye(tx, request, (request.title,))


def _leave_all(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    left = [request.title_of(one) for one in _live(tx, request)]
    if not subscriptions.leave_all(tx, request.subscription.subscriber_id, WAY, request.now):
        return ReplyOutcome()
    return _goodbye(tx, request, tuple(left) or (request.title,))


def _goodbye(tx: Connection, request: ReplyRequest, left: tuple[str, ...]) -> ReplyOutcome:
    others = tuple(request.title_of(one) for one in _live(tx, request))
    return ReplyOutcome(
        Answer("goodbye", {"left": left, "others": others}, takes_replies=bool(others))
    )


def _live(tx: Connection, request: ReplyRequest) -> list[Subscription]:
    """The reader's subscriptions that are neither left nor unconfirmed."""
    found = subscriptions.of_subscriber(tx, request.subscription.subscriber_id)
    return [one for one in found if one.state in READING]


def _help(_tx: Connection, _request: ReplyRequest) -> ReplyOutcome:
    return ReplyOutcome(help_answer("You asked for help."))


def _why(tx: Connection, request: ReplyRequest) -> ReplyOutcome:
    """The answer is made after the transaction, as arXiv may be asked for the paper."""
    paper = request.command.paper
    if not is_arxiv_id(paper) and not papers_by_title(tx, paper, 1):
        return REVIEW
    return ReplyOutcome(Answer("answer", {}, question=paper))


def why_answer(view: WhyView) -> Answer:
    """What became of a paper in the reader's rubrics."""
    lines = [view.problem]
    for one in view.sections:
        lines += [f"{one.title}: {one.headline}", *one.details, one.suggestion, one.issue_url]
    choices = tuple(f"{title} (arXiv:{paper_id})" for paper_id, title in view.choices)
    title = f"Why, or why not: {view.title}"
    kept = tuple(line for line in (*lines, view.horizon) if line)
    return Answer("answer", {"title": title, "lines": kept, "items": choices, "undo": ""})


ACTIONS: dict[Intent, Callable[[Connection, ReplyRequest], ReplyOutcome]] = {
    Intent.PAUSE: _pause,
    Intent.RESUME: _resume,
    Intent.WEEKLY: _weekly,
    Intent.DAILY: _daily,
    Intent.VOTE: _vote,
    Intent.WHY: _why,
    Intent.UNSUBSCRIBE: _leave,
    Intent.UNSUBSCRIBE_ALL: _leave_all,
    Intent.HELP: _help,
}
