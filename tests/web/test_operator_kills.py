"""SIGKILL before each write to the database or the folder while an operator changes a rubric file.

Afterwards the file is whole, and the log says of it what is true.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from sqlalchemy import delete, event

from newsletter.operations.rubric_changes import settle
from newsletter.rubrics.folder import RubricFolder
from newsletter.rubrics.save import LEFT_AFTER, RubricText, read_text
from newsletter.store import Store
from newsletter.store.operator import actions
from newsletter.store.tables import operator_action
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.operator import auth
from newsletter.web.operator.actions import stamp
from newsletter.web.operator.auth import OperatorSession
from tests.fakes.operators import HEADER, recorded
from tests.fakes.pages import NOW, application
from tests.web.test_operator_rubrics import TEXT
from tests.web.test_rubric_kills import Countdown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.applications import Starlette

OTHER = TEXT.replace("novelty: 7", "novelty: 5")
SAVE = {"as": "text", "action": "save", "text": OTHER}
EDIT, DELETE = "/operator/rubrics/stars/edit", "/operator/rubrics/stars/delete"
UNDO = "/operator/log/undo"
ADA = OperatorSession(f"{HEADER}: ada", by_cookie=False, operator="ada")
LATER = NOW + timedelta(minutes=2)
WRITES = ("os.rename", "os.remove")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "rubrics"
    found.mkdir()
    return found


def site_of(store: Store, folder: Path) -> Site:
    app = application(store, operator_header=HEADER)
    object.__setattr__(app, "rubrics", RubricFolder(folder))
    return Site(app)


def post(site: Site, path: str, fields: Mapping[str, str]) -> int:
    """The status of the answer to a form of ada's; without a server, so that a child can do it."""
    body = urlencode({**fields, "token": auth.csrf_token(site, ADA)}).encode()
    told: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, int]) -> None:
        told.extend([message["status"]] if "status" in message else [])

    form = b"application/x-www-form-urlencoded"
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(HEADER.lower().encode(), b"ada"), (b"content-type", form)],
        "client": ("127.0.0.1", 1),
    }
    web: Starlette = create_app(site)
    asyncio.run(web(scope, receive, send))  # type: ignore[arg-type]
    return told[0]


def killed(store: Store, folder: Path, after: int, path: str, fields: Mapping[str, str]) -> bool:
    """Whether a process that answers this form was killed at a step; it ended otherwise."""
    url = store.url.render_as_string(hide_password=False)
    child = os.fork()
    if child == 0:
        try:
            own, countdown = Store(url), Countdown(after)
            site = site_of(own, folder)

            def file_step(name: str, args: tuple[object, ...]) -> None:
                opened = name == "open" and args[0] and str(args[0]).startswith(str(folder))
                if opened or name in WRITES:
                    countdown.step()

            event.listen(own.engine, "after_cursor_execute", countdown.statement)
            event.listen(own.engine, "commit", lambda _: countdown.step())
            sys.addaudithook(file_step)
            post(site, path, fields)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def begin(store: Store, folder: Path) -> dict[str, str]:
    """Forget what was done, and open the form of the file as it was first."""
    with store.begin() as tx:
        tx.execute(delete(operator_action))
    for left in folder.iterdir():
        left.unlink()
    (folder / "stars.md").write_text(TEXT, encoding="utf-8")
    return {**SAVE, "form": uuid4().hex, "stamp": stamp(RubricText.of(TEXT).state)}


def told(store: Store, folder: Path) -> tuple[str, list[tuple[str, bool]]]:
    """The file, and what the log says a while later: each result, and whether it was undone."""
    settle(store, RubricFolder(folder), LATER)
    text = read_text(folder, "stars").text
    return text, [(one.result, one.undone_at is not None) for one in recorded(store)]


def test_a_killed_save_is_in_the_file_and_in_the_log_or_in_neither(store: Store, folder: Path):
    steps, seen = 0, set()
    while killed(store, folder, steps + 1, EDIT, form := begin(store, folder)):
        steps += 1
        found = told(store, folder)
        assert found in ((TEXT, []), (OTHER, [("", False)])), steps
        seen.add(found[0])
        # The browser sends the form again.
        assert post(site_of(store, folder), EDIT, form) == 303
        assert told(store, folder) == (OTHER, [("", False)])
    assert steps > 8
    assert seen == {TEXT, OTHER}
    assert told(store, folder) == (OTHER, [("", False)])


def test_a_killed_undo_is_in_the_file_and_in_the_log_or_in_neither(store: Store, folder: Path):
    steps, seen = 0, set()
    while True:
        form = begin(store, folder)
        assert post(site_of(store, folder), EDIT, form) == 303
        undo = {"id": form["form"], "back": "/log"}
        if not killed(store, folder, steps + 1, UNDO, undo):
            break
        steps += 1
        found = told(store, folder)
        assert found in ((OTHER, [("", False)]), (TEXT, [("", True)])), steps
        seen.add(found[0])
        assert post(site_of(store, folder), UNDO, undo) == 303
        assert told(store, folder) == (TEXT, [("", True)])
    assert steps > 6
    assert seen == {TEXT, OTHER}


def test_a_killed_save_is_sent_again_at_once_and_leaves_no_temporary_file(
    store: Store, folder: Path
):
    steps, left = 0, 0
    while killed(store, folder, steps + 1, EDIT, form := begin(store, folder)):
        steps += 1
        parts = list(folder.glob(".*.part"))
        left += len(parts)
        assert len(RubricFolder(folder)) == 1
        for part in parts:
            os.utime(part, (part.stat().st_mtime - 2 * LEFT_AFTER,) * 2)
        assert post(site_of(store, folder), EDIT, form) == 303
        assert [one.name for one in folder.iterdir()] == ["stars.md"]
        assert told(store, folder) == (OTHER, [("", False)])
    assert steps > 8
    assert left > 0


def test_a_killed_deletion_is_in_the_folder_and_in_the_log_or_in_neither(
    store: Store, folder: Path
):
    steps, seen = 0, set()
    while killed(store, folder, steps + 1, DELETE, form := begin(store, folder)):
        steps += 1
        found = told(store, folder)
        assert found in ((TEXT, []), ("", [("", False)])), steps
        seen.add(found[0])
        assert post(site_of(store, folder), DELETE, form) == 303
        assert told(store, folder) == ("", [("", False)])
    assert steps > 5
    assert seen == {TEXT, ""}


def test_a_file_that_was_changed_after_a_killed_save_is_told(store: Store, folder: Path):
    form = begin(store, folder)
    steps = 0
    while killed(store, folder, steps + 1, EDIT, form) and not recorded(store):
        steps += 1
        form = begin(store, folder)
    assert recorded(store)[0].result == actions.STARTED
    (folder / "stars.md").write_text(f"{TEXT}\n", encoding="utf-8")
    text, [(result, _)] = told(store, folder)
    assert (text, "changed by others since" in result) == (f"{TEXT}\n", True)
