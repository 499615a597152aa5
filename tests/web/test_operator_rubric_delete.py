"""The deletion of a rubric file on the operator's page, and what stays of the rubric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from newsletter.rubrics.form import form_of, markdown
from newsletter.store import subscribers, subscriptions
from newsletter.store.operator.actions import ActionKind
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.pages import (
    LINKS,
    NOW,
    STARS,
    THURSDAY,
    WEDNESDAY,
    issue,
    make_site,
    paper,
    reader,
)
from tests.web.test_operator import PASSWORD, Operator, hidden_fields
from tests.web.test_operator_rubrics import (
    LIST,
    STARS_FILE,
    STARS_PAGE,
    TEXT,
    clock,
    folder,
    operator,
    read,
    recorded,
    send,
    undo,
)

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.store import Store
    from tests.fakes.browser import Page

__all__ = ["clock", "folder", "operator"]

DELETE = f"{STARS_PAGE}/delete"


def press(operator: Operator, page: Page) -> Page:
    return send(operator, hidden_fields(page, DELETE), DELETE)


def test_a_rubric_that_nobody_reads_is_deleted_and_undo_writes_it_again(
    operator: Operator, store: Store, folder: Path
):
    issue(store, STARS_FILE, THURSDAY, [paper("1", "A cold one"), paper("2")])
    assert DELETE in operator.get(STARS_PAGE).links()
    page = operator.get(DELETE)
    assert "the archive keeps its issues (1)" in page.words
    assert read(folder) == TEXT
    done = press(operator, page)
    assert done.status == 303
    listed = operator.get(done.headers["location"])
    assert "Deleted. Its issues stay in the archive." in listed.words
    assert not (folder / "stars.md").exists()
    assert operator.get(STARS_PAGE).status == 404
    [action] = recorded(store)
    assert (action.kind, action.subject, action.result) == (ActionKind.DELETE_RUBRIC, "stars", "")
    assert "Stars" not in operator.web.get("/").words
    assert undo(operator, listed).status == 303
    assert read(folder) == TEXT
    assert "Stars" in operator.web.get("/").words


@pytest.mark.parametrize("state", ["active", "pending", "paused"])
def test_a_rubric_with_readers_is_not_deleted(
    operator: Operator, store: Store, folder: Path, state: str
):
    page = operator.get(DELETE)
    person = reader(store, state="pending" if state == "pending" else "active")
    if state == "paused":
        with store.begin() as tx:
            subscribers.pause(tx, person.subscriber_id, "operator", NOW)
    for refused in (operator.get(DELETE), press(operator, page)):
        assert refused.status == 409
        assert "has 1 reader, who would get no digest" in refused.words
    assert "Show its readers" in operator.get(DELETE).words
    assert "/operator/readers?rubric=stars" in operator.get(DELETE).links()
    assert (read(folder), recorded(store)) == (TEXT, [])
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "reply", NOW)
    assert press(operator, operator.get(DELETE)).status == 303


def test_a_form_that_is_late_or_pressed_twice_deletes_once(
    operator: Operator, store: Store, folder: Path
):
    late, page = operator.get(DELETE), operator.get(DELETE)
    fields = hidden_fields(page, DELETE)
    (folder / "stars.md").write_text(f"{TEXT}\n", encoding="utf-8")
    assert send(operator, fields, DELETE).status == 409
    assert read(folder) == f"{TEXT}\n"
    fields = hidden_fields(operator.get(DELETE), DELETE)
    assert [send(operator, fields, DELETE).status for _ in "ab"] == [303, 303]
    other = Operator(operator.web)
    told = press(other, late)
    assert told.status in (403, 409)
    assert len(recorded(store)) == 1


def test_a_broken_file_and_a_link_are_deleted_too(operator: Operator, folder: Path, tmp_path: Path):
    target = tmp_path / "elsewhere.md"
    target.write_text("no front matter", encoding="utf-8")
    (folder / "stars.md").unlink()
    (folder / "stars.md").symlink_to(target)
    done = press(operator, operator.get(DELETE))
    assert done.status == 303
    assert list(folder.iterdir()) == []
    assert target.read_text(encoding="utf-8") == "no front matter"
    assert operator.get(LIST).status == 200


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("broken", [True, False])
def test_the_archive_of_a_rubric_without_file_stays(
    operator: Operator, store: Store, folder: Path, *, public: bool, broken: bool
):
    rubric = replace(STARS_FILE, public=public)
    (folder / "stars.md").write_text(markdown(form_of(rubric)), encoding="utf-8")
    for day, number in ((WEDNESDAY, "1"), (THURSDAY, "3")):
        issue(store, rubric, day, [paper(number, f"Title {number}"), paper(f"{number}0")])
    home = make_site(store).local_path(LINKS.rubric_url(rubric))
    pages = [home, f"{home}2025-09/", f"{home}2025-09-25/", f"{home}feed.xml", f"{home}search?q=3"]
    pages.append(f"{home}2025-09-25.bib")
    assert [operator.web.get(one).status for one in pages] == [200] * 6
    if broken:
        (folder / "stars.md").write_text("no front matter", encoding="utf-8")
    else:
        assert press(operator, operator.get(DELETE)).status == 303
    assert [operator.web.get(one).status for one in pages] == [200] * 6
    assert "Title 3" in operator.web.get(pages[2]).words
    other = f"/archive/{'stars-' + 'a' * 24 if public else 'stars'}/"
    assert operator.web.get(other).status == 404
    assert operator.web.get("/archive/nothing/").status == 404


def test_rubrics_that_come_from_no_folder_cannot_be_deleted(store: Store):

    with served(create_app(make_site(store, operator_password=SecretStr(PASSWORD)))) as web:
        page = Operator(web).get(f"/operator/rubrics/{STARS.slug}/delete")
    assert page.status == 404
