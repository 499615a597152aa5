"""Every route of the application that takes a POST, as the application lists them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from starlette.routing import Match, Route

from newsletter.store.tables import metadata
from newsletter.web.app import PAGES, create_app
from tests.fakes import operator_data
from tests.fakes.browser import served
from tests.fakes.pages import NOW, Clock, make_site, reader
from tests.web.test_operator import PASSWORD, Operator, form_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store
    from tests.fakes.browser import Page

SECRET = "s" * 40
SETTINGS: dict[str, Any] = {
    "operator_password": SecretStr(PASSWORD),
    "reader_rubrics": 2,
    "inbound_secret": SecretStr(SECRET),
    "sendgrid_event_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + "A" * 87 + "=",
}
OPEN = {"/subscribe", "/operator/login"}
"""Forms of strangers: whoever has no link yet, or no session."""
FIELDS = {"id": "x", "action": "done", "back": "", "form": "f" * 32, "stamp": "", "of": "address"}


def post_routes(store: Store) -> set[str]:
    app = create_app(make_site(store, **SETTINGS))
    routes = [one for one in app.routes if isinstance(one, Route) and "POST" in one.methods]
    return {one.path.rstrip("/") for one in routes} - OPEN


def rows(store: Store) -> dict[str, list[Any]]:
    with store.read() as tx:
        return {table.name: tx.execute(select(table)).all() for table in metadata.sorted_tables}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operator(store: Store, clock: Clock) -> Iterator[Operator]:
    operator_data.month(store, 1)
    with served(create_app(make_site(store, None, clock, **SETTINGS))) as web:
        yield Operator(web)


def test_every_form_of_the_operator_refuses_what_is_not_from_a_page_of_the_session(
    operator: Operator, store: Store, clock: Clock
):
    person = reader(store)
    paths = {
        path.format(id=person.subscriber_id, rubric="stars")
        for path in post_routes(store)
        if path.startswith("/operator")
    }
    assert len(paths) > 12
    good, mine = form_token(operator.get()), operator.headers
    other = form_token(Operator(operator.web).get())
    clock.at = NOW - timedelta(days=2)
    old = form_token(operator.get())
    clock.at = NOW
    before = rows(store)

    def send(path: str, token: str | None, **headers: str) -> Page:
        given = FIELDS if token is None else {**FIELDS, "token": token}
        return operator.web.post(path, given, **headers)

    for path in paths:
        for token in (None, "", "é", "0" * 64, good[:-1], other, old):
            assert send(path, token, **mine).status == 403, (path, token)
        assert send(path, good, **mine, **{"Sec-Fetch-Site": "cross-site"}).status == 403, path
        assert send(path, good).status == 403, path
        assert send(path, good, Cookie="newsletter_operator=1.2.3").status == 403, path
        assert operator.get(f"{path}?token={good}").status < 500, path
    assert rows(store) == before
    for path in paths - {"/operator/logout"}:
        assert send(path, good, **mine).status != 403, path


def test_every_other_form_changes_nothing_with_a_wrong_token(operator: Operator, store: Store):
    person = reader(store)
    paths = {one for one in post_routes(store) if not one.startswith("/operator")}
    assert len(paths) > 12
    before = rows(store)
    for path in paths:
        assert "{token}" in path or path.startswith("/hooks/"), f"{path} takes no token"
        for token in ("x", "0" * 64, person.id):
            given = path.format(token=token, slug="own-a", mark=token, secret=token)
            operator.web.post(given, {"action": "save", "days": "fri", "List": "x"})
            assert rows(store) == before, given


def test_no_route_is_hidden_by_an_earlier_one(store: Store) -> None:
    routes = [one for one in create_app(make_site(store)).routes if isinstance(one, Route)]
    for route in routes:
        method = "GET" if route.path in PAGES else "POST"
        if method in (route.methods or ()):
            path = re.sub(r"\{(\w+)(:\w+)?\}", r"\1-given", route.path)
            scope = {"type": "http", "path": path, "method": method, "root_path": ""}
            answering = next(one for one in routes if one.matches(scope)[0] is Match.FULL)
            assert answering is route, f"{method} {route.path} is answered by {answering.path}"
