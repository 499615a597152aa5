"""The operator page over HTTP: login, content and buttons."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from sqlalchemy import event, insert, select

from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import DeliveryState, SubscriberState
from newsletter.store import Store, alerts, deliveries, leases
from newsletter.store.operator import actions, review_queue, sessions
from newsletter.store.operator.actions import ActionKind, OperatorAction
from newsletter.store.reports import operator_views
from newsletter.store.tables import delivery, digest, ended_session
from newsletter.web.app import create_app
from newsletter.web.charts import chart
from newsletter.web.operator.auth import MAX_GUESSES, SESSION_LENGTH, LoginLimiter
from newsletter.web.operator.review import masked
from tests.fakes import operator_data
from tests.fakes.browser import Browser, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.database import create_database
from tests.fakes.pages import (
    LINKS,
    NOW,
    STARS,
    THURSDAY,
    TUESDAY,
    Clock,
    issue,
    make_site,
    paper,
    reader,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct horse battery"
HEADER = "X-Forwarded-User"
FRIDAY = THURSDAY + timedelta(days=1)
PAGES = (
    "/operator",
    "/operator/preview/stars",
    "/operator/preview/stars/mail",
    "/operator/review",
)
ACTIONS = ("/operator/logout", "/operator/replies", "/operator/deliveries", "/operator/log/undo")


def operator_app(store, clock=None, public_url="http://127.0.0.1", **given):
    """The application with these settings of the operator page."""
    return create_app(make_site(store, None, clock, public_url=public_url, **typed(given)))


def typed(given):
    return {name: SecretStr(v) if name.endswith("password") else v for name, v in given.items()}


def cookie(page):
    return page.headers["set-cookie"].partition(";")[0]


def log_in(web: Browser, password=PASSWORD, **headers):
    return web.post("/operator/login", {"password": password}, **headers)


def form_token(page):
    return page.soup.find("input", attrs={"name": "token"})["value"]


class Operator:
    """A logged-in operator."""

    def __init__(self, web: Browser) -> None:
        self.web = web
        self.headers = {"Cookie": cookie(log_in(web))}

    def get(self, path="/operator"):
        return self.web.get(path, **self.headers)

    def press(self, path, page="/operator", **fields):
        """Send a form of a page, with its hidden fields: that about `id`, if there are several."""
        found = hidden_fields(self.get(page), path, fields.get("id"))
        return self.web.post(path, {**found, **fields}, **self.headers)


def hidden_fields(page, path, subject=None):
    for form in page.soup.find_all("form", action=path):
        found = {box["name"]: box["value"] for box in form.find_all("input", type="hidden")}
        if subject in (None, found.get("id")):
            return found
    return {"token": form_token(page), "form": "f" * 32, "stamp": ""}


@pytest.fixture
def operator(store):
    operator_data.month(store, 6)
    with served(operator_app(store, operator_password=PASSWORD)) as web:
        yield Operator(web)


def test_without_settings_the_page_is_not_found(store):
    with served(operator_app(store)) as web:
        for path in PAGES:
            assert web.get(path, **{HEADER: "ada"}).status == 404
        for path in (*ACTIONS, "/operator/login"):
            assert web.post(path, {"password": ""}).status == 404


def test_without_the_password_nothing_is_shown(store):
    operator_data.month(store, 4)
    operator_data.reply(store)
    with served(operator_app(store, operator_password=PASSWORD)) as web:
        for path in PAGES[:2]:
            page = web.get(path, **{HEADER: "ada"})
            assert page.soup.find("input", attrs={"type": "password"})
            assert "Stars" not in page.text
            assert "$" not in page.text
        assert web.get(PAGES[2]).status == 403
        for path in ACTIONS:
            assert web.post(path, {"action": "done"}).status == 403


def test_login_sets_a_protected_cookie(store):
    with served(operator_app(store, operator_password=PASSWORD)) as web:
        page = log_in(web)
        assert (page.status, page.headers["location"]) == (303, "/operator")
        words = page.headers["set-cookie"].lower()
        assert "httponly" in words
        assert "samesite=strict" in words
        assert "path=/operator" in words
        assert "secure" not in words.replace("httponly", "")
        assert PASSWORD not in words
        assert web.get("/operator", Cookie=cookie(page)).soup.h1.get_text() == "Operator"
    behind = operator_app(store, operator_password=PASSWORD, public_url="https://x.example.org/d")
    with served(behind) as web:
        words = log_in(web).headers["set-cookie"].lower()
        assert "secure" in words
        assert "path=/d/operator" in words


def test_a_cookie_expires_and_cannot_be_forged_or_reused_with_another_password(store):
    clock = Clock()
    with served(operator_app(store, clock, operator_password=PASSWORD)) as web:
        good = cookie(log_in(web))
        name, _, value = good.partition("=")
        end, chance, seal = value.split(".")
        later = f"{int(end) + 9999}.{chance}.{seal}"
        flipped = f"{end}.{chance}.{seal[:-1]}{'0' if seal[-1] != '0' else '1'}"
        for forged in (later, flipped, "", "a.b.c", ".", f"{end}..", "é" * 9, f"{chance}.{seal}"):
            headers = {"Cookie": f"{name}={forged}".encode().decode("latin-1")}
            assert web.get(PAGES[2], **headers).status == 403
        assert web.get("/operator", Cookie=good).soup.h1.get_text() == "Operator"
        clock.at = NOW + timedelta(hours=12, seconds=1)
        assert web.get("/operator", Cookie=good).soup.h1.get_text() != "Operator"
    with served(operator_app(store, operator_password="another password")) as web:
        assert web.get("/operator", Cookie=good).soup.h1.get_text() != "Operator"


def test_wrong_passwords_are_limited_for_all_clients(store, caplog):
    clock = Clock()
    with served(operator_app(store, clock, operator_password=PASSWORD)) as web:
        guesses = [log_in(web, f"guess number {n}").status for n in range(MAX_GUESSES + 3)]
        assert guesses == [403] * MAX_GUESSES + [429] * 3
        late = log_in(web)
        assert (late.status, late.headers["retry-after"]) == (429, "60")
        assert "set-cookie" not in late.headers
        clock.at += timedelta(minutes=1)
        assert log_in(web).status == 303
        for odd in ("", PASSWORD + " ", PASSWORD.upper(), "\ud800", "x" * 60_000):
            assert log_in(web, odd.encode("utf-8", "replace")).status == 403
    assert "guess number" not in caplog.text


def test_the_login_limiter_refills_to_its_maximum():
    guesses = LoginLimiter()
    assert guesses.is_allowed(NOW)
    for _ in range(MAX_GUESSES):
        guesses.record_failure()
    assert not guesses.is_allowed(NOW)
    assert guesses.is_allowed(NOW + timedelta(seconds=7))
    guesses.record_failure()
    assert not guesses.is_allowed(NOW + timedelta(seconds=8))
    assert not guesses.is_allowed(NOW - timedelta(days=1))
    assert guesses.is_allowed(NOW + timedelta(days=9))
    assert guesses.tokens == MAX_GUESSES


def test_a_proxy_header_logs_in(store):
    operator_data.month(store, 3)
    message = operator_data.reply(store)
    with served(operator_app(store, operator_header=HEADER)) as web:
        assert web.get("/operator").status == 403
        assert web.get("/operator", **{HEADER: " "}).status == 403
        page = web.get("/operator", **{HEADER: "ada"})
        assert page.soup.h1.get_text() == "Operator"
        assert "/operator/logout" not in page.text
        assert log_in(web, "").status == 404
        page = web.get("/operator/review", **{HEADER: "ada"})
        fields = hidden_fields(page, "/operator/replies", message) | {"action": "done"}
        assert web.post("/operator/replies", fields, **{HEADER: "eve"}).status == 403
        assert web.post("/operator/replies", fields, **{HEADER: "ada"}).status == 303


def test_the_header_counts_only_from_a_trusted_proxy(store, monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.7")
    with served(operator_app(store, operator_header=HEADER)) as web:
        assert web.get("/operator", **{HEADER: "ada"}).status == 403
        claimed = {HEADER: "ada", "X-Forwarded-For": "192.0.2.7"}
        assert web.get("/operator", **claimed).status == 403
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.7, 127.0.0.0/8")
    with served(operator_app(store, operator_header=HEADER)) as web:
        passed_on = {HEADER: "ada", "X-Forwarded-For": "203.0.113.9"}
        assert web.get("/operator", **passed_on).status == 200


def test_figures_and_charts(operator: Operator):
    page = operator.get()
    assert (page.status, page.headers["cache-control"]) == (200, "no-store")
    today = page.soup.find(id="today").find_parent("section")
    cells = [cell.get_text() for cell in today.find_all("tr")[-1].find_all("td")]
    assert cells == ["2", "2", "1", "$0.15", "9", "1"]
    assert "Secret plans" in today.get_text()
    assert "no subscribers" in today.get_text()
    thirty = page.soup.find(id="thirty").find_parent("section")
    assert len(thirty.find_all("figure")) == 3
    for drawing in thirty.select("figure > svg"):
        assert drawing["role"] == "img"
        title, about = (thirty.find(id=name) for name in drawing["aria-labelledby"].split())
        assert title.get_text()
        assert "on 4 of 30 days" in about.get_text()
    rows = thirty.find("details").find_all("tr")[1:]
    assert len(rows) == 4
    assert "Thu 25 Sep" in rows[0].get_text()
    total = thirty.find("tfoot").get_text(" ")
    assert " 36 " in total


def test_a_rubric_with_subscribers_is_not_made_yet(store):
    reader(store)
    with served(operator_app(store, operator_header=HEADER)) as web:
        page = web.get("/operator", **{HEADER: "ada"})
    assert "not made yet" in page.soup.find(id="today").find_parent("section").get_text()


def test_at_a_weekend_the_last_digests_are_still_shown(store):
    issue(store, STARS, FRIDAY, [paper("1"), paper("2")])
    clock = Clock(NOW + timedelta(days=3))
    with served(operator_app(store, clock, operator_header=HEADER)) as web:
        section = web.get("/operator", **{HEADER: "a"}).soup.find(id="today").find_parent("section")
    assert section.h2.get_text() == "Latest day Friday, 26 September 2025"
    assert section.find_all("tr")[-1].find_all("td")[0].get_text() == "2"


def test_weekly_digests_count_their_emails_but_not_their_papers_again(store):
    issue(store, STARS, TUESDAY, [paper("1"), paper("2")])
    with store.begin() as tx:
        one = tx.execute(select(digest)).one()._mapping
        again = {**one, "id": 77, "date": THURSDAY}
        tx.execute(insert(digest).values(again))
        found = operator_views.since(tx, ["stars"], TUESDAY)
        assert len(operator_views.since(tx, ["stars"], TUESDAY + timedelta(days=1))) == 1
        assert operator_views.since(tx, ["models"], TUESDAY) == []
    assert [(each.date, each.whole) for each in found] == [(TUESDAY, True), (THURSDAY, False)]
    with served(operator_app(store, operator_header=HEADER)) as web:
        words = web.get("/operator", **{HEADER: "a"}).soup.find("tfoot").get_text(" ")
    assert words.split() == ["Total", "2", "2", "1", "$0.15", "0", "0"]


def test_open_alerts_are_shown_with_their_fix(operator: Operator, store):
    operator_data.alert(store, what="it <broke> for reader@example.org")
    page = operator.get()
    assert "Sending was stopped" in page.text
    assert "check SENDGRID_API_KEY" in page.text
    assert "&lt;broke&gt;" in page.text
    assert "reader@example.org" not in page.text


def test_resolved_alerts_are_listed_separately(operator: Operator, store):
    operator_data.alert(store, subject="stars of 2025-09-24")
    with store.begin() as tx:
        alerts.record(tx, [], NOW + timedelta(hours=1))
    section = operator.get().soup.find(id="alerts").find_parent("section")
    assert section.find("h3") is None
    assert "stars of 2025-09-24 2025-09-25 06:00 to" in section.details.get_text()
    assert "None." in section.get_text()


def test_a_get_changes_nothing_and_a_wrong_csrf_token_is_refused(operator: Operator, store):
    doubt = operator_data.doubt(store, reader(store, email="d@example.org"))
    path = "/operator/deliveries"
    fields = hidden_fields(operator.get("/operator/review"), path, doubt) | {"action": "resend"}
    good = fields.pop("token")

    def state():
        with store.read() as tx:
            return tx.scalar(select(delivery.c.state).where(delivery.c.id == doubt))

    assert operator.get(f"{path}?id={doubt}&action=resend&token={good}").status == 405
    strange = [{}, {"token": ""}, {"token": good[:-1]}, {"token": "é"}, {"token": "0" * 64}]
    for wrong in strange:
        assert operator.web.post(path, fields | wrong, **operator.headers).status == 403
    other = Operator(operator.web)
    token = form_token(other.get())
    assert operator.web.post(path, fields | {"token": token}, **operator.headers).status == 403
    far = operator.headers | {"Sec-Fetch-Site": "cross-site"}
    assert operator.web.post(path, fields | {"token": good}, **far).status == 403
    odd = fields | {"action": "delete everything", "token": good}
    assert operator.web.post(path, odd, **operator.headers).status == 400
    assert state() == DeliveryState.UNKNOWN
    near = operator.headers | {"Sec-Fetch-Site": "same-origin"}
    assert operator.web.post(path, fields | {"token": good}, **near).status == 303
    assert state() == DeliveryState.PENDING


def test_a_csrf_token_is_valid_over_midnight_but_not_two_days_later(store):
    clock = Clock()
    with served(operator_app(store, clock, operator_header=HEADER)) as web:
        message = operator_data.reply(store)
        page = web.get("/operator/review", **{HEADER: "a"})
        hidden = hidden_fields(page, "/operator/replies", message)
        for days, status in ((1, 303), (2, 403)):
            clock.at = NOW + timedelta(days=days)
            fields = {**hidden, "action": "done"}
            assert web.post("/operator/replies", fields, **{HEADER: "a"}).status == status


def test_logging_out_deletes_the_cookie(operator: Operator):
    page = operator.press("/operator/logout")
    assert page.status == 303
    assert 'newsletter_operator=""' in page.headers["set-cookie"]
    assert "Max-Age=0" in page.headers["set-cookie"]


def test_a_copied_cookie_is_invalid_after_logging_out(operator: Operator, store):
    other = Operator(operator.web)
    assert 'action="/operator/logout"' in operator.get().text
    operator.press("/operator/logout")
    assert 'action="/operator/logout"' not in operator.get().text
    with served(operator_app(store, operator_password=PASSWORD)) as another_process:
        assert "/operator/logout" not in another_process.get("/operator", **operator.headers).text
    assert 'action="/operator/logout"' in other.get().text


def test_two_logouts_of_one_session_at_once_both_succeed(operator: Operator, store):
    name = operator.headers["Cookie"].partition("=")[2].rpartition(".")[0]
    fields = {"token": form_token(operator.get())}
    with ThreadPoolExecutor(1) as pool:
        with session_checked(store) as checked, store.begin() as tx:
            sessions.end(tx, name, NOW, SESSION_LENGTH)
            second = pool.submit(operator.web.post, "/operator/logout", fields, **operator.headers)
            assert checked.wait(240)
            assert not second.done()
        assert second.result().status == 303


@contextmanager
def session_checked(store: Store) -> Iterator[threading.Event]:
    """Set when a page has read whether its session has ended."""
    checked = threading.Event()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and ended_session.name in statement:
            checked.set()

    event.listen(store.engine, "after_cursor_execute", note)
    yield checked
    event.remove(store.engine, "after_cursor_execute", note)


def test_the_preview_is_sandboxed(operator: Operator, store):
    page = operator.get("/operator/preview/stars")
    frame = page.soup.find("iframe")
    assert frame["sandbox"] == []
    assert frame["title"]
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    mail = operator.get(frame["src"])
    policy = mail.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "frame-ancestors 'self'" in policy
    assert mail.headers["x-frame-options"] == "SAMEORIGIN"
    assert "Paper stars-0-0" in mail.text
    links = [link for link in mail.links() if "/unsubscribe/" in link or "/preferences/" in link]
    before = stored(store, reader(store))
    for link in links:
        operator.web.post(link, {"List-Unsubscribe": "One-Click"})
    tokens = {link.rpartition("/")[2]: link.split("/")[-2] for link in links}
    assert {LINKS.read(purpose, token) for token, purpose in tokens.items()} == {TEST_READER}
    assert stored(store, before).state is SubscriberState.ACTIVE
    with store.read() as tx:
        assert deliveries.count_all(tx)[DeliveryState.ACCEPTED] == 36
    empty = operator.get("/operator/preview/secret")
    assert (empty.status, empty.soup.find("iframe")) == (200, None)
    assert operator.get("/operator/preview/secret/mail").status == 404
    assert operator.get("/operator/preview/nobody").status == 404


def test_security_headers_and_markup(operator: Operator, store):
    operator_data.reply(store, reader(store, email=operator_data.LEAVING))
    operator_data.doubt(store, reader(store, email="d@example.org"))
    for path in (*PAGES[:2], PAGES[3], "/operator/review?said=<script>&done=<script>"):
        page = operator.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-robots-tag"] == "noindex, nofollow"
        assert "<script" not in page.text
        soup = page.soup
        assert not soup.find_all(style=True)
        ids = [tag["id"] for tag in soup.find_all(id=True)]
        assert len(ids) == len(set(ids))
        named = [tag["aria-labelledby"] for tag in soup.find_all(attrs={"aria-labelledby": True})]
        assert all(one in ids for each in named for one in each.split())
        assert not [
            a for tag in soup.find_all(["a", "form"]) for a in tag.attrs.values() if "@" in a
        ]
        for button in soup.select("form[method=post] button"):
            assert button["type"] == "submit"


def test_without_database_it_answers_503(tmp_path):
    path = tmp_path / "gone.db"
    create_database(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    app = operator_app(store, operator_header=HEADER)
    store.close()
    for each in tmp_path.glob("gone.db*"):
        each.unlink()
    path.mkdir()
    with served(app) as web:
        assert web.get("/operator", **{HEADER: "a"}).status == 503


def test_addresses_are_masked():
    assert (
        masked("From Ada <ada.l@mail.example.org>, x@y") == "From Ada <a…@mail.example.org>, x…@y"
    )
    assert masked("no address @ all") == "no address @ all"


def test_bars_are_stacked_within_the_chart():
    days = [TUESDAY, THURSDAY]
    made = chart("n", "T", days, {"a": [3, 0], "b": [1, 2]}, {"a": "A", "b": "B"}, str)
    assert [(bar.series, bar.y, bar.height) for bar in made.bars] == [
        ("a", "25.00", "75.00"), ("b", "0.00", "25.00"), ("b", "50.00", "50.00"),
    ]  # fmt: skip
    assert made.maximum == "4"
    assert made.description.startswith("6 in total, on 2 of 2 days. Maximum: 4 on 23 Sep 2025")
    empty = chart("n", "T", days, {"a": [0, 0]}, {"a": "A"}, str)
    assert (empty.bars, empty.description) == ((), "No data for these days.")


def test_queries_use_indexes(store):
    if not store.is_sqlite:
        pytest.skip("the plan of a small table says nothing there")
    asked = []
    event.listen(store.engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
    with store.read() as tx:
        operator_views.since(tx, ["stars", "models"], TUESDAY)
        operator_views.replies(tx, 9)
        operator_views.count_unknown(tx)
        review_queue.unknown_mails(tx, 9)
        plans = [
            row[3]
            for statement, values in list(asked)
            if statement.lstrip().startswith("SELECT")
            for row in tx.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert len(plans) > 8
    assert not [plan for plan in plans if plan.startswith("SCAN")]


@pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
def test_in_a_real_browser_without_scripts(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    people = operator_data.month(store)
    operator_data.reply(store, people[0])
    operator_data.alert(store)
    with (
        served(operator_app(store, operator_password=PASSWORD)) as web,
        chromium(tmp_path / "profile") as pipe,
    ):
        tab, home = Tab(pipe), f"http://127.0.0.1:{web.port}"
        tab.open(f"{home}/operator")
        tab.type("#password", PASSWORD)
        tab.press("main form button")
        assert tab.address == "/operator"
        found = []
        for path in PAGES[:2]:
            for width, scheme in ((375, "light"), (375, "dark"), (1280, "light"), (1280, "dark")):
                tab.look(width, scheme)
                tab.open(home + path)
                found += [(path, width, "too wide")] * (tab.too_wide > 0)
                if AXE.is_file():
                    found += [(path, width, scheme, each) for each in tab.barriers()]
        assert not found
        assert tab.errors == []
        assert tab.run("document.querySelector('iframe').getBoundingClientRect().height > 300")
        assert tab.hosts == {f"127.0.0.1:{web.port}"}
    store.close()


def test_workers_are_shown_with_their_state(store):
    if store.is_sqlite:
        pytest.skip("workers need PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
    with store.begin() as tx:
        leases.heartbeat(tx, "afar/7/b/w2", "worker", NOW)
        leases.heartbeat(tx, "here/8/c/w1", "worker", NOW - timedelta(minutes=8))
    with served(operator_app(store, Clock(), operator_password=PASSWORD)) as web:
        table = Operator(web).get().soup.find("section", attrs={"aria-labelledby": "workers"})
    cells = [[" ".join(cell.text.split()) for cell in row(("th", "td"))] for row in table("tr")]
    assert [(row[0], row[1]) for row in cells[1:]] == [("w2 afar", "alive"), ("w1 here", "silent")]
    assert "No open tasks." in table.text


def test_the_log_says_what_was_done_by_whom_and_when(operator: Operator, store):
    done = OperatorAction(
        "1" * 32, NOW, "ada", "5e551011", ActionKind.SEND_TEST, "stars <x>", {}, {"state": "x"}
    )
    with store.begin() as tx:
        for number in range(101):
            actions.record(tx, replace(done, id=f"{number:032x}"))
    page = operator.get("/operator/log")
    assert len(page.soup.select("article.card")) == 100
    card = page.soup.select_one("article.card")
    assert "Send test mail stars <x> · by ada" in " ".join(card.get_text().split())
    assert "2025-09-25 06:00 UTC" in card.get_text()
    assert card.find("form") is None
    assert len(operator.get("/operator/log?page=2").soup.select("article.card")) == 1
    for odd in ("0", "-3", "x", "9" * 40, "²"):
        assert operator.get(f"/operator/log?page={quote(odd)}").status == 200
    refused = operator.press("/operator/log/undo", id="0" * 32)
    assert refused.status == 409
    assert "cannot be undone" in refused.text
    assert "no such action" in operator.press("/operator/log/undo", id="f" * 32).text
