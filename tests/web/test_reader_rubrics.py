"""A reader's own rubric over HTTP: form, draft, mailed link, versions, pause, deletion."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.links import TEST_READER, Links
from newsletter.domain.mail import SubscriberState
from newsletter.domain.reader_rubrics import PausedBy, ReaderRubricState, VersionState
from newsletter.mailers import SendError, SendFailure
from newsletter.rubrics.file import parse
from newsletter.rubrics.form import form_of_text
from newsletter.store import reader_rubrics, subscribers, subscriptions
from newsletter.store.tables import rubric_mail
from newsletter.web.app import create_app
from newsletter.web.confirm_rubric import AGAIN, MAX_MAILS, VALID
from newsletter.web.forms import LARGE_BODY
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, NOW, STARS, Clock, Mailbox, make_site, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.domain.reader_rubrics import ReaderRubricVersion
    from newsletter.store import Store
    from tests.fakes.browser import Browser, Page

HOST = "http://127.0.0.1"
LIMIT = 2
FIELDS = {
    "title": "Brown dwarfs",
    "category": ["astro-ph.SR", "", ""],
    "criterion_title": ["Cold ones", ""],
    "criterion_relevant": ["below 1,000 K", ""],
    "criterion_irrelevant": ["planets", ""],
    "criterion_more": ["", ""],
    "relevance": "6",
    "novelty": "5",
}


class Visit:
    """A browser on a served site, its outbox and its clock."""

    def __init__(self, store: Store, browser: Browser, mailbox: Mailbox, clock: Clock) -> None:
        self.store, self.browser, self.mailbox, self.clock = store, browser, mailbox, clock

    def get(self, url: str) -> Page:
        return self.browser.get(url.removeprefix(HOST))

    def post(self, url: str, action: str = "", **fields: Any) -> Page:
        return self.browser.post(url.removeprefix(HOST), {**fields, "action": action})

    def link(self) -> str:
        """The link in the newest mail that confirms a rubric."""
        found = re.search(rf"{HOST}(/rubrics/\S+/confirm/\S+)", self.mailbox.mails[-1].text)
        assert found
        return found[1]

    def draft(self, person: Subscription, **changes: Any) -> str:
        """Keep a draft as the form does; return its slug."""
        page = self.post(LINKS.reader_rubric_url(person.id), "draft", **{**FIELDS, **changes})
        assert page.status == 303, page.words
        return page.headers["location"].rpartition("/")[2].partition("?")[0]

    def saved(self, person: Subscription, **changes: Any) -> str:
        """Save a rubric by the mailed link; return its slug."""
        slug = self.draft(person, **changes)
        self.post(LINKS.reader_rubric_url(person.id, slug), "save", **{**FIELDS, **changes})
        assert "is saved" in self.post(self.link()).words
        return slug

    def versions(self, slug: str) -> list[ReaderRubricVersion]:
        with self.store.read() as tx:
            return reader_rubrics.versions(tx, slug)

    def states(self, slug: str) -> list[VersionState]:
        return [one.state for one in self.versions(slug)]

    def everything(self, person: Subscription) -> list[Any]:
        """All that is stored of a reader's rubrics and subscriptions."""
        with self.store.read() as tx:
            mine = reader_rubrics.of_reader(tx, person.subscriber_id)
            texts = [reader_rubrics.versions(tx, one.slug) for one in mine]
            return [mine, texts, subscriptions.of_subscriber(tx, person.subscriber_id)]


@pytest.fixture
def visit(store: Store) -> Iterator[Visit]:
    mailbox, clock = Mailbox(), Clock()
    with served(create_app(make_site(store, mailbox, clock, reader_rubrics=LIMIT))) as browser:
        yield Visit(store, browser, mailbox, clock)


def test_a_rubric_is_written_saved_by_the_mailed_link_and_mailed_from_then_on(visit: Visit):
    person = reader(visit.store, timezone="Asia/Tokyo")
    slug = visit.draft(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    assert "This is a draft" in visit.get(here).words
    assert visit.mailbox.mails == []
    asked = visit.post(here, "save", **FIELDS)
    assert "Check your inbox" in asked.words
    assert visit.states(slug) == [VersionState.WAITING]
    [mail] = visit.mailbox.mails
    assert mail.to_email == "ada@example.org"
    assert "Brown dwarfs" in mail.subject
    assert "Cold ones" in mail.text
    assert "17:00 (Asia/Tokyo)" in " ".join(mail.text.split())
    page = visit.get(visit.link())
    assert "Cold ones" in page.words
    assert visit.states(slug) == [VersionState.WAITING]
    assert "Your rubric is saved" in visit.post(visit.link()).words
    assert visit.states(slug) == [VersionState.ACTIVE]
    rubric = parse(visit.versions(slug)[0].text, slug, slug)
    assert (rubric.title, rubric.relevance, rubric.novelty) == ("Brown dwarfs", 6, 5)
    assert rubric.criteria[0].body == "- Relevant: below 1,000 K\n- Irrelevant: planets"
    with visit.store.read() as tx:
        found = {one.rubric: one for one in subscriptions.of_subscriber(tx, person.subscriber_id)}
    assert found[slug].state is SubscriberState.ACTIVE
    assert "confirmed it by a link" in found[slug].consent
    assert "It was saved before" in visit.post(visit.link()).words


def test_opening_pages_changes_nothing(visit: Visit):
    person = reader(visit.store)
    slug = visit.saved(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    visit.post(here, "save", **{**FIELDS, "title": "Other"})
    before = visit.everything(person)
    pages = (here, f"{here}/delete", visit.link(), LINKS.reader_rubric_url(person.id))
    for url in (*pages, LINKS.preferences_url(person.id)):
        for _ in range(2):
            page = visit.get(url)
            assert page.status == 200
            assert page.headers["cache-control"] == "no-store"
            assert "noindex" in page.headers["x-robots-tag"]
            assert page.headers["referrer-policy"] == "no-referrer"
            # Only a button of a POST form changes anything.
            assert all(form.get("method") == "post" for form in page.soup.select("main form"))
    assert visit.everything(person) == before


def test_faults_are_said_beside_their_fields_and_above_the_form(visit: Visit):
    person = reader(visit.store)
    wrong = {**FIELDS, "title": "", "category": ["cs.ML"], "criterion_title": ["", "Two <!--"]}
    for action in ("check", "save", "preview", "draft"):
        page = visit.post(LINKS.reader_rubric_url(person.id), action, **wrong)
        assert page.status == 422
        alert = page.soup.select_one("[role=alert]")
        assert alert
        found = [one["href"] for one in alert.find_all("a")]
        assert found == ["#title", "#categories", "#criterion-1", "#criterion-2"]
        for target in found:
            assert page.soup.select_one(target)
        title = page.soup.select_one("#title")
        assert title
        assert title["aria-invalid"] == "true"
        for name in str(title["aria-describedby"]).split():
            assert page.soup.select_one(f"#{name}")
        assert "stat.ML" in page.words
        assert page.soup.select_one("[name=category]")["value"] == "cs.ML"  # type: ignore[index]
    assert visit.everything(person)[0] == []
    good = visit.post(LINKS.reader_rubric_url(person.id), "check", **FIELDS)
    assert "No problem was found" in good.words
    assert visit.everything(person)[0] == []


def test_rows_are_added_moved_and_removed_without_storing_anything(visit: Visit):
    person = reader(visit.store)
    new = LINKS.reader_rubric_url(person.id)

    def titles(action: str) -> list[str]:
        page = visit.post(new, action, **{**FIELDS, "criterion_title": ["A", "B"]})
        assert page.status == 200
        return [str(one["value"]) for one in page.soup.select("[name=criterion_title]")]

    assert titles("add") == ["A", "B", ""]
    assert titles("up-2") == titles("down-1") == ["B", "A"]
    assert titles("remove-1") == ["B"]
    empty = visit.post(new, "categories", **FIELDS).soup.select("[name=category]")
    assert [one["value"] for one in empty] == ["astro-ph.SR", "", "", ""]
    assert visit.everything(person)[0] == []


def test_an_unfinished_draft_is_kept(visit: Visit):
    person = reader(visit.store)
    slug = visit.draft(person, title="", criterion_title=["", ""])
    page = visit.get(LINKS.reader_rubric_url(person.id, slug))
    assert "below 1,000 K" in page.text
    assert "Untitled draft" in visit.get(LINKS.preferences_url(person.id)).words
    # On another day the reader goes on, or begins anew, and the draft stays among the versions.
    assert f"/{slug}" in " ".join(visit.get(LINKS.reader_rubric_url(person.id)).links())
    assert visit.draft(person, title="Anew") == slug
    assert visit.states(slug) == [VersionState.DRAFT, VersionState.OLD]


def test_a_text_comes_back_as_it_was_typed(visit: Visit):
    person = reader(visit.store)
    odd = "\r\n<b>\"x\" & 'y'</b>\r\n  indented\r\n\r\n---\r\n## Scoring\r\n1. z {{ 7*7 }}"
    slug = visit.draft(person, criterion_relevant=[odd, ""], exclude='LLM\r\n"case study"')
    page = visit.get(LINKS.reader_rubric_url(person.id, slug))
    shown = page.soup.select_one("#criterion-1-relevant")
    assert shown
    typed = odd.replace("\r\n", "\n").strip()
    assert shown.text.removeprefix("\n") == typed
    form = form_of_text(visit.versions(slug)[0].text)
    assert form.criteria[0].relevant == typed
    assert form.exclude == 'LLM\n"case study"'
    assert '<b>"' not in page.text


def test_a_rubric_is_edited_and_an_old_version_comes_back(visit: Visit):
    person = reader(visit.store)
    slug = visit.saved(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    mails = len(visit.mailbox.mails)
    assert "in use already" in visit.post(here, "save", **FIELDS).words
    assert len(visit.mailbox.mails) == mails
    visit.post(here, "save", **{**FIELDS, "title": "Cold worlds", "relevance": "7"})
    page = visit.get(visit.link())
    assert "Title: “Cold worlds”, it was “Brown dwarfs”" in page.words
    assert "Relevance cut-off: 7, it was 6" in page.words
    assert "A text waits for you" in visit.get(here).words
    visit.post(visit.link())
    assert visit.states(slug) == [VersionState.ACTIVE, VersionState.OLD]
    assert "Version 2 is in use" in visit.get(here).words
    assert visit.post(here, "open-1").status == 303
    opened = visit.get(f"{here}?said=opened")
    assert opened.soup.select_one("#title")["value"] == "Brown dwarfs"  # type: ignore[index]
    visit.post(here, "save", **FIELDS)
    visit.post(visit.link())
    assert visit.states(slug) == [VersionState.ACTIVE, VersionState.OLD, VersionState.OLD]
    assert form_of_text(visit.versions(slug)[0].text).title == "Brown dwarfs"
    for number in ("9", "", "1 OR 1=1"):
        assert visit.post(here, f"open-{number}").status == 404
    with visit.store.read() as tx:
        assert len(subscriptions.of_subscriber(tx, person.subscriber_id)) == 2


def test_a_copy_of_a_followed_rubric_has_its_fingerprint(visit: Visit):
    person = reader(visit.store, rubric="secret")
    preferences = visit.get(LINKS.preferences_url(person.id))
    assert "A copy of Secret plans" in preferences.words
    new = LINKS.reader_rubric_url(person.id)
    for source in ("secret", "stars"):
        slug = visit.post(new, f"copy-{source}").headers["location"].split("/")[-1].split("?")[0]
        copied = parse(visit.versions(slug)[0].text, slug, slug)
        assert copied.criteria == STARS.criteria
        assert copied.public is False
        assert copied.title.endswith("(my copy)")
    other = reader(visit.store, email="bo@example.org")
    # Nobody copies what they neither follow nor find on the front page.
    refused = visit.post(LINKS.reader_rubric_url(other.id), "copy-secret")
    assert "Choose the topic" in refused.words
    assert visit.everything(other)[0] == []


def test_a_reader_pauses_resumes_and_deletes(visit: Visit):
    person = reader(visit.store)
    slug = visit.saved(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    visit.post(here, "pause")
    visit.post(here, "pause")
    assert "You paused this rubric" in visit.get(here).words
    assert "paused" in visit.get(LINKS.preferences_url(person.id)).words
    visit.post(here, "resume")
    assert "Version 1 is in use" in visit.get(here).words
    with visit.store.begin() as tx:
        reader_rubrics.pause(tx, slug, PausedBy.OPERATOR, NOW, "it cost too much")
    visit.post(here, "resume")
    assert (
        "The operator of this service paused this rubric: it cost too much" in visit.get(here).words
    )
    assert "it cost too much" in visit.get(LINKS.preferences_url(person.id)).words
    with visit.store.read() as tx:
        [mine] = reader_rubrics.of_reader(tx, person.subscriber_id)
    assert mine.state is ReaderRubricState.PAUSED

    assert "Brown dwarfs" in visit.get(f"{here}/delete").words
    assert visit.states(slug) == [VersionState.ACTIVE]
    assert "is deleted" in visit.post(f"{here}/delete").words.replace("are deleted", "is deleted")
    assert visit.states(slug) == []
    for page in (visit.get(here), visit.post(f"{here}/delete"), visit.post(here, "pause")):
        assert page.status == 404
        assert "You have no such rubric" in page.words
    with visit.store.read() as tx:
        states = {one.rubric: one.state for one in subscriptions.of_subscriber(tx, person.id)}
    assert states == {"stars": SubscriberState.ACTIVE, slug: SubscriberState.UNSUBSCRIBED}


def addresses(token: str, slug: str, mark: str) -> list[str]:
    return [
        f"/rubrics/{token}/new",
        f"/rubrics/{token}/{slug}",
        f"/rubrics/{token}/{slug}/delete",
        f"/rubrics/{token}/{slug}/confirm/{mark}",
    ]


TRIED = ("draft", "save", "preview", "check", "copy-stars", "pause", "resume", "open-1", "add", "")


def tried(visit: Visit, urls: list[str]) -> list[Page]:
    """Each page opened, and posted with every button."""
    posts = [visit.post(url, action, **FIELDS) for url in urls for action in TRIED]
    return [*(visit.get(url) for url in urls), *posts]


def test_another_readers_token_sees_and_changes_nothing(visit: Visit):
    ada, bob = reader(visit.store), reader(visit.store, email="bob@example.org")
    slug = visit.saved(ada, title="Ada's own")
    visit.post(LINKS.reader_rubric_url(ada.id, slug), "save", **{**FIELDS, "title": "Ada's new"})
    mark = visit.link().rpartition("/")[2]
    token = LINKS.reader_rubric_url(bob.id).split("/")[-2]
    before, mails = visit.everything(ada), len(visit.mailbox.mails)
    for page in tried(visit, addresses(token, slug, mark)[1:]):
        assert page.status == 404
        assert "Ada's" not in page.words
    assert visit.everything(ada) == before
    assert visit.everything(bob)[0] == []
    assert len(visit.mailbox.mails) == mails


def test_a_token_of_nobody_or_of_one_who_left_or_was_erased_opens_nothing(visit: Visit):
    ada = reader(visit.store)
    slug = visit.saved(ada)
    visit.post(LINKS.reader_rubric_url(ada.id, slug), "save", **{**FIELDS, "title": "New"})
    mark = visit.link().rpartition("/")[2]
    token = LINKS.reader_rubric_url(ada.id).split("/")[-2]
    stale = Links(HOST, ["z" * 32], "").reader_rubric_url(ada.id).split("/")[-2]
    before = visit.everything(ada)
    for wrong in (stale, LINKS.reader_rubric_url(TEST_READER).split("/")[-2]):
        for page in tried(visit, addresses(wrong, slug, mark)):
            assert page.status == 404
            assert "Brown dwarfs" not in page.words
    assert visit.everything(ada) == before
    with visit.store.begin() as tx:
        for one in subscriptions.of_subscriber(tx, ada.subscriber_id):
            subscriptions.leave(tx, one.id, "test", NOW)
    before = visit.everything(ada)
    for page in tried(visit, addresses(token, slug, mark)):
        assert page.status == 404
        assert "This link does not work" in page.words
    assert visit.everything(ada) == before
    with visit.store.begin() as tx:
        subscribers.erase(tx, ada.subscriber_id, NOW)
        assert tx.execute(rubric_mail.select()).all() == []
    for page in tried(visit, addresses(token, slug, mark)):
        assert page.status == 404
    assert visit.everything(ada)[0] == []


def test_a_forwarded_mail_may_look_and_draft_and_never_makes_a_text_count(visit: Visit):
    """Its preferences link opens everything but the button in the reader's own mailbox."""
    person = reader(visit.store)
    slug = visit.saved(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    mails = len(visit.mailbox.mails)
    theirs = {**FIELDS, "title": "What a stranger wants"}
    shown = [
        visit.post(here, action, **theirs)
        for action in ("check", "draft", "preview", "save", "open-1", "save")
    ]
    shown += [visit.get(here), visit.get(LINKS.preferences_url(person.id))]
    seals = {mail.text.partition("/confirm/")[2].split()[0] for mail in visit.mailbox.mails}
    for page in shown:
        assert not any(seal in page.text for seal in seals)
    active = [one for one in visit.versions(slug) if one.state is VersionState.ACTIVE]
    assert [form_of_text(one.text).title for one in active] == ["Brown dwarfs"]
    assert len(visit.mailbox.mails) == mails + 2
    assert {mail.to_email for mail in visit.mailbox.mails} == {"ada@example.org"}


def test_the_mailed_link_confirms_one_version_for_two_hours(visit: Visit):
    person = reader(visit.store)
    slug = visit.saved(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    visit.post(here, "save", **{**FIELDS, "title": "Two"})
    second = visit.link()
    before = visit.everything(person)
    start, mark = second.rsplit("/", 1)
    version, until, seal = mark.split("-")
    forged = (
        f"1-{until}-{seal}", f"3-{until}-{seal}", f"{version}-{int(until) + 60}-{seal}",
        f"{version}-{until}-{'0' * 64}", f"{version}-{until}-{seal[:-1]}", "x", f"{mark}0",
    )  # fmt: skip
    for wrong in forged:
        assert visit.get(f"{start}/{wrong}").status == visit.post(f"{start}/{wrong}").status == 404
    visit.clock.at = NOW + VALID + timedelta(seconds=1)
    for page in (visit.get(second), visit.post(second)):
        assert page.status == 410
        assert "too old" in page.words
    assert visit.everything(person) == before
    visit.clock.at = NOW + VALID
    visit.post(here, "save", **{**FIELDS, "title": "Three"})
    for page in (visit.get(second), visit.post(second)):
        assert "A newer text was saved since" in page.words
    assert form_of_text(visit.versions(slug)[-1].text).title == "Brown dwarfs"
    assert visit.states(slug) == [VersionState.WAITING, VersionState.OLD, VersionState.ACTIVE]
    assert "is saved" in visit.post(visit.link()).words
    assert visit.states(slug)[0] is VersionState.ACTIVE


def test_ten_mails_a_reader_and_day(visit: Visit):
    person = reader(visit.store)
    slug = visit.draft(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    for number in range(MAX_MAILS):
        visit.post(here, "save", **{**FIELDS, "title": f"T{number}"})
    refused = visit.post(here, "save", **{**FIELDS, "title": "Once more"})
    assert (refused.status, refused.headers["retry-after"]) == (429, "3600")
    # To delete it and to write another one does not begin a new count.
    visit.post(f"{here}/delete")
    assert visit.post(LINKS.reader_rubric_url(person.id), "save", **FIELDS).status == 429
    assert len(visit.mailbox.mails) == MAX_MAILS
    [(mine, *_)] = [visit.everything(person)[0]]
    assert form_of_text(visit.versions(mine.slug)[0].text).title == "Brown dwarfs"
    other = reader(visit.store, email="bob@example.org")
    assert visit.post(LINKS.reader_rubric_url(other.id), "save", **FIELDS).status == 200
    visit.clock.at = NOW + timedelta(days=1)
    assert visit.post(LINKS.reader_rubric_url(person.id), "save", **FIELDS).status == 200


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (SendFailure.UNSENT, 503, "could not be sent"),
        (SendFailure.UNKNOWN, 200, "may have been sent"),
    ],
)
def test_a_mail_that_does_not_leave_is_said_and_can_be_asked_for_again(
    visit: Visit, failure: SendFailure, status: int, said: str
):
    person = reader(visit.store)
    visit.mailbox.fault = SendError(failure, "the server does not answer")
    page = visit.post(LINKS.reader_rubric_url(person.id), "save", **FIELDS)
    assert page.status == status
    assert said in page.words
    visit.mailbox.fault = None
    if failure is SendFailure.UNKNOWN:
        visit.clock.at = NOW + AGAIN
    [mine] = visit.everything(person)[0]
    visit.post(LINKS.reader_rubric_url(person.id, mine.slug), "save", **FIELDS)
    assert "is saved" in visit.post(visit.link()).words


def test_the_limit_of_rubrics_is_said_and_nothing_is_lost(visit: Visit):
    person = reader(visit.store)
    first = visit.saved(person)
    assert "1 is left" in visit.get(LINKS.preferences_url(person.id)).words
    visit.saved(person, title="Second")
    assert "have as many" in visit.get(LINKS.preferences_url(person.id)).words
    before = visit.everything(person)
    new = LINKS.reader_rubric_url(person.id)
    for page in (visit.get(new), *(visit.post(new, one, **FIELDS) for one in ("draft", "save"))):
        assert page.status == 409
        assert f"may have {LIMIT}" in page.words
    assert visit.post(new, "copy-stars").status == 409
    assert visit.everything(person) == before
    visit.post(f"{LINKS.reader_rubric_url(person.id, first)}/delete")
    assert visit.get(new).status == 200


def at_once(*calls: Any) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def test_buttons_pressed_twice_at_once_act_once(visit: Visit):
    person = reader(visit.store)
    new = LINKS.reader_rubric_url(person.id)
    at_once(*[lambda: visit.post(new, "save", **FIELDS)] * 4)
    [mine] = visit.everything(person)[0]
    assert visit.states(mine.slug)[0] is VersionState.WAITING
    assert len(visit.mailbox.mails) == 1
    pattern = rf"{HOST}(/rubrics/\S+/confirm/{visit.versions(mine.slug)[0].version}-\S+)"
    found = re.search(pattern, " ".join(mail.text for mail in visit.mailbox.mails))
    assert found
    at_once(*[lambda: visit.post(found[1])] * 4)
    assert visit.states(mine.slug).count(VersionState.ACTIVE) == 1
    with visit.store.read() as tx:
        assert len(subscriptions.of_subscriber(tx, person.subscriber_id)) == 2


def test_200_criteria_and_long_texts_are_answered_clearly(visit: Visit):
    person = reader(visit.store)
    new = LINKS.reader_rubric_url(person.id)
    many = {name: ["x"] * 200 for name in FIELDS if name.startswith("criterion_")}
    page = visit.post(new, "save", **{**FIELDS, **many})
    assert page.status == 422
    assert "200; a rubric has at most 30" in page.words
    page = visit.post(new, "draft", **{**FIELDS, "keywords": "k" * 30_000})
    assert "characters; it may have 24,000" in page.words
    too_many = visit.post(new, "save", **{**FIELDS, "category": ["cs.LG"] * 2_000})
    assert too_many.status == 400
    assert "too many fields" in too_many.words
    assert visit.post(new, "save", keywords="x" * LARGE_BODY).status == 413
    urls = new.removeprefix(HOST)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert visit.browser.ask("POST", urls, b"--x--", kind).status == 400
    chinese = {**FIELDS, "keywords": "星" * 20_000}
    assert visit.post(new, "draft", **chinese).status == 303


def test_without_the_setting_there_is_no_such_page(store: Store):
    person = reader(store)
    with served(create_app(make_site(store))) as browser:
        for url in addresses(
            LINKS.reader_rubric_url(person.id).split("/")[-2], "own-" + "a" * 12, "x"
        ):
            assert browser.get(url).status == browser.post(url, FIELDS).status == 404
        page = browser.get(LINKS.preferences_url(person.id).removeprefix(HOST))
    assert "of your own" not in page.words.replace("rubrics of your own at once", "")
