"""The checks of `newsletter doctor` on the operator's page."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from newsletter.domain.findings import FindingState
from newsletter.operations.doctor.run import examine
from newsletter.store.operator.actions import ActionKind
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.model_calls import StillRunning
from newsletter.web.operator.doctor import CALL
from tests.fakes.browser import served
from tests.fakes.operators import HEADER, Person, form_fields, recorded
from tests.fakes.pages import NOW, Clock, application
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.store import Store

DOCTOR = "/operator/doctor"


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Site:
    folder = tmp_path / "rubrics"
    folder.mkdir()
    app = application(
        store,
        None,
        Clock(),
        operator_header=HEADER,
        database_url=SecretStr(store.url.render_as_string(hide_password=False)),
        rubrics_dir=folder,
        outbox_dir=tmp_path / "outbox",
    )
    return Site(app, patience=timedelta(minutes=5))


@pytest.fixture
def ada(site: Site) -> Iterator[Person]:
    with served(create_app(site)) as web:
        yield Person(web, "ada")


def test_the_page_says_what_the_command_says(store: Store, site: Site, ada: Person) -> None:
    before = ada.get(DOCTOR)
    assert "Findings" not in before.words
    assert recorded(store) == []
    page = ada.shown(ada.fill(before, DOCTOR, offline="yes"))
    expected = examine(site.app.settings, site.app.clock, offline=True)
    rows = [
        [" ".join(cell.get_text(" ").split()) for cell in row.find_all(["th", "td"])]
        for row in page.soup.select("table tbody tr")
    ]
    assert [row[:2] for row in rows] == [[one.check, one.state.value] for one in expected]
    for (check, _, said), one in zip(rows, expected, strict=True):
        # Free space and the database's size change from one moment to the next.
        assert check in {"disk", "database"} or said == (
            f"{one.said}; {one.fix}" if one.fix else one.said
        )
    failed = sum(one.state is FindingState.FAIL for one in expected)
    assert failed > 0
    assert f"{failed} failed" in page.words
    assert "this machine only" in page.words
    [action] = recorded(store)
    assert (action.kind, action.operator, action.at) == (ActionKind.RUN_DOCTOR, "ada", NOW)
    assert f"{failed} failed" in action.result
    assert "Run doctor doctor · by ada" in ada.get("/operator/log").words


def test_a_form_counts_once(store: Store, ada: Person) -> None:
    fields = {**form_fields(ada.get(DOCTOR), DOCTOR), "offline": "yes"}
    first, again = (ada.post(DOCTOR, fields) for _ in range(2))
    assert first.headers["location"] == again.headers["location"]
    assert len(recorded(store)) == 1
    assert ada.post(DOCTOR, {**fields, "form": "b" * 32, "stamp": "x"}).status == 409
    assert ada.web.post(DOCTOR, fields).status == 403
    assert len(recorded(store)) == 1


def test_a_second_operator_does_not_start_the_checks_again(
    store: Store, site: Site, ada: Person
) -> None:
    go_on = threading.Event()
    impatient = Site(site.app, patience=timedelta(milliseconds=1))
    with served(create_app(impatient)) as web:
        bo = Person(web, "bo")
        try:
            with pytest.raises(StillRunning):
                impatient.operator_calls.run(CALL, go_on.wait)
            assert "The checks are running." in bo.get(DOCTOR).words
            page = bo.shown(bo.fill(bo.get(DOCTOR), DOCTOR, offline="yes"))
            assert "The checks were running already" in page.words
            assert "The checks are running." in page.words
        finally:
            go_on.set()
        wait_until(lambda: not impatient.operator_calls.is_running(CALL))
        assert "The checks are running." not in bo.get(DOCTOR).words
    assert len(recorded(store)) == 1
    assert "Findings" not in ada.get(DOCTOR).words
