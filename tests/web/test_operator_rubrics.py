"""The operator's pages of rubrics: list, text, versions, replay, editor, readers' own."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from newsletter.domain.announcements import ListingEntry
from newsletter.domain.model import Score
from newsletter.domain.reader_rubrics import PausedBy
from newsletter.rubrics.catalog import RubricCatalog
from newsletter.rubrics.file import DEFAULT_SCORING, parse
from newsletter.rubrics.folder import RubricFolder
from newsletter.rubrics.form import form_of, markdown
from newsletter.store import Store, leases, papers, reader_rubrics, scores, subscriptions
from newsletter.store.ledger import Account
from newsletter.store.operator import actions
from newsletter.store.operator.actions import ActionKind
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.operator.auth import SESSION_LENGTH
from tests.fakes import reader_rubrics as own
from tests.fakes import scoring
from tests.fakes.browser import Page, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import (
    NOW,
    STARS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Clock,
    application,
    issue,
    paper,
    reader,
)
from tests.web.test_operator import PASSWORD, Operator, cookie, hidden_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.store.operator.actions import OperatorAction

LIST, STARS_PAGE = "/operator/rubrics", "/operator/rubrics/stars"
EDIT, NEW = f"{STARS_PAGE}/edit", "/operator/new-rubric"
STARS_FILE = replace(STARS, scoring=DEFAULT_SCORING)
TEXT = markdown(form_of(STARS_FILE))
CLAUDE = scoring.ClaudeScorer(scoring.settings())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "rubrics"
    found.mkdir()
    (found / "stars.md").write_text(TEXT, encoding="utf-8")
    return found


def rubric_app(store: Store, folder: Path, clock: Clock | None = None, **given: Any) -> Any:
    """The application with the rubrics of a folder and of readers, and a model."""
    found = RubricCatalog(RubricFolder(folder), partial(reader_rubrics.changed_texts, store))
    app = application(store, None, clock, operator_password=SecretStr(PASSWORD), **given)
    return create_app(Site(replace(app, rubrics=found, scorer=CLAUDE)))


@pytest.fixture
def operator(store: Store, folder: Path, clock: Clock) -> Iterator[Operator]:
    with served(rubric_app(store, folder, clock, reader_rubrics=2)) as web:
        yield Operator(web)


def read(folder: Path, slug: str = "stars") -> str:
    return (folder / f"{slug}.md").read_text(encoding="utf-8")


def fields(page: Page, path: str = EDIT) -> dict[str, Any]:
    """What a browser would send of the editor's form."""
    form = page.soup.find_all("form", action=re.compile(re.escape(path)))[-1]
    found: dict[str, Any] = {}
    for box in form.find_all(["input", "textarea"]):
        if box.get("type") in ("radio", "checkbox") and not box.has_attr("checked"):
            continue
        value = box.get("value", "") if box.name == "input" else box.text.removeprefix("\n")
        found.setdefault(box["name"], []).append(value)
    return found


def send(operator: Operator, given: dict[str, Any], path: str = EDIT, **changes: str) -> Page:
    return operator.web.post(path, {**given, **changes}, **operator.headers)


def recorded(store: Store) -> list[OperatorAction]:
    with store.read() as tx:
        return actions.newest(tx, 99)


def undo(operator: Operator, page: Page) -> Page:
    sent = hidden_fields(page, "/operator/log/undo")
    return operator.web.post("/operator/log/undo", sent, **operator.headers)


def stored_day(store: Store, day: Any, marks: dict[str, tuple[int, int]]) -> None:
    """Papers of a day with scores of Stars' text, and the digest of those that reach 7 and 7."""
    found = [paper(key) for key in marks]
    with store.begin() as tx:
        papers.keep(tx, found)
        listed = [ListingEntry("astro-ph.SR", one.id) for one in found]
        papers.list_papers(tx, day, listed, late=False)
        account = Account("stars", STARS_FILE.fingerprint, CLAUDE.name, day, "")
        given = [Score(key, "m", *both) for key, both in marks.items()]
        scores.keep(tx, account, 1, given, None)
    picked = [one for one in found if min(marks[one.id]) >= 7]
    issue(store, STARS_FILE, day, [*picked, next(one for one in found if one not in picked)])


def test_the_list_has_readers_costs_and_the_faults_of_a_broken_file(
    operator: Operator, store: Store, folder: Path
):
    issue(store, STARS_FILE, WEDNESDAY, [paper("1"), paper("2")])
    issue(store, STARS_FILE, THURSDAY, [paper("3"), paper("4")])
    reader(store)
    (folder / "broken.md").write_text("---\ntitle: Broken\n---\n", encoding="utf-8")
    page = operator.get(LIST)
    rows = [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in page.soup.select("tbody tr")
    ]
    assert rows == [
        ["broken cannot be read", "0", "none", "", "$0.00"],
        ["Stars", "1", "25 Sep 2025", "$0.15", "$0.30"],
    ]
    assert "categories: missing" in page.words
    assert "All other rubrics go on." in page.words
    broken = operator.get(f"{LIST}/broken")
    assert "Criteria: none found" in broken.words
    assert "title: Broken" in broken.words
    assert operator.get(f"{LIST}/nothing").status == 404


def test_the_menu_marks_rubrics_on_their_pages_too(operator: Operator):
    for path in (LIST, STARS_PAGE, f"{STARS_PAGE}/edit"):
        marked = operator.get(path).soup.select("nav [aria-current]")
        assert [one.get_text() for one in marked] == ["Rubrics"], path


def test_every_button_of_the_editor_leads_to_the_editor(operator: Operator):
    for path in (EDIT, NEW):
        buttons = operator.get(path).soup.find("main").select("[formaction]")
        leads = {one["formaction"].partition("#")[0] for one in buttons}
        assert leads == {path}


def test_versions_have_their_dates_costs_and_changes(operator: Operator, store: Store):
    lower = replace(STARS_FILE, relevance=5)
    for day, rubric in ((TUESDAY, STARS_FILE), (WEDNESDAY, STARS_FILE), (THURSDAY, lower)):
        issue(store, rubric, day, [paper(f"{day}-1"), paper(f"{day}-2")])
    page = operator.get(STARS_PAGE)
    rows = [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in page.soup.select("tbody tr")
    ]
    assert rows == [
        ["25 Sep 2025", "1", "2.0", "$0.15", "$0.15"],
        ["23 Sep 2025 to 24 Sep 2025", "2", "1.0", "$0.15", "$0.30"],
    ]
    changed = page.soup.select(".diff .added, .diff .removed")
    assert [one.get_text() for one in changed] == ["- relevance: 7", "+ relevance: 5"]


def test_replay_says_what_other_cut_offs_would_have_picked_and_stores_nothing(
    operator: Operator, store: Store
):
    stored_day(store, WEDNESDAY, {"1": (9, 8), "2": (6, 9), "3": (2, 2)})
    stored_day(store, THURSDAY, {"4": (9, 9), "5": (7, 7), "6": (6, 6)})
    page = operator.get(f"{STARS_PAGE}?relevance=6&novelty=8")
    assert "1 gained, 1 lost, 2 kept on 2 stored days" in page.words
    [gained] = [one for one in page.soup.select("li") if "Gained" in one.get_text()]
    assert "Paper 2" in gained.get_text()
    assert "relevance 6, novelty 9" in gained.get_text()
    assert page.soup.select_one("#relevance option[selected]").get_text() == "6"
    for odd in ("?relevance=0", "?novelty=x", "?relevance=11&novelty=7"):
        assert "gained" not in operator.get(f"{STARS_PAGE}{odd}").words
    assert recorded(store) == []


def test_the_form_saves_a_file_and_undo_brings_the_former_text_back(
    operator: Operator, store: Store, folder: Path, clock: Clock
):
    given = fields(operator.get(EDIT))
    answer = send(operator, given, action="save", relevance="5", title="Cold stars")
    assert answer.status == 303
    page = operator.get(answer.headers["location"])
    assert "Saved. The next digest is made with this text." in page.words
    assert page.soup.h1.get_text() == "Cold stars"
    saved = parse(read(folder), "stars", "stars.md")
    assert saved == replace(STARS_FILE, relevance=5, title="Cold stars")
    [action] = recorded(store)
    assert (action.kind, action.subject) == (ActionKind.SAVE_RUBRIC, "stars")
    assert action.before["text"] == TEXT
    log = operator.get("/operator/log").soup
    changed = [one.get_text() for one in log.select(".diff .added, .diff .removed")]
    assert changed[0] == '- title: "Stars"'
    assert "+ relevance: 5" in changed
    assert undo(operator, page).status == 303
    assert read(folder) == TEXT
    clock.at += timedelta(minutes=1)
    assert "undone before" in undo(operator, page).words


def test_undo_is_refused_after_the_file_was_edited(operator: Operator, folder: Path):
    given = fields(operator.get(EDIT))
    page = operator.get(send(operator, given, action="save", novelty="5").headers["location"])
    (folder / "stars.md").write_text(TEXT + "\n", encoding="utf-8")
    refused = undo(operator, page)
    assert refused.status == 409
    assert "changed this after the action" in refused.words
    assert read(folder) == TEXT + "\n"


def test_the_text_editor_keeps_comments_and_says_each_fault(operator: Operator, folder: Path):
    commented = TEXT.replace("## Criteria", "## Criteria\n\n<!-- a note -->")
    (folder / "stars.md").write_text(commented, encoding="utf-8")
    assert "which this form cannot keep" in operator.get(EDIT).words
    given = fields(operator.get(f"{EDIT}?as=text"))
    assert given["text"] == [commented]
    wrong = send(
        operator, given, action="save", text=commented.replace("relevance: 7", "relevance: 70")
    )
    assert wrong.status == 422
    assert "70 is not between 1 and 10" in wrong.words
    assert "relevance: 70" in fields(wrong)["text"][0]
    assert read(folder) == commented
    good = commented.replace("relevance: 7", "relevance: 6").replace("\n", "\r\n")
    assert send(operator, given, action="save", text=good).status == 303
    assert read(folder) == commented.replace("relevance: 7", "relevance: 6")


def test_a_broken_file_is_edited_as_text(operator: Operator, folder: Path):
    (folder / "stars.md").write_text("no front matter", encoding="utf-8")
    page = operator.get(EDIT)
    assert "the front matter is missing" in page.words
    given = fields(page)
    assert send(operator, given, action="save", text=TEXT).status == 303
    assert read(folder) == TEXT


def test_check_rearrange_and_preview_save_nothing(operator: Operator, store: Store, folder: Path):
    stored_day(store, THURSDAY, {"4": (9, 9), "5": (7, 7), "6": (6, 6)})
    given = fields(operator.get(EDIT))
    assert "No fault was found" in send(operator, given, action="check").words
    more = send(operator, given, action="add")
    assert len(fields(more)["criterion_title"]) == len(given["criterion_title"]) + 1
    lower = send(operator, given, action="preview", relevance="6", novelty="6")
    assert "1 gained, 0 lost, 2 kept on 1 stored day" in lower.words
    assert fields(lower)["relevance"] == ["6"]
    other = send(
        operator, given | {"criterion_title": ["Warm stars", "Old stars"]}, action="preview"
    )
    assert "no paper was read with this text yet" in other.words
    assert re.search(r"A day of it would cost at most \$0\.\d+", other.words)
    given["criterion_title"] = ["Cold stars", "Old stars"]
    missing = send(operator, given, action="save", title="")
    assert missing.status == 422
    assert "Nothing was saved" in missing.words
    same = send(operator, given, action="save")
    assert "has this text already" in same.words
    assert read(folder) == TEXT
    assert recorded(store) == []


def test_a_double_click_saves_once(operator: Operator, store: Store, folder: Path):
    given = fields(operator.get(EDIT)) | {"action": "save", "novelty": "5"}
    answers = [send(operator, given) for _ in range(2)]
    assert [one.status for one in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert len(recorded(store)) == 1
    assert "novelty: 5" in read(folder)


@pytest.mark.parametrize("by", ["operator", "editor"])
def test_a_file_that_was_changed_meanwhile_is_not_overwritten_unseen(
    operator: Operator, folder: Path, by: str
):
    mine = fields(operator.get(EDIT))
    if by == "operator":
        other = Operator(operator.web)
        theirs = fields(other.get(EDIT))
        assert send(other, theirs, action="save", novelty="5").status == 303
    else:
        changed = TEXT.replace("novelty: 7", "novelty: 5")
        (folder / "stars.md").write_text(changed, encoding="utf-8")
    page = send(operator, mine, action="save", relevance="4")
    assert page.status == 409
    assert "The file was changed after you opened it" in page.words
    assert ("by password login" in page.words) == (by == "operator")
    shown = [one.get_text() for one in page.soup.select(".diff .added, .diff .removed")]
    assert sorted(shown) == ["+ novelty: 7", "+ relevance: 4", "- novelty: 5", "- relevance: 7"]
    assert "novelty: 5" in read(folder)
    again = fields(page)
    assert again["relevance"] == ["4"]
    assert send(operator, again, action="save").status == 303
    assert "relevance: 4\nnovelty: 7" in read(folder)


@pytest.mark.parametrize("action", ["check", "save"])
def test_what_was_typed_stays_where_the_file_was_deleted_meanwhile(
    operator: Operator, folder: Path, action: str
):
    mine = fields(operator.get(EDIT)) | {"novelty": "5"}
    (folder / "stars.md").unlink()
    page = send(operator, mine, action=action)
    again = fields(page)
    assert again["novelty"] == ["5"]
    assert not (folder / "stars.md").exists()
    if action == "save":
        assert page.status == 409
        assert "The file was deleted after you opened it" in page.words
        assert send(operator, again, action="save").status == 303
        assert "novelty: 5" in read(folder)


def test_what_was_typed_stays_after_another_login(operator: Operator, store: Store, folder: Path):
    typed = fields(operator.get(EDIT)) | {"action": "save", "novelty": "5"}
    again = Operator(operator.web)
    page = send(again, typed)
    assert page.status == 403
    assert "This form was opened in an earlier login" in page.words
    assert (read(folder), recorded(store)) == (TEXT, [])
    assert send(again, fields(page), action="save").status == 303
    assert "novelty: 5" in read(folder)


def test_what_was_typed_stays_where_the_session_ended(
    operator: Operator, store: Store, folder: Path, clock: Clock
):
    text = TEXT.replace("Cold stars", 'Стары "x" <b> & \U0001f31f עברית').replace("\n", "\r\n")
    typed = fields(operator.get(f"{EDIT}?as=text")) | {"action": "save", "text": text}
    clock.at += SESSION_LENGTH
    login = "/operator/login"
    page = send(operator, typed)
    assert page.status == 403
    assert "nothing that you typed is lost" in page.words
    page = operator.web.post(login, fields(page, login) | {"password": "a wrong one"})
    assert page.status == 403
    page = operator.web.post(login, fields(page, login) | {"password": PASSWORD})
    assert "You are logged in again" in page.words
    assert (read(folder), recorded(store)) == (TEXT, [])
    again = fields(page)
    assert again["text"] == [text.replace("\r\n", "\n")]
    saved = operator.web.post(EDIT, again, Cookie=cookie(page))
    assert saved.status == 303
    assert read(folder) == text.replace("\r\n", "\n")


def test_a_login_leads_to_the_page_that_was_asked_for(operator: Operator):
    page = operator.web.get(EDIT)
    for to, leads_to in ((EDIT, EDIT), ("//example.org", "/operator"), ("/subscribe", "/operator")):
        sent = fields(page, "/operator/login") | {"password": PASSWORD}
        assert sent["to"] == [EDIT]
        answer = operator.web.post("/operator/login", sent | {"to": to})
        assert (answer.status, answer.headers["location"]) == (303, leads_to)


def test_a_login_keeps_the_query_and_leads_to_no_other_site(operator: Operator):
    asked = f"{EDIT}?as=text&q=a%20b"
    page = operator.web.get(asked)
    sent = fields(page, "/operator/login") | {"password": PASSWORD}
    assert sent["to"] == [asked]
    evil = (
        *("//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example"),
        *("/operator\r\nSet-Cookie: a=b", "/operator?a\r\nb", "/operator\\@evil.example"),
        *("/operator@evil.example", "/operator/../x", " /operator", "/operator#x", "javascript:1"),
    )
    for to in (asked, *evil):
        answer = operator.web.post("/operator/login", sent | {"to": to})
        leads_to = asked if to == asked else "/operator"
        assert (answer.status, answer.headers["location"]) == (303, leads_to), to
        assert answer.headers["set-cookie"].startswith("newsletter_operator="), to


def test_a_link_that_leads_to_itself_is_said(operator: Operator, folder: Path):
    given = fields(operator.get(EDIT)) | {"action": "save", "novelty": "5"}
    (folder / "stars.md").unlink()
    (folder / "stars.md").symlink_to("stars.md")
    for page in (operator.get(EDIT), send(operator, given)):
        assert page.status == 409
        assert "stars.md cannot be read" in page.words
    assert operator.get(STARS_PAGE).status == 200


def test_of_two_operators_who_save_at_once_one_is_told(
    operator: Operator, store: Store, folder: Path
):
    other = Operator(operator.web)
    mine, theirs = (fields(one.get(EDIT)) | {"action": "save"} for one in (operator, other))
    mine["novelty"], theirs["relevance"] = ["5"], ["4"]
    with ThreadPoolExecutor(2) as pool:
        with store.begin() as tx:
            actions.lock(tx)
            both = [pool.submit(send, *one) for one in ((operator, mine), (other, theirs))]
            time.sleep(0.3)
            assert not any(one.done() for one in both)
        answers = [one.result() for one in both]
    assert sorted(one.status for one in answers) == [303, 409]
    [told] = [one for one in answers if one.status == 409]
    assert "The file was changed after you opened it" in told.words
    assert ("novelty: 5" in read(folder)) == (answers[0].status == 303)
    assert ("relevance: 4" in read(folder)) == (answers[1].status == 303)
    assert len(recorded(store)) == 1


def test_a_wrong_token_a_missing_id_and_a_get_save_nothing(
    operator: Operator, store: Store, folder: Path
):
    given = fields(operator.get(EDIT)) | {"action": "save", "novelty": "5"}
    for wrong in ({"token": "0" * 64}, {"token": ""}):
        assert send(operator, given | wrong).status == 403
        assert send(operator, given | wrong | {"name": "x"}, NEW).status == 403
    assert send(operator, given, form="x").status == 400
    assert Operator(operator.web).web.get(EDIT).soup.find("input", type="password")
    assert operator.web.post(EDIT, given).status == 403
    operator.get(f"{EDIT}?action=save&novelty=5")
    assert read(folder) == TEXT
    assert recorded(store) == []


def test_a_folder_that_cannot_be_written_is_said_and_what_was_typed_stays(
    operator: Operator, store: Store, folder: Path
):
    given = fields(operator.get(f"{NEW}?as=text"), NEW) | {"text": TEXT, "action": "save"}
    edited = fields(operator.get(EDIT)) | {"action": "save"}
    (folder / "stars.md").unlink()
    (folder / "stars.md").mkdir()
    refused = send(operator, edited, novelty="5")
    assert refused.status == 409
    assert "stars.md cannot be read" in refused.words
    assert operator.get(EDIT).status == 409
    assert operator.get(STARS_PAGE).status == 200
    (folder / "stars.md").rmdir()
    folder.rmdir()
    page = send(operator, given, NEW, name="dwarfs")
    assert page.status == 409
    assert f"The folder {folder} is not there" in page.words
    assert "mount the folder writable" in page.words
    assert fields(page, NEW)["text"] == [TEXT]
    assert recorded(store) == []


def test_a_new_rubric_is_a_new_file_and_undo_deletes_it(
    operator: Operator, store: Store, folder: Path
):
    page = operator.get(NEW)
    given = fields(page, NEW) | {
        "title": "Dwarfs",
        "category": "astro-ph.GA",
        "criterion_title": "Dwarf galaxies",
        "action": "save",
    }
    for name, said in (("", "Use a-z"), ("own-abc", "are taken"), ("stars", "already")):
        refused = send(operator, given, NEW, name=name)
        assert refused.status == 422
        assert said in refused.words
        assert fields(refused, NEW)["title"] == ["Dwarfs"]
    answer = send(operator, given, NEW, name="dwarfs")
    assert answer.status == 303
    made = operator.get(answer.headers["location"])
    assert made.soup.h1.get_text() == "Dwarfs"
    assert parse(read(folder, "dwarfs"), "dwarfs", "x").categories == ("astro-ph.GA",)
    person = reader(store, rubric="dwarfs")
    kept = undo(operator, made)
    assert kept.status == 409
    assert "The rubric has 1 reader, who would get no digest" in kept.words
    assert read(folder, "dwarfs")
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "reply", NOW)
    undo(operator, made)
    assert [one.name for one in folder.iterdir()] == ["stars.md"]
    text = fields(operator.get(f"{NEW}?as=text"), NEW)
    assert send(operator, text, NEW, action="save", name="other").status == 422


def test_other_machines_are_named(operator: Operator, store: Store):
    with store.begin() as tx:
        leases.heartbeat(tx, "afar/7/b/w2", "worker", NOW)
        leases.heartbeat(tx, "gone/8/c/w1", "worker", NOW - timedelta(hours=1))
    words = operator.get(EDIT).words
    assert "also runs on afar." in words
    assert "gone" not in words


def test_a_readers_rubric_is_paused_with_a_reason_and_resumed(operator: Operator, store: Store):
    person = own.add_reader(store, 1)
    slug = own.save_rubric(store, person, own.text("My dwarfs"))
    page = operator.get(LIST)
    assert "1 saved 1 active $0.00 spent today $0.00 this month" in page.words
    assert "My dwarfs" in page.words
    assert "everything about them" not in page.text
    refused = operator.press(LIST, LIST, id=slug, action="pause", reason=" ")
    assert refused.status == 409
    assert "Say why" in refused.words
    stale = hidden_fields(page, LIST, slug) | {"action": "pause", "reason": "other"}
    done = operator.press(LIST, LIST, id=slug, action="pause", reason="costs <b>too</b> much")
    page = operator.get(done.headers["location"])
    assert "Paused. Its reader sees the reason." in page.words
    assert "Paused by you: costs <b>too</b> much" in page.words
    with store.read() as tx:
        known = reader_rubrics.by_slug(tx, slug)
    assert known
    assert (known.paused_by, known.reason) == ((PausedBy.OPERATOR,), "costs <b>too</b> much")
    late = operator.web.post(LIST, stale, **operator.headers)
    assert late.status == 409
    assert "Someone changed this" in late.words
    twice = hidden_fields(page, LIST, slug) | {"action": "resume"}
    assert [operator.web.post(LIST, twice, **operator.headers).status for _ in "ab"] == [303, 303]
    resumed = operator.get(f"{LIST}?done={twice['form']}")
    assert "Resumed." in resumed.words
    assert [one.kind for one in recorded(store)].count(ActionKind.RESUME_RUBRIC) == 1
    assert undo(operator, resumed).status == 303
    with store.read() as tx:
        known = reader_rubrics.by_slug(tx, slug)
    assert known
    assert known.reason == "costs <b>too</b> much"
    wrong = {"id": slug, "action": "pause", "reason": "x", "token": "0" * 64}
    assert operator.web.post(LIST, wrong, **operator.headers).status == 403


def sent_with_wrong_token(tab: Tab) -> None:
    """The form of another session saves nothing, and the page is opened anew."""
    tab.choose("#novelty-2")
    tab.type("main input[name=token]", "0" * 64)
    tab.press("button[value=save]")
    assert "This form was opened in an earlier login" in tab.words
    tab.open("http://" + tab.run("location.host") + EDIT)


def problems_of_pages(tab: Tab, home: str) -> list[object]:
    """What is wider than the window, and what axe-core finds, with all details open."""
    found: list[object] = []
    for path in (LIST, f"{STARS_PAGE}?relevance=5", f"{LIST}/broken", EDIT, f"{EDIT}?as=text", NEW):
        for width, scheme in ((320, "light"), (375, "dark"), (1280, "light")):
            tab.look(width, scheme)
            tab.open(home + path)
            tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
            found += [(path, width, "too wide")] * (tab.too_wide > 0)
            if AXE.is_file():
                found += [(path, width, scheme, each) for each in tab.barriers()]
    return found


@pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
def test_two_operators_edit_in_a_real_browser_without_scripts(tmp_path: Path, folder: Path):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    stored_day(store, WEDNESDAY, {"1": (9, 8), "2": (6, 9), "3": (2, 2)})
    stored_day(store, THURSDAY, {"4": (9, 9), "5": (7, 7), "6": (6, 6)})
    own.save_rubric(store, own.add_reader(store, 1), own.text("unbreakable" * 9))
    (folder / "broken.md").write_text("---\ntitle: Broken\n---\n", encoding="utf-8")
    with (
        served(rubric_app(store, folder, reader_rubrics=2)) as web,
        chromium(tmp_path / "profile") as pipe,
    ):
        home = f"http://127.0.0.1:{web.port}"
        first, second = Tab(pipe), Tab(pipe)
        first.open(f"{home}/operator")
        first.type("#password", PASSWORD)
        first.press("main form button")
        assert problems_of_pages(first, home) == []
        for tab in (first, second):
            tab.look(375)
            tab.forbid_scripts()
            tab.open(home + EDIT)
        sent_with_wrong_token(second)
        second.choose("#relevance-4")
        first.choose("#novelty-5")
        first.press("button[value=preview]")
        assert "gained" in first.words
        first.press_twice("button[value=save]")
        assert "Saved." in first.words
        assert "novelty: 5" in read(folder)
        assert len(recorded(store)) == 1
        second.press("button[value=save]")
        assert "The file was changed after you opened it" in second.words
        assert second.run("document.activeElement.id") == "status"
        assert second.too_wide == 0
        second.press("button[value=save]")
        assert "Saved." in second.words
        assert "relevance: 4\nnovelty: 7" in read(folder)
        second.press("form[action='/operator/log/undo'] button")
        assert "novelty: 5" in read(folder)
        first.open(home + LIST)
        first.type("#reason-1", "it costs too much")
        first.press_twice("button[value=pause]")
        assert len(recorded(store)) == 3
        assert "Paused by you: it costs too much" in first.words
        refused = ("status of 409", "status of 403")
        told = [
            each for each in first.errors + second.errors if not any(r in each for r in refused)
        ]
        assert told == []
        assert first.hosts | second.hosts == {f"127.0.0.1:{web.port}"}
    store.close()
