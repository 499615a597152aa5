"""Sign-up, preferences and unsubscribe over HTTP."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time

import pytest
from sqlalchemy import select

from newsletter.domain.alerts import AlertKind, Thresholds
from newsletter.domain.links import TEST_READER, Links, Purpose
from newsletter.domain.mail import WEEKDAYS, EventKind, Format, SubscriberState
from newsletter.mailers import SendError, SendFailure
from newsletter.operations.alert_rules import find_alerts
from newsletter.store import (
    events,
    restore_subscriber,
    signups,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.events import Event
from newsletter.store.reports import monitoring
from newsletter.store.signups import MAILS_AN_HOUR
from newsletter.store.suppressions import Reason
from newsletter.store.tables import signup, subscriber
from newsletter.web.app import create_app
from newsletter.web.forms import read_form
from newsletter.web.rate_limit import MAX_SIGNUPS
from tests.fakes.browser import Browser, served
from tests.fakes.pages import LINKS, NOW, Clock, Mailbox, make_site, reader, stored
from tests.fakes.waiting import wait_until

ONE_CLICK = "List-Unsubscribe=One-Click"


class ServedSite:
    """A served application with its mailbox, clock and store."""

    def __init__(self, store, web: Browser, mailbox: Mailbox, clock: Clock) -> None:
        self.store, self.web, self.mailbox, self.clock = store, web, mailbox, clock

    def subscribe(self, email="ada@example.org", rubric="stars"):
        before = len(self.mailbox.mails)
        page = self.web.post("/subscribe", {"email": email, "rubric": rubric})
        return page, lambda: self._mail(before)

    def _mail(self, before):
        """The mail goes after the answer: wait for it."""
        return (
            self.mailbox.mails[before] if wait_until(lambda: self.mailbox.mails[before:]) else None
        )

    def find(self, email="ada@example.org"):
        with self.store.read() as tx:
            return subscriptions.find(tx, email)

    def reason(self, email="ada@example.org"):
        with self.store.read() as tx:
            return suppressions.reason_for(tx, email)


@pytest.fixture
def site(store):
    mailbox, clock = Mailbox(), Clock()
    with served(create_app(make_site(store, mailbox, clock))) as web:
        yield ServedSite(store, web, mailbox, clock)


def link_in(mail):
    return re.search(r"http://127\.0\.0\.1(/\S+/[a-z2-7]{48})", mail.text)[1]


def sent_mails(site):
    """All mails, when the background work is done."""
    site.web.wait_for_background()
    return site.mailbox.mails


def test_19_subscribe_confirm_and_choose(site: ServedSite):
    page, mail = site.subscribe()
    assert (page.status, "Check your inbox" in page.words) == (200, True)
    sent = mail()
    assert sent.to_email == "ada@example.org"
    assert "Stars" in sent.subject
    assert site.find().state == SubscriberState.PENDING
    path = link_in(sent)
    asked = site.web.get(path)
    assert "Stars" in asked.words
    assert asked.soup.find("form", method="post") is not None
    assert site.find().state == SubscriberState.PENDING
    done = site.web.post(path)
    assert "ada@example.org receives “Stars”" in done.words
    person = site.find()
    assert person.state == SubscriberState.ACTIVE
    assert person.consent.startswith("web form of 2025-09-25 06:00 UTC, confirmed 2025-09-25")
    assert site.web.post(path).status == 200
    assert site.find().state == SubscriberState.ACTIVE


def test_01_link_scanners_change_nothing(site: ServedSite):
    _, mail = site.subscribe()
    person = reader(site.store, email="bo@example.org")
    paths = [link_in(mail())]
    paths += [
        LINKS.unsubscribe_url(person.id).removeprefix("http://127.0.0.1"),
        LINKS.preferences_url(person.id).removeprefix("http://127.0.0.1"),
    ]
    before = (site.find(), stored(site.store, person))
    for path in paths:
        for _ in range(50):
            assert site.web.get(path).status == 200
            assert site.web.head(path).status == 200
    assert (site.find(), stored(site.store, person)) == before


def test_19_the_response_is_the_same_for_known_and_unknown_addresses(site: ServedSite):
    reader(site.store, email="known@example.org")
    gone = reader(site.store, email="gone@example.org")
    bad = reader(site.store, email="bad@example.org")
    with site.store.begin() as tx:
        subscriptions.leave(tx, gone.id, "reply", NOW)
        suppressions.suppress(tx, bad.email, Reason.COMPLAINED, "event", NOW)
    names = ("known", "gone", "bad", "new")
    pages = [site.subscribe(f"{name}@example.org")[0] for name in names]
    bodies = {page.text.replace(name, "x") for page, name in zip(pages, names, strict=True)}
    assert len(bodies) == 1
    assert {page.status for page in pages} == {200}
    assert wait_until(lambda: len(site.mailbox.mails) == 3)
    assert sorted(mail.to_email for mail in sent_mails(site)) == [
        "gone@example.org",
        "known@example.org",
        "new@example.org",
    ]
    subjects = {mail.subject for mail in site.mailbox.mails}
    assert len(subjects) == 1
    assert site.find("gone@example.org").state == SubscriberState.UNSUBSCRIBED
    assert site.find("known@example.org").rubric == "stars"


def test_an_active_reader_adds_a_rubric_only_by_the_confirmation_link(site: ServedSite):
    reader(site.store)
    _, mail = site.subscribe(rubric="models")
    sent = mail()
    assert site.find().rubric == "stars"
    assert "“Models”" in site.web.post(link_in(sent)).words
    with site.store.read() as tx:
        found = subscriptions.of_address(tx, "ada@example.org")
    assert {one.rubric: one.state for one in found} == {
        "stars": SubscriberState.ACTIVE,
        "models": SubscriberState.ACTIVE,
    }


def test_19_a_former_reader_resubscribes_by_the_link_after_months(site: ServedSite):
    person = reader(site.store)
    with site.store.begin() as tx:
        subscriptions.leave(tx, person.id, "reply", NOW - timedelta(days=200))
    _, mail = site.subscribe(rubric="models")
    assert "“Models”" in site.web.post(link_in(mail())).words
    assert (site.find().state, site.find().rubric) == (SubscriberState.ACTIVE, "models")
    assert site.reason() is None


def test_19_the_form_does_not_lift_a_complaint(site: ServedSite):
    person = reader(site.store)
    with site.store.begin() as tx:
        signups.request(tx, person.email, "stars", NOW)
        suppressions.suppress(tx, person.email, Reason.COMPLAINED, "event", NOW)
        subscriptions.leave(tx, person.id, "reply", NOW)
    path = LINKS.confirm_url(person.id).removeprefix("http://127.0.0.1")
    assert "no longer works" in site.web.post(path).words
    assert site.reason() == Reason.COMPLAINED
    assert site.find().state == SubscriberState.UNSUBSCRIBED


@pytest.mark.parametrize("kind", [EventKind.REPORTED_BOUNCE, EventKind.UNSUBSCRIBE])
def test_19_the_form_lifts_a_report_proved_only_by_a_message_id(site: ServedSite, kind: EventKind):
    reader(site.store)
    with site.store.begin() as tx:
        events.apply(tx, [Event(kind, "ada@example.org", NOW, reason="5.1.1")], NOW)
    assert site.find().state in {SubscriberState.BOUNCED, SubscriberState.UNSUBSCRIBED}
    _, mail = site.subscribe()
    site.web.post(link_in(mail()))
    assert site.find().state == SubscriberState.ACTIVE
    assert site.reason() is None


def test_19_a_hard_bounced_address_gets_no_confirmation_email(site: ServedSite):
    reader(site.store)
    with site.store.begin() as tx:
        events.apply(tx, [Event(EventKind.HARD_BOUNCE, "ada@example.org", NOW)], NOW)
    site.subscribe()
    assert sent_mails(site) == []


def test_19_one_address_gets_one_mail_an_hour(site: ServedSite):
    _, first = site.subscribe()
    assert first() is not None
    for _ in range(5):
        site.subscribe()
    assert len(sent_mails(site)) == 1
    site.clock.at += timedelta(hours=1)
    _, again = site.subscribe()
    assert again() is not None


def test_19_the_wait_between_unanswered_confirmation_emails_grows(store):
    mailed = []
    with store.begin() as tx:
        for hour in range(24 * 365):
            if signups.request(tx, "victim@example.org", "stars", NOW + timedelta(hours=hour)):
                mailed.append(hour)
            if hour % 24 == 0:
                signups.purge(tx, NOW + timedelta(hours=hour))
    assert mailed[:6] == [0, 1, 5, 21, 85, 341]
    assert len(mailed) <= 6 + 12


def test_19_the_form_has_an_hourly_limit(site: ServedSite):
    with site.store.begin() as tx:
        sent = [signups.request(tx, f"{n}@x.org", "stars", NOW) for n in range(MAILS_AN_HOUR + 5)]
    assert sent.count(True) == MAILS_AN_HOUR
    page, _ = site.subscribe("late@example.org")
    assert (page.status, page.headers["retry-after"]) == (503, "3600")
    assert "No email was sent to you" in page.words
    assert "sign-ups are refused" in alerted(site)
    assert f"{MAILS_AN_HOUR} mails" in alerted(site)
    site.clock.at += timedelta(hours=2)
    page, mail = site.subscribe("late@example.org")
    assert (page.status, mail() is not None) == (200, True)


def test_19_a_network_over_its_limit_gets_429_and_the_operator_an_alert(site: ServedSite):
    for number in range(MAX_SIGNUPS):
        assert site.subscribe(f"{number}@example.org")[0].status == 200
    reader(site.store, email="known@example.org")
    for email in ("known@example.org", "new@example.org"):
        page, _ = site.subscribe(email)
        assert (page.status, "No email was sent to you" in page.words) == (429, True)
        assert email not in page.text
    assert f"more than {MAX_SIGNUPS} sign-ups" in alerted(site)
    site.clock.at += timedelta(hours=25)
    assert alerted(site) == ""
    assert site.subscribe("new@example.org")[0].status == 200


def test_19_a_failed_confirmation_email_raises_an_alert(site: ServedSite):
    site.mailbox.fault = SendError(SendFailure.HALT, "the key is wrong")
    assert site.subscribe()[0].status == 200
    assert wait_until(lambda: "the key is wrong" in alerted(site))


def alerted(site: ServedSite) -> str:
    """The text of the current alerts about sign-ups."""
    bounds = Thresholds(timedelta(hours=3), 1, None, 0)
    with site.store.read() as tx:
        seen = monitoring.read_mail_state(tx, site.clock.at)
    return " ".join(
        f"{one.kind}: {one.what}"
        for one in find_alerts(seen, bounds)
        if one.kind is AlertKind.SIGNUPS
    )


def refuse_path(mail) -> str:
    """The path of the one-click POST in the email's headers (RFC 8058)."""
    said = dict(mail.headers)
    assert said["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = re.fullmatch(
        r"<http://127\.0\.0\.1(/unsubscribe/[a-z2-7]{48})>", said["List-Unsubscribe"]
    )
    assert path[1] in mail.text
    assert path[1] in mail.html
    return path[1]


def test_19_confirmation_emails_can_be_stopped_for_good(site: ServedSite):
    _, mail = site.subscribe()
    sent = mail()
    path = refuse_path(sent)
    for _ in range(3):
        assert site.web.get(path).status == 200
    assert site.find().state == SubscriberState.PENDING
    for _ in range(2):
        page = site.web.post(path, {"List-Unsubscribe": "One-Click"})
        assert (page.status, "No more confirmation emails" in page.words) == (200, True)
        assert "location" not in page.headers
    assert site.find() is None
    assert site.reason() == Reason.UNSUBSCRIBED
    assert "no longer works" in site.web.post(link_in(sent)).words
    for days in (1, 100, 1000):
        site.clock.at = NOW + timedelta(days=days)
        with site.store.begin() as tx:
            signups.purge(tx, site.clock.at)
        assert site.subscribe()[0].status == 200
    assert len(sent_mails(site)) == 1
    with site.store.begin() as tx:
        assert restore_subscriber.restore(tx, "ada@example.org", (), "wrote", site.clock.at) == []
    _, mail = site.subscribe()
    assert mail() is not None


def test_19_a_reader_who_stops_confirmation_emails_stays_subscribed(site: ServedSite):
    reader(site.store)
    _, mail = site.subscribe(rubric="models")
    sent = mail()
    assert site.web.post(refuse_path(sent)).status == 200
    assert (site.find().state, site.find().rubric) == (SubscriberState.ACTIVE, "stars")
    assert site.reason() is None
    site.clock.at += timedelta(days=10)
    site.subscribe(rubric="models")
    assert len(sent_mails(site)) == 1
    site.web.post(link_in(sent))
    assert site.find().rubric == "stars"


def test_19_stored_data_is_deleted_as_the_email_states(site: ServedSite):
    _, mail = site.subscribe()
    sent = mail()
    assert "no other note" not in sent.text + sent.html
    assert "delete this request after 30 days" in " ".join(sent.text.split())
    for days, kept in ((29, True), (31, True), (91, False)):
        with site.store.begin() as tx:
            signups.purge(tx, NOW + timedelta(days=days))
            rows = tx.execute(select(signup)).all()
            everything = repr((rows, tx.execute(select(subscriber)).all()))
        assert ("ada@example.org" in everything) is (days < 30)
        assert bool(rows) is kept


def test_an_unsent_confirmation_email_can_be_requested_again(site: ServedSite):
    site.mailbox.fault = SendError(SendFailure.UNSENT, "no route")
    page, _ = site.subscribe()
    assert page.status == 200
    assert sent_mails(site) == []
    site.mailbox.fault = None
    _, mail = site.subscribe()
    assert mail() is not None


def test_19_a_link_older_than_a_week_does_nothing(site: ServedSite):
    _, mail = site.subscribe()
    path = link_in(mail())
    site.clock.at += timedelta(days=8)
    assert "no longer works" in site.web.post(path).words
    assert site.find().state == SubscriberState.PENDING


def test_an_imported_pending_reader_confirms_without_a_form(site: ServedSite):
    person = reader(site.store, state=SubscriberState.PENDING)
    path = LINKS.confirm_url(person.id).removeprefix("http://127.0.0.1")
    assert "You are subscribed" in site.web.post(path).words
    assert site.find().state == SubscriberState.ACTIVE


def test_invalid_sign_ups_show_an_error(site: ServedSite):
    for email, rubric, words in (
        ("nonsense", "stars", "is not an address"),
        ("", "stars", "missing"),
        ("ada@example.org", "secret", "choose a topic"),
        ("ada@example.org", "none", "choose a topic"),
        ("ada@example.org\r\nBcc: x@y.org", "stars", "is not an address"),
        ("<script>@x.org", "stars", "is not an address"),
    ):
        page = site.subscribe(email, rubric)[0]
        assert (page.status, words in page.words) == (422, True)
        assert "<script" not in page.text
    assert sent_mails(site) == []


def test_19_unconfirmed_subscribers_are_deleted(store):
    with store.begin() as tx:
        signups.request(tx, "old@example.org", "stars", NOW - timedelta(days=40))
        signups.request(tx, "active@example.org", "models", NOW - timedelta(days=40))
        signups.request(tx, "new@example.org", "stars", NOW)
    old = reader(store, email="old@example.org", state=SubscriberState.PENDING)
    new = reader(store, email="new@example.org", state=SubscriberState.PENDING)
    imported = reader(store, email="csv@example.org", state=SubscriberState.PENDING)
    active = reader(store, email="active@example.org")
    with store.begin() as tx:
        assert signups.purge(tx, NOW) == 1
    assert stored(store, old) is None
    assert stored(store, new) is not None
    assert stored(store, imported) is not None
    assert stored(store, active) is not None


def unsubscribe_path(person):
    return LINKS.unsubscribe_url(person.id).removeprefix("http://127.0.0.1")


def test_01_one_click_in_both_encodings_without_cookie_or_redirect(site: ServedSite):
    head = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    multipart = head + b"One-Click\r\n--b--\r\n"
    bodies = {
        "urlencoded": (b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        "multipart": (multipart, "multipart/form-data; boundary=b"),
        "nothing": (b"", "text/plain"),
        "garbage": (b"\xff\x00--b--", "multipart/form-data; boundary=" + "x" * 200),
    }
    for name, (body, kind) in bodies.items():
        person = reader(site.store, email=f"{name}@example.org")
        path = unsubscribe_path(person)
        for _ in range(2):
            page = site.web.ask("POST", path, body, {"Content-Type": kind})
            assert (name, page.status) == (name, 200)
            assert "set-cookie" not in page.headers
            assert "location" not in page.headers
        assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED
        assert site.reason(person.email) == Reason.UNSUBSCRIBED


def test_unsubscribe_by_the_button_and_undo(site: ServedSite):
    person = reader(site.store)
    path = unsubscribe_path(person)
    asked = site.web.get(path)
    assert "ada@example.org" in asked.words
    assert asked.soup.find("button") is not None
    assert "You are unsubscribed" in site.web.post(path).words
    assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED
    assert "You are unsubscribed" in site.web.get(path).words
    assert "Welcome back" in site.web.post(path, {"undo": "1"}).words
    assert stored(site.store, person).state == SubscriberState.ACTIVE
    assert site.reason() is None


def test_after_thirty_days_undo_is_refused(site: ServedSite):
    person = reader(site.store)
    site.web.post(unsubscribe_path(person))
    site.clock.at += timedelta(days=31)
    page = site.web.post(unsubscribe_path(person), {"undo": "1"})
    assert "can no longer be undone" in page.words
    assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED


def test_18_invalid_tokens_get_the_same_page(site: ServedSite):
    person = reader(site.store)
    token = LINKS.token(Purpose.UNSUBSCRIBE, person.id)
    other_key = Links("http://127.0.0.1", ["x" * 32], "in.example.org")
    bad = [
        other_key.token(Purpose.UNSUBSCRIBE, person.id),
        token[:-1],
        ("b" if token[0] == "a" else "a") + token[1:],
        LINKS.token(Purpose.PREFERENCES, person.id),
        LINKS.token(Purpose.UNSUBSCRIBE, "f" * 32),
        "x",
        "%00",
    ]
    for method in ("GET", "POST"):
        pages = [site.web.ask(method, f"/unsubscribe/{each}", b"", {}) for each in bad]
        assert {page.status for page in pages} == {404}, "mail programs take 200 for done"
        assert len({page.text for page in pages}) == 1
        assert "Nothing was changed" in pages[0].words
        assert "reply to your newest digest with the word “unsubscribe”" in pages[0].words
    assert site.web.get(f"/preferences/{token}").words == site.web.get("/preferences/x").words
    assert site.web.post(f"/confirm/{token}").status == 200
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_links_of_a_test_email_change_nothing(site: ServedSite):
    path = LINKS.unsubscribe_url(TEST_READER).removeprefix("http://127.0.0.1")
    assert "test email" in site.web.get(path).words
    assert "test email" in site.web.post(path, {"List-Unsubscribe": "One-Click"}).words
    path = LINKS.preferences_url(TEST_READER).removeprefix("http://127.0.0.1")
    assert "does not work" in site.web.post(path, {"action": "erase", "sure": "yes"}).words


def preferences_path(person):
    return LINKS.preferences_url(person.id).removeprefix("http://127.0.0.1")


def preferences(**changes):
    given = {
        "action": "save",
        "rubric": "models",
        "days": ["mon", "fri"],
        "send_at": "06:30",
        "timezone": "Europe/Berlin",
        "format": "brief",
        "max_papers": "12",
    }
    return {**given, **changes}


def test_preferences_are_shown_and_saved(site: ServedSite):
    person = reader(site.store)
    path = preferences_path(person)
    page = site.web.get(path)
    checked = {box["id"] for box in page.soup.find_all("input", checked=True)}
    assert checked == {
        "rubric-stars",
        "format-full",
        "often-days",
        "for-7",
        *(f"day-{day}" for day in WEEKDAYS),
    }
    saved = site.web.post(path, preferences())
    assert "Saved" in saved.words
    person = site.find()
    assert (person.rubric, person.days, person.send_at) == (
        "models",
        ("mon", "fri"),
        clock_time(6, 30),
    )
    assert (person.timezone, person.format, person.max_papers) == (
        "Europe/Berlin",
        Format.BRIEF,
        12,
    )
    assert saved.soup.find("input", id="send_at")["value"] == "06:30"
    assert person.chosen == ("timezone", "send_at", "days", "max_papers", "format")
    site.web.post(path, preferences(send_at="", timezone="", max_papers=""))
    person = site.find()
    assert (person.send_at, person.timezone, person.max_papers) == (None, None, None)


def test_only_changed_preferences_are_marked_as_chosen(site: ServedSite):
    person = reader(site.store, timezone="EST")
    asked = {
        **preferences(rubric="stars", days=[*WEEKDAYS], send_at="", max_papers="", format="full")
    }
    site.web.post(preferences_path(person), {**asked, "timezone": "EST", "send_at": "09:00"})
    kept = stored(site.store, person)
    assert (kept.timezone, kept.send_at, kept.chosen) == ("EST", clock_time(9), ("send_at",))
    page = site.web.post(preferences_path(person), {**asked, "timezone": "PST"})
    assert "America/Los_Angeles" in page.words


def test_invalid_preferences_change_nothing_and_show_errors(site: ServedSite):
    person = reader(site.store)
    path, before = preferences_path(person), stored(site.store, person)
    for changes, words in (
        ({"timezone": "Mars/Base"}, "is not a zone"),
        ({"send_at": "25:00"}, "is not a time of day"),
        ({"max_papers": "0"}, "is not a whole number"),
        ({"format": "html"}, "is not one of"),
        ({"days": []}, "at least one day"),
        ({"rubric": "secret"}, "choose one of the topics"),
        ({"timezone": "<script>"}, "is not a zone"),
    ):
        page = site.web.post(path, preferences(**changes))
        assert (page.status, words in page.words) == (422, True)
        assert "<script" not in page.text
    assert stored(site.store, person) == before


def test_the_reader_of_a_private_rubric_keeps_it_among_the_choices(site: ServedSite):
    person = reader(site.store, rubric="secret")
    page = site.web.get(preferences_path(person))
    values = {box["value"] for box in page.soup.find_all("input", attrs={"name": "rubric"})}
    assert values == {"secret", "stars", "models"}
    site.web.post(preferences_path(person), preferences(rubric="secret"))
    assert stored(site.store, person).rubric == "secret"


def test_pause_and_resume(site: ServedSite):
    person = reader(site.store)
    path = preferences_path(person)
    assert "Paused" in site.web.post(path, {"action": "pause"}).words
    assert stored(site.store, person).state == SubscriberState.PAUSED
    site.web.post(path, preferences(rubric="stars"))
    assert stored(site.store, person).state == SubscriberState.PAUSED
    assert "Resumed" in site.web.post(path, {"action": "resume"}).words
    assert stored(site.store, person).state == SubscriberState.ACTIVE


@pytest.mark.parametrize(
    ("fields", "until", "said"),
    [
        ({"for": "7"}, datetime(2025, 10, 1, 22, tzinfo=UTC), "Thursday, 2 October 2025"),
        ({"for": "28"}, datetime(2025, 10, 22, 22, tzinfo=UTC), "Thursday, 23 October 2025"),
        (
            {"for": "date", "until": "2025-12-14"},
            datetime(2025, 12, 13, 23, tzinfo=UTC),
            "Sunday, 14 December 2025",
        ),
        ({"until": "2025-12-14"}, datetime(2025, 12, 13, 23, tzinfo=UTC), "14 December 2025"),
        ({"for": "open", "until": ""}, None, "until you resume"),
    ],
)
def test_a_pause_ends_at_midnight_of_the_reader(site: ServedSite, fields, until, said: str):
    person = reader(site.store, timezone="Europe/Berlin")
    path = preferences_path(person)
    page = site.web.post(path, {"action": "pause", **fields})
    message = page.soup.find(id="status").text
    assert "Paused." in message
    assert said in message
    with site.store.read() as tx:
        assert subscribers.paused_until(tx, person.subscriber_id) == until
    assert said in site.web.get(path).words
    with site.store.begin() as tx:
        subscribers.end_pauses(tx, until or NOW + timedelta(days=400))
    expected = SubscriberState.ACTIVE if until else SubscriberState.PAUSED
    assert stored(site.store, person).state == expected


@pytest.mark.parametrize("until", ["", "soon", "2025-09-25", "2024-12-14", "2026-09-27"])
def test_a_pause_to_no_day_of_the_next_year_changes_nothing(site: ServedSite, until: str):
    person = reader(site.store)
    page = site.web.post(
        preferences_path(person), {"action": "pause", "for": "date", "until": until}
    )
    assert page.status == 422
    assert "choose a day" in page.soup.find(id="fault-until").text
    assert page.soup.find(id="until")["value"] == until
    assert page.soup.find(id="for-date").has_attr("checked")
    assert stored(site.store, person).state == SubscriberState.ACTIVE


@pytest.mark.parametrize("other", ["7", "open"])
def test_a_day_beside_another_choice_is_asked_about(site: ServedSite, other: str):
    person = reader(site.store)
    form = {"action": "pause", "for": other, "until": "2025-12-14"}
    page = site.web.post(preferences_path(person), form)
    assert page.status == 422
    assert "choose “Until the day below”" in page.soup.find(id="fault-until").text
    assert page.soup.find(id=f"for-{other}").has_attr("checked")
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_a_pause_can_be_changed_while_it_lasts(site: ServedSite):
    person = reader(site.store)
    path = preferences_path(person)
    site.web.post(path, {"action": "pause"})
    page = site.web.post(path, {"action": "pause", "for": "14"})
    assert "Mails start again by themselves on Thursday, 9 October 2025" in page.words


def test_a_former_reader_can_resubscribe_on_the_preferences_page(site: ServedSite):
    person = reader(site.store)
    site.web.post(unsubscribe_path(person))
    path = preferences_path(person)
    assert "You are unsubscribed" in site.web.get(path).words
    site.web.post(path, preferences())
    assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED
    assert "Welcome back" in site.web.post(path, {"action": "back"}).words
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_pressing_a_button_twice_shows_the_same_message(site: ServedSite):
    person = reader(site.store)
    site.web.post(unsubscribe_path(person))
    for _ in range(2):
        assert "Welcome back" in site.web.post(unsubscribe_path(person), {"undo": "1"}).words
    site.web.post(unsubscribe_path(person))
    for _ in range(2):
        page = site.web.post(preferences_path(person), {"action": "back"})
        assert "Welcome back" in page.words
    for action, said in (("pause", "Paused."), ("resume", "Resumed.")):
        for _ in range(2):
            page = site.web.post(preferences_path(person), {"action": action})
            assert said in page.words


@pytest.mark.parametrize("action", ["save", "pause", "resume"])
@pytest.mark.parametrize("end", [SubscriberState.UNSUBSCRIBED, SubscriberState.COMPLAINED])
def test_an_outdated_form_changes_nothing(site: ServedSite, action: str, end):
    person = reader(site.store)
    with site.store.begin() as tx:
        subscriptions.end_all(tx, person.id, end, "reply", NOW)
    page = site.web.post(preferences_path(person), preferences(action=action))
    assert "Nothing was changed" in page.words
    assert not any(word in page.words for word in ("Saved", "Paused", "Resumed"))
    kept = stored(site.store, person)
    assert (kept.state, kept.rubric) == (end, "stars")


def test_deletion_needs_the_checkbox_and_keeps_only_the_suppression(site: ServedSite):
    person = reader(site.store)
    path = preferences_path(person)
    assert site.web.post(path, {"action": "erase"}).status == 422
    assert site.find() is not None
    assert "Your data was deleted" in site.web.post(path, {"action": "erase", "sure": "yes"}).words
    assert site.find() is None
    assert site.reason() == Reason.ERASED
    assert "does not work" in site.web.get(path).words
    site.subscribe()
    assert sent_mails(site) == []


def test_bounced_and_pending_readers_see_their_state(site: ServedSite):
    bounced = reader(site.store, email="b@example.org", state=SubscriberState.BOUNCED)
    waiting = reader(site.store, email="w@example.org", state=SubscriberState.PENDING)
    assert "an email to it bounced" in site.web.get(preferences_path(bounced)).words
    assert "confirmation email" in site.web.get(preferences_path(waiting)).words
    for person in (bounced, waiting):
        for action in ("resume", "pause", "back"):
            before = stored(site.store, person)
            site.web.post(preferences_path(person), {"action": action})
            assert stored(site.store, person) == before


def test_an_unknown_action_only_shows_the_page(site: ServedSite):
    person = reader(site.store)
    assert site.web.post(preferences_path(person), {"action": "drop"}).status == 200
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_pages_with_tokens_are_neither_cached_nor_indexed(site: ServedSite):
    person = reader(site.store)
    for path in (unsubscribe_path(person), preferences_path(person)):
        headers = site.web.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-robots-tag"] == "noindex, nofollow"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_body_above_the_limit_is_refused(site: ServedSite):
    person = reader(site.store)
    body = b"x" * (70 * 1024)
    page = site.web.ask("POST", unsubscribe_path(person), body, {"Content-Type": "text/plain"})
    assert page.status == 413
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_untrusted_names_and_rubrics_are_escaped(site: ServedSite):
    person = reader(site.store, name="<script>x</script>{{7*7}}", rubric="<b>gone</b>")
    for path in (unsubscribe_path(person), preferences_path(person)):
        text = site.web.get(path).text
        assert "<script" not in text
        assert "<b>gone" not in text


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/x-www-form-urlencoded", b"a=1&a=2&b=%C3%A9", {"a": ("1", "2"), "b": ("é",)}),
        ("application/x-www-form-urlencoded", b"&" * 500, {}),
        ("application/x-www-form-urlencoded", b"a=1&" * 500, {}),
        ("multipart/form-data", b"--b\r\n\r\n", {}),
        ("multipart/form-data; boundary=b", b"", {}),
        ("", b"List-Unsubscribe=One-Click", {"List-Unsubscribe": ("One-Click",)}),
    ],
)
def test_form_bodies_are_parsed_without_errors(kind, body, expected):
    assert read_form(kind, body) == expected


def test_random_requests_cause_no_server_error(site: ServedSite):
    dice = random.Random(8)  # noqa: S311 - rolls to repeat, no secrets
    person = reader(site.store)
    paths = ["/subscribe", "/", "/search", "/archive/stars/2025-09-23/", "/hooks/sendgrid/events"]
    paths += [preferences_path(person), unsubscribe_path(person), "/confirm/x", "/archive/%00/"]
    kinds = ["", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "x" * 999]
    for _ in range(300):
        body = dice.randbytes(dice.choice([0, 10, 500])).replace(b"\x01", b"--b\r\n\r\n")
        path = dice.choice(paths) + dice.choice(["", "?q=%ff%00", "?page=99999999999", "%2e%2e/"])
        method = dice.choice(["GET", "POST", "POST", "HEAD", "PUT"])
        page = site.web.ask(method, path, body, {"Content-Type": dice.choice(kinds)})
        assert page.status < 500, (method, path, body)


def test_a_get_of_the_form_address_redirects_to_the_form(site: ServedSite):
    page = site.web.get("/subscribe")
    assert (page.status, page.headers["location"]) == (303, "/#subscribe")


def test_the_preferences_page_links_to_unsubscribe(site: ServedSite):
    person = reader(site.store)
    page = site.web.get(preferences_path(person))
    path = re.search(r'href="(/unsubscribe/[^"]+)"', page.text)[1]
    assert "Unsubscribe" in site.web.get(path).words
    assert stored(site.store, person).state == SubscriberState.ACTIVE
    site.web.post(path)
    assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED
    assert "/unsubscribe/" not in site.web.get(preferences_path(person)).text
