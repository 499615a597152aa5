"""Import of a subscribers file on the operator's page: preview, confirm, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from newsletter.domain.subscriber_csv import read_subscribers
from newsletter.mailers import SendError, SendFailure
from newsletter.store import Store, subscriber_import, subscribers, subscriptions
from newsletter.store.operator.actions import ActionKind
from newsletter.store.tables import metadata, subscriber
from newsletter.web.app import create_app
from newsletter.web.forms import MAX_UPLOAD
from newsletter.web.operator import reader_import
from tests.fakes.browser import served
from tests.fakes.operators import Person, filled_in, form_fields, recorded
from tests.fakes.pages import NOW, Clock, Mailbox, make_site, reader
from tests.fakes.pages import stored as stored_first
from tests.fakes.rubric_pages import post_files
from tests.web.test_operator import PASSWORD, cookie, log_in

if TYPE_CHECKING:
    from tests.fakes.browser import Page

IMPORT = "/operator/readers/import"
NEW = b"email,rubric,name\nnew@example.org,stars,Ann\nother@example.org,models,\n"


def rows(store: Store) -> dict[str, object]:
    with store.read() as tx:
        return {table.name: tx.execute(select(table)).all() for table in metadata.sorted_tables}


def send(who: Person, fields: dict[str, str | bytes]) -> Page:
    return post_files(who.web, IMPORT, fields, **who.headers)


def upload(who: Person, data: bytes, **options: str) -> Page:
    """Send the first form, as a browser does."""
    fields = {name: str(value) for name, value in form_fields(who.get(IMPORT), IMPORT).items()}
    return send(who, {**fields, **options, "file": data})


def form(page: Page, action: str = "import") -> dict[str, str]:
    """The fields of the form that imports, or of that which reads the file again ("read")."""
    for found in page.soup.find_all("form", action=IMPORT):
        fields = {name: str(value) for name, value in filled_in(found).items()}
        if fields.get("action", "read") == action:
            return fields
    raise AssertionError(page.words)


def people(store: Store) -> dict[str, tuple[str, ...]]:
    """The rubrics of each address, with its state."""
    with store.read() as tx:
        emails = list(tx.execute(select(subscriber.c.email)).scalars())
        found = {email: subscriptions.of_address(tx, email) for email in emails}
    return {
        email: tuple(sorted(f"{one.rubric} {one.state.value}" for one in read))
        for email, read in found.items()
    }


def test_a_file_is_previewed_then_imported(store: Store, ada: Person, mailbox: Mailbox) -> None:
    known, left = reader(store, email="known@example.org"), reader(store, email="left@example.org")
    reader(store, email="same@example.org")
    with store.begin() as tx:
        subscriptions.leave(tx, left.id, "one-click", NOW)
        subscriptions.set_preferences(tx, known.id, {"timezone": "Asia/Tokyo"}, NOW)
    before = rows(store)
    data = NEW + (
        b"known@example.org,models,Kim\nleft@example.org,stars,\nsame@example.org,stars,\n"
        b"no address,stars,\nx@example.org,nothing,\n"
    )
    page = upload(ada, data, consent="asked at the fair")
    assert page.status == 200
    assert "3 added, 0 updated, 1 unchanged, 1 suppressed, 2 refused" in page.words
    assert "Line 2: new@example.org" in page.words
    assert "Line 4: known@example.org : rubrics stars -> stars models; name" in page.words
    assert "Line 5: left@example.org" in page.words
    assert "Line 7: email:" in page.words
    assert "Line 8: rubric: 'nothing' is not known" in page.words
    assert rows(store) == before

    done = ada.shown(send(ada, form(page)))
    assert "Done: import readers." in done.words
    assert people(store) == {
        "known@example.org": ("models active", "stars active"),
        "left@example.org": ("stars unsubscribed",),
        "new@example.org": ("stars active",),
        "other@example.org": ("models active",),
        "same@example.org": ("stars active",),
    }
    assert mailbox.mails == []
    [action] = recorded(store)
    assert (action.kind, action.operator, action.at) == (ActionKind.IMPORT_READERS, "ada", NOW)
    assert "@" not in str(action)
    log = ada.get("/operator/log").words
    assert "Import readers readers · by ada" in log
    assert "added: none → 3" in log
    assert "refused: none → 2" in log


def test_the_page_does_what_the_command_does(store: Store, ada: Person) -> None:
    """The same rows, as `subscribers import` reads and saves them."""
    person = reader(store, email="known@example.org")
    with store.begin() as tx:
        subscriptions.set_preferences(tx, person.id, {"max_papers": 3}, NOW)
    data = (
        "email;rubric;name;timezone;send_at;days;max_papers;format\r\n"
        "known@example.org;stars;Kim;Europe/Berlin;06:30;mon-wed;9;brief\r\n"
        "unal@example.org;models;Ünal;;;;;\r\n"
    ).encode("utf-16")
    found = read_subscribers(data, {"stars", "models"})
    with store.begin() as tx:
        trial = tx.begin_nested()
        expected = subscriber_import.save_all(tx, found.rows, "asked", NOW)
        by_command = [subscriptions.of_address(tx, row.email) for row in found.rows]
        trial.rollback()
    ada.shown(send(ada, form(upload(ada, data, consent="asked"))))
    with store.read() as tx:
        by_page = [subscriptions.of_address(tx, row.email) for row in found.rows]
    # The ids of a new subscriber are made at random.
    assert by_page[0] == by_command[0]
    assert by_page[1][0].name == by_command[1][0].name == "Ünal"
    assert by_page[0][0].max_papers == 3
    [action] = recorded(store)
    assert action.after == {one.value: number for one, number in expected.counts.items()}


def test_without_consent_new_readers_are_asked_by_mail_once(
    store: Store, ada: Person, mailbox: Mailbox
) -> None:
    page = upload(ada, NEW)
    assert "stay pending until they confirm" in page.words
    assert mailbox.mails == []
    confirm = form(page)
    done = ada.shown(send(ada, confirm))
    assert "2 asked by mail to confirm" in done.words
    assert sorted(mail.to_email for mail in mailbox.mails) == [
        "new@example.org", "other@example.org",
    ]  # fmt: skip
    assert people(store)["new@example.org"] == ("stars pending",)
    assert send(ada, confirm).status == 303
    again = ada.shown(send(ada, form(upload(ada, NEW))))
    assert "0 asked by mail to confirm" in again.words
    assert len(mailbox.mails) == 2


def test_a_mailer_that_is_down_leaves_readers_to_ask_later(ada: Person, mailbox: Mailbox) -> None:
    mailbox.fault = SendError(SendFailure.HALT, "no connection")
    done = ada.shown(send(ada, form(upload(ada, NEW))))
    assert "not everyone was asked: no connection; import the file again later" in done.words
    mailbox.fault = None
    done = ada.shown(send(ada, form(upload(ada, NEW))))
    assert "2 asked by mail to confirm" in done.words


def test_foreign_columns_are_offered_and_chosen(store: Store, ada: Person) -> None:
    data = (
        b"Email Address,First Name,Last Name,status,Member\n"
        b"a@example.org,Ada,Lovelace,subscribed,9\nb@example.org,Bo,Berg,cleaned,8\n"
    )
    page = upload(ada, data, consent="asked")
    assert page.status == 422
    assert "choose one, or the column that names it below" in page.words
    assert "not used: status, member" in page.words.lower()
    again = form(page, "read")
    assert (again["column-email"], again["column-name"], again["column-name-2"]) == ("0", "1", "2")
    assert again["column-rubric"] == ""
    page = send(ada, {**again, "rubric": "stars", "ignore": "yes"})
    assert "1 added" in page.words
    assert "column 'status' says 'cleaned': this person left" in page.words
    otherwise = send(ada, {**form(page, "read"), "column-name": "2", "column-name-2": ""})
    ada.shown(send(ada, form(otherwise)))
    assert people(store) == {"a@example.org": ("stars active",)}
    with store.read() as tx:
        assert subscriptions.of_address(tx, "a@example.org")[0].name == "Lovelace"
    both = send(ada, {**again, "column-rubric": "3", "rubric": "stars", "ignore": "yes"})
    assert "choose this or a column, not both" in both.words
    none = send(ada, {**again, "column-email": "", "rubric": "stars", "ignore": "yes"})
    assert "choose the column with the addresses" in none.words
    odd = send(ada, {**again, "column-email": "99999", "rubric": "own-x", "ignore": "yes"})
    assert odd.status == 422


def test_what_a_reader_chose_stays_unless_it_is_overwritten(store: Store, ada: Person) -> None:
    person = reader(store, email="known@example.org")
    with store.begin() as tx:
        subscriptions.set_preferences(tx, person.id, {"timezone": "Asia/Tokyo"}, NOW)
    data = b"email,rubric,timezone\nknown@example.org,stars,UTC\n"
    page = upload(ada, data, consent="x")
    assert "timezone stays Asia/Tokyo, as the reader chose" in page.words
    page = send(ada, {**form(page, "read"), "overwrite": "yes"})
    assert "timezone Asia/Tokyo -> UTC" in page.words
    ada.shown(send(ada, form(page)))
    found = stored_first(store, person)
    assert found
    assert found.timezone == "UTC"


def test_a_preview_that_is_out_of_date_imports_nothing(
    store: Store, ada: Person, bo: Person
) -> None:
    person = reader(store, email="known@example.org")
    data = NEW + b"known@example.org,stars,Kim\n"
    old, theirs = (form(upload(one, data, consent="x")) for one in (ada, bo))
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "one-click", NOW)
    before = rows(store)
    page = send(ada, old)
    assert page.status == 409
    assert "Something changed after this preview was made, so nothing was imported" in page.words
    assert "2 added, 0 updated, 0 unchanged, 1 suppressed" in page.words
    assert rows(store) == before
    done = ada.shown(send(ada, form(page)))
    assert "Done: import readers." in done.words
    late = send(bo, theirs)
    assert late.status == 409
    assert "The last action here: import readers, by ada" in late.words
    for change in ({"consent": "y"}, {"overwrite": "yes"}, {"stamp": ""}):
        assert send(bo, {**form(late), **change}).status == 409
    assert len(recorded(store)) == 1


def test_a_change_that_the_import_does_not_touch_does_not_refuse_it(
    store: Store, ada: Person
) -> None:
    person = reader(store, email="bystander@example.org")
    page = upload(ada, NEW, consent="x")
    with store.begin() as tx:
        subscribers.pause(tx, person.subscriber_id, "preferences page", NOW)
    assert send(ada, form(page)).status == 303


def test_a_form_counts_once(store: Store, ada: Person, bo: Person, mailbox: Mailbox) -> None:
    mine, theirs = (form(upload(one, NEW)) for one in (ada, bo))
    sent = [(ada, mine), (ada, mine), (bo, theirs)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda one: send(*one), sent))
    # Whoever comes first imports; a double click of theirs leads to the same page.
    statuses = [one.status for one in answers]
    assert statuses in ([303, 303, 409], [409, 409, 303])
    assert len(recorded(store)) == 1
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "choose a file"),
        (b"\n\n", "the file is empty; its first line names the columns"),
        (b"a@example.org,stars\n", "the file has no header"),
        (b"email,rubric\na@example.org,stars\xff\n", "not UTF-8"),
        (b'email,rubric\na@example.org,"stars\n', "not readable as CSV from here"),
        (b"email,rubric\nno address,stars\n", "no line can be imported"),
        (b",".join(b"c%d" % number for number in range(201)), "it has 201 columns"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_imported(store: Store, ada: Person, data: bytes, says: str) -> None:
    before = rows(store)
    options = {"ignore": "yes", "rubric": ""}
    page = upload(ada, data, **options)
    assert page.status == 422
    assert says in page.words
    assert rows(store) == before


def test_a_file_has_a_size(store: Store, ada: Person) -> None:
    line = b"reader%06d@example.org,stars\n"
    head = b"email,rubric\n"
    many = head + b"".join(line % number for number in range(reader_import.MAX_ROWS + 1))
    page = upload(ada, many, consent="x")
    assert page.status == 422
    assert "this page imports 20,000" in page.words
    huge = upload(ada, b"x" * (MAX_UPLOAD + 1))
    assert huge.status == 413
    bomb = reader_import.packed(b"email,rubric\n" + b"\n" * (MAX_UPLOAD + 1))
    assert len(bomb) < 20_000
    fields = {**form(upload(ada, NEW)), "packed": bomb}
    assert "choose a file" in send(ada, fields).words
    for broken in ("é", "AAAA", "x" * 99):
        assert send(ada, {**fields, "packed": broken}).status == 422
    assert recorded(store) == []


def test_text_of_a_file_stays_text(ada: Person) -> None:
    name = "<script>alert(1)</script>\u202e\x1b[31m"
    data = f'email,rubric,"<b>x</b>"\n"{name}",stars,\n'.encode()
    page = upload(ada, data, ignore="yes")
    assert not page.soup.find(["script", "b"])
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text


def test_an_upload_needs_the_session_and_its_token(store: Store) -> None:
    clock = Clock()
    site = make_site(store, None, clock, operator_password=SecretStr(PASSWORD))
    with served(create_app(site)) as web:
        one = Person(web, "")
        one.headers = {"Cookie": cookie(log_in(web))}
        confirm = form(upload(one, NEW, consent="x"))
        stranger = post_files(web, IMPORT, {**confirm, "file": NEW})
        assert stranger.status == 403
        assert "packed" not in stranger.text
        login = {**form_fields(stranger, "/operator/login"), "password": PASSWORD}
        again = web.post("/operator/login", login)
        assert again.headers["location"] == IMPORT
        asked = send(one, {**confirm, "token": "0" * 64})
        assert asked.status == 403
        assert "This form was opened in an earlier login" in asked.words
        [kept] = asked.soup.find_all("form", action=IMPORT)
        assert kept["enctype"] == "multipart/form-data"
        assert recorded(store) == []
        assert "packed" not in asked.soup.find("dl").get_text()
        fields = {name: str(value) for name, value in filled_in(kept).items()}
        assert send(one, fields).status == 303
    assert people(store)["new@example.org"] == ("stars active",)
