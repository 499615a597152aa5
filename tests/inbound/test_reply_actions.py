"""Replies that do things: what each one changes, what its answer says, and what is never done."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from newsletter.delivery import planner
from newsletter.domain.mail import WEEKDAYS, WEEKLY, SubscriberState, Subscription
from newsletter.domain.votes import Vote
from newsletter.inbound.processor import process_new, store_mail
from newsletter.inbound.reply_actions import COMMAND_HELP
from newsletter.jobs.housekeeping import end_pauses
from newsletter.mailers.mime import to_bytes
from newsletter.store import Store, inbound, subscribers, subscriptions, votes
from newsletter.store.inbound import ANSWERS_A_DAY, InboundState
from newsletter.store.tables import delivery, reply_answer
from newsletter.store.tables import inbound as inbound_table
from tests.fakes.pages import (
    LINKS,
    MODELS,
    NOW,
    SECRET,
    STARS,
    THURSDAY,
    Mailbox,
    application,
    issue,
    paper,
    reader,
)
from tests.fakes.replies import message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from newsletter.domain.mail import Email

NUMBERS = count()
ACTIVE, PAUSED = SubscriberState.ACTIVE, SubscriberState.PAUSED


@dataclass
class Conversation:
    """A reader of Stars and Models, and the mails between them and us."""

    store: Store
    person: Subscription
    other_id: str
    mailbox: Mailbox

    def reply(self, text: str, now: datetime = NOW, **headers: str) -> list[Email]:
        """A reply of the reader to the newest mail of Stars; the answers to it."""
        return self.reply_to(LINKS.reply_address(self.person.id), text, now, **headers)

    def reply_to(self, to: str, text: str, now: datetime = NOW, **headers: str) -> list[Email]:
        before = len(self.mailbox.mails)
        headers = {"Message_ID": f"<{next(NUMBERS)}@example.com>", **headers}
        raw = message(text, **headers)
        store_mail(self.store, raw, "ada@example.org", [to], now)
        process_new(application(self.store, self.mailbox), now)
        return self.mailbox.mails[before:]

    @property
    def stars(self) -> Subscription:
        return self._subscription(self.person.id)

    @property
    def models(self) -> Subscription:
        return self._subscription(self.other_id)

    def _subscription(self, subscription_id: str) -> Subscription:
        with self.store.read() as tx:
            found = subscriptions.by_id(tx, subscription_id)
        assert found is not None
        return found

    def inbound_states(self) -> list[InboundState]:
        with self.store.read() as tx:
            return [InboundState(one) for one in tx.scalars(select(inbound_table.c.state))]

    def votes(self) -> dict[str, Vote]:
        with self.store.read() as tx:
            return {one.paper_id: one.vote for one in votes.given_by(tx, [self.person.id])}


def said(answer: Email) -> str:
    return " ".join(answer.text.split())


@pytest.fixture
def ada(store: Store) -> Conversation:
    person = reader(store)
    with store.begin() as tx:
        other_id = subscriptions.add(tx, person.id, "models", NOW, consent="asked", active=True)
    return Conversation(store, person, other_id, Mailbox())


@pytest.fixture
def mailed(ada: Conversation) -> Iterator[str]:
    """The Message-ID of a mail with papers 1 to 4 of Stars that was sent to Ada."""
    issue(ada.store, STARS, THURSDAY, [paper(f"2509.0000{n}", f"Star {n}") for n in range(1, 6)])
    planner.plan_all(ada.store, "stars", THURSDAY, NOW)
    with ada.store.read() as tx:
        [row] = tx.execute(select(delivery.c.id)).all()
    return f"<{row.id}@example.org>"


def test_weekly_and_daily_change_this_rubric_alone_and_say_how_to_undo_it(ada: Conversation):
    [answer] = ada.reply("weekly")
    assert (ada.stars.days, ada.models.days) == (WEEKLY, WEEKDAYS)
    assert answer.subject == "“Stars” comes once a week now"
    assert "every day" in said(answer)
    assert "reply “daily”" in said(answer)
    assert answer.reply_to == LINKS.reply_address(ada.person.id)

    [answer] = ada.reply("daily")
    assert (ada.stars.days, ada.models.days) == (WEEKDAYS, WEEKDAYS)
    assert "reply “weekly”" in said(answer)

    [answer] = ada.reply("daily")
    assert answer.subject == "Nothing was changed"


def test_chosen_days_are_named_in_the_answer(ada: Conversation):
    with ada.store.begin() as tx:
        subscriptions.set_preferences(tx, ada.person.id, {"days": ("mon", "thu")}, NOW)
    [answer] = ada.reply("weekly")
    assert "on Monday and Thursday" in said(answer)
    assert "preferences page" in said(answer)


def test_what_a_reply_set_no_import_changes(ada: Conversation):
    ada.reply("weekly")
    assert "days" in ada.stars.chosen


def test_a_pause_stops_all_mail_and_ends_by_itself(ada: Conversation):
    [answer] = ada.reply("pause 2 weeks")
    assert (ada.stars.state, ada.models.state) == (PAUSED, PAUSED)
    assert answer.subject == "Your digests are paused until 9 Oct 2025"
    assert "reply “resume”" in said(answer)

    app = application(ada.store)
    end_pauses(app, NOW + timedelta(days=13))
    assert ada.stars.state is PAUSED
    end_pauses(app, NOW + timedelta(days=14))
    assert (ada.stars.state, ada.models.state) == (ACTIVE, ACTIVE)


def test_a_pause_without_an_end_has_none_and_replaces_one_with_an_end(ada: Conversation):
    ada.reply("pause 2 weeks")
    [answer] = ada.reply("pause")
    assert answer.subject == "Your digests are paused"
    end_pauses(application(ada.store), NOW + timedelta(days=400))
    assert ada.stars.state is PAUSED

    ada.reply("resume")
    assert ada.stars.state is ACTIVE
    ada.reply("pause 1 week")
    with ada.store.begin() as tx:
        assert subscribers.paused_until(tx, ada.person.id) == NOW + timedelta(days=7)
    [answer] = ada.reply("resume")
    assert "reply “pause”" in said(answer)
    end_pauses(application(ada.store), NOW + timedelta(days=8))
    assert ada.stars.state is ACTIVE


def test_a_pause_does_not_bring_back_who_left(ada: Conversation):
    ada.reply("unsubscribe all")
    for command in ("pause 1 day", "resume", "weekly", "+3"):
        [answer] = ada.reply(command)
        assert answer.subject == "Nothing was changed"
    end_pauses(application(ada.store), NOW + timedelta(days=2))
    assert ada.stars.state is SubscriberState.UNSUBSCRIBED
    assert ada.stars.days == WEEKDAYS


def test_unsubscribe_leaves_this_rubric_and_offers_all(ada: Conversation):
    [answer] = ada.reply("unsubscribe")
    assert ada.stars.state is SubscriberState.UNSUBSCRIBED
    assert ada.models.state is ACTIVE
    assert answer.subject == "You are unsubscribed from Stars"
    assert "You still receive “Models”" in said(answer)
    assert "reply “unsubscribe all”" in said(answer)
    assert answer.reply_to == LINKS.reply_address(ada.person.id)

    [answer] = ada.reply("unsubscribe all")
    assert ada.models.state is SubscriberState.UNSUBSCRIBED
    assert "this is the last email" in said(answer)
    assert ada.reply("unsubscribe all") == []


def test_a_mail_of_a_rubric_that_was_left_still_pauses_the_others(ada: Conversation):
    ada.reply("unsubscribe")
    ada.reply("pause 1 week")
    assert ada.models.state is PAUSED
    ada.reply("resume")
    assert (ada.stars.state, ada.models.state) == (SubscriberState.UNSUBSCRIBED, ACTIVE)


def test_unsubscribe_all_leaves_every_rubric(ada: Conversation):
    [answer] = ada.reply("unsubscribe all")
    gone = SubscriberState.UNSUBSCRIBED
    assert (ada.stars.state, ada.models.state) == (gone, gone)
    assert "Stars" in answer.subject
    assert "Models" in answer.subject


def test_votes_are_for_the_papers_of_the_mail_that_was_replied_to(ada: Conversation, mailed: str):
    [answer] = ada.reply("+3 -1", In_Reply_To=mailed)
    with ada.store.read() as tx:
        third, first = (
            votes.paper_of_pick(tx, mailed.strip("<>").partition("@")[0], n) for n in (3, 1)
        )
    assert ada.votes() == {third: Vote.MORE, first: Vote.LESS}
    assert answer.subject == "2 votes counted"
    assert said(answer).count("like this: Star ") == 2
    ada.reply("less like 3", References=f"<other@example.org> {mailed}")
    assert ada.votes() == {third: Vote.LESS, first: Vote.LESS}


@pytest.mark.usefixtures("mailed")
def test_a_vote_by_arxiv_id_needs_no_number(ada: Conversation):
    ada.reply("more like 2509.00002")
    assert ada.votes() == {"2509.00002": Vote.MORE}


@pytest.mark.parametrize("said", ["+3 -99", "more like 2509.99999"])
def test_no_vote_is_counted_where_one_names_no_paper(ada: Conversation, mailed: str, said: str):
    [answer] = ada.reply(said, In_Reply_To=mailed)
    assert (answer.subject, ada.votes()) == ("Nothing was changed", {})


@pytest.mark.usefixtures("mailed")
def test_numbers_without_the_mail_they_are_of_go_to_a_person(ada: Conversation):
    assert ada.reply("+3 -1") == []
    assert ada.reply("+3", In_Reply_To="<other@example.org>") == []
    assert ada.votes() == {}
    assert ada.inbound_states() == [InboundState.REVIEW] * 2


def test_numbers_of_another_readers_mail_go_to_a_person(ada: Conversation, mailed: str):
    bob = reader(ada.store, email="bob@example.org")
    assert ada.reply_to(LINKS.reply_address(bob.id), "+3", In_Reply_To=mailed) == []
    assert ada.votes() == {}
    with ada.store.read() as tx:
        assert votes.given_by(tx, [bob.id]) == []


def test_help_lists_ten_commands_which_are_all_understood(ada: Conversation, mailed: str):
    [answer] = ada.reply("help")
    assert len(COMMAND_HELP) == 10
    for words, meaning in COMMAND_HELP:
        assert f"* {words}: {meaning}" in said(answer)
        ada.reply(words, NOW + timedelta(days=next(NUMBERS) + 2), In_Reply_To=mailed)
    assert InboundState.PERSONAL not in ada.inbound_states()


def test_at_most_five_answers_a_day_and_every_command_is_done(ada: Conversation):
    answers = [ada.reply(said) for said in ["weekly", "daily"] * 10]
    assert sum(map(len, answers)) == ANSWERS_A_DAY == 5
    assert ada.stars.days == WEEKDAYS
    ada.reply("weekly")
    assert ada.stars.days == WEEKLY
    assert len(ada.reply("daily", NOW + timedelta(days=1))) == 1


def test_both_rubrics_of_an_address_share_the_answers_of_a_day(ada: Conversation):
    to = [LINKS.reply_address(one) for one in (ada.person.id, ada.other_id)]
    answers = [ada.reply_to(to[n % 2], said) for n in range(8) for said in ("weekly", "daily")]
    assert sum(map(len, answers)) == ANSWERS_A_DAY


def test_two_processes_cannot_take_the_same_answer(ada: Conversation):
    for number in range(20):
        raw = message("weekly" if number % 2 else "daily", Message_ID=f"<{number}@example.com>")
        to = LINKS.reply_address(ada.person.id)
        store_mail(ada.store, raw, "ada@example.org", [to], NOW)
    with ada.store.begin() as tx:
        mails = [inbound.next_new(tx)]
        assert mails[0]
        assert inbound.may_answer(tx, mails[0], ada.person, NOW)
        assert not inbound.may_answer(tx, mails[0], ada.person, NOW)
    process_new(application(ada.store, ada.mailbox), NOW)
    assert len(ada.mailbox.mails) == ANSWERS_A_DAY - 1


def test_the_same_mail_again_does_nothing(ada: Conversation):
    assert len(ada.reply("weekly", Message_ID="<same@example.com>")) == 1
    ada.reply("daily")
    assert ada.reply("weekly", Message_ID="<same@example.com>") == []
    assert ada.stars.days == WEEKDAYS


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"List_Id": "<list.example.org>"},
        {"subject": "Automatic reply: Your digests are paused"},
    ],
    ids=str,
)
@pytest.mark.parametrize("said", ["weekly", "+3", "pause 2 weeks", "help", "unsubscribe all"])
def test_a_machine_is_neither_obeyed_nor_answered(
    ada: Conversation, said: str, headers: dict[str, str]
):
    assert ada.reply(said, **headers) == []
    assert (ada.stars.state, ada.stars.days) == (ACTIVE, WEEKDAYS)
    assert ada.inbound_states() == [InboundState.DONE]


def test_an_answer_that_comes_back_is_not_answered(ada: Conversation):
    [answer] = ada.reply("weekly")
    assert dict(answer.headers)["Auto-Submitted"] == "auto-replied"
    store_mail(ada.store, to_bytes(answer), "ada@example.org", [answer.reply_to], NOW)
    process_new(application(ada.store, ada.mailbox), NOW)
    assert len(ada.mailbox.mails) == 1


def test_a_machine_without_headers_that_sends_the_answer_back_ends(ada: Conversation):
    [answer] = ada.reply("weekly")
    for _ in range(20):
        for back in ada.reply_to(answer.reply_to, answer.text, subject=f"Re: {answer.subject}"):
            answer = back
    assert len(ada.mailbox.mails) <= ANSWERS_A_DAY


def from_ada(ada: Conversation, said: str, *, aligned: bool = True, **headers: str) -> list[Email]:
    """A mail to the address that all batched mail shares, with Ada's own From."""
    raw = message(said, Message_ID=f"<{next(NUMBERS)}@example.com>", **headers)
    raw = raw.replace(b"ann@example.com", b"ada@example.org")
    before = len(ada.mailbox.mails)
    to = ["reply+list@in.example.org"]
    store_mail(ada.store, raw, "ada@example.org", to, NOW, aligned=aligned)
    process_new(application(ada.store, ada.mailbox), NOW)
    return ada.mailbox.mails[before:]


def test_without_a_token_an_unverified_author_changes_nothing(ada: Conversation, mailed: str):
    for command in ("weekly", "pause 2 weeks", "unsubscribe all", "more like 2509.00001", "+1"):
        from_ada(ada, command, aligned=False, In_Reply_To=mailed)
    assert (ada.stars.state, ada.stars.days, ada.votes()) == (ACTIVE, WEEKDAYS, {})
    assert len(ada.mailbox.mails) == 1


def test_without_a_token_the_mail_replied_to_names_the_rubric(ada: Conversation, mailed: str):
    [answer] = from_ada(ada, "weekly", In_Reply_To=mailed)
    assert (ada.stars.days, ada.models.days) == (WEEKLY, WEEKDAYS)
    assert answer.subject.startswith("“Stars”")


def test_without_a_token_and_a_mail_replied_to_the_rubric_is_not_certain(ada: Conversation):
    for said in ("weekly", "unsubscribe"):
        from_ada(ada, said)
    assert (ada.stars.state, ada.stars.days) == (ACTIVE, WEEKDAYS)
    assert ada.inbound_states() == [InboundState.REVIEW] * 2
    assert len(from_ada(ada, "pause 2 weeks")) == 1
    assert ada.models.state is PAUSED
    assert len(from_ada(ada, "unsubscribe all")) == 1
    assert ada.models.state is SubscriberState.UNSUBSCRIBED


class Killed(Mailbox):
    """A mailer that kills its process before the mail leaves."""

    def send(self, email: Email) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().send(email)


def process_and_be_killed(url: str) -> None:
    try:
        process_new(application(Store(url), Killed()), NOW)
    finally:
        os._exit(0)


@pytest.mark.parametrize(
    ("said", "headers"), [("weekly", {}), ("pause 2 weeks", {}), ("+3 -1", {}), ("unsubscribe", {})]
)
def test_killed_between_act_and_answer_the_act_is_once_and_no_answer_comes(
    ada: Conversation, mailed: str, said: str, headers: dict[str, str]
):
    raw = message(said, Message_ID="<k@example.com>", In_Reply_To=mailed, **headers)
    to = LINKS.reply_address(ada.person.id)
    store_mail(ada.store, raw, "ada@example.org", [to], NOW)
    url = ada.store.url.render_as_string(hide_password=False)
    if (child := os.fork()) == 0:
        process_and_be_killed(url)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    before = (ada.stars, ada.votes())
    assert before != (replace(ada.person, subscriber_id=ada.person.id), {})
    assert process_new(application(ada.store, ada.mailbox), NOW) == 0
    assert (ada.stars, ada.votes()) == before
    assert ada.mailbox.mails == []
    with ada.store.read() as tx:
        counted: Any = tx.scalar(select(func.count()).select_from(reply_answer))
    assert counted == 1


def test_why_not_is_answered_for_each_rubric_of_the_reader(ada: Conversation, mailed: str):
    issue(ada.store, MODELS, THURSDAY, [paper("2509.00005"), paper("2509.00009", "Other model")])
    [answer] = ada.reply("why not 2509.00005?", In_Reply_To=mailed)
    assert answer.subject == "Why, or why not: Star 5"
    assert "Stars: A near miss" in said(answer)
    assert "Models: Picked: number 1" in said(answer)
    assert LINKS.issue_url(STARS, THURSDAY) in answer.text
    assert ada.reply("why not send it at eight") == [], "no paper has such a title"
    [answer] = ada.reply("Why not “other model”?")
    assert answer.subject == "Why, or why not: Other model"
    assert ada.inbound_states().count(InboundState.REVIEW) == 1


def test_why_by_another_readers_token_says_nothing_of_this_ones_rubrics(ada: Conversation):
    issue(ada.store, SECRET, THURSDAY, [paper("2509.00007"), paper("2509.00008")])
    [answer] = ada.reply("why not 2509.00007")
    assert "Secret plans" not in answer.text
    ada.reply("unsubscribe all")
    [answer] = ada.reply("why not 2509.00007")
    assert answer.subject == "Nothing was changed"
