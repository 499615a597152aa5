"""Operators whom a proxy names: they open the operator's pages and send their forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.store.operator import actions

if TYPE_CHECKING:
    from bs4 import Tag

    from newsletter.store import Store
    from newsletter.store.operator.actions import OperatorAction
    from tests.fakes.browser import Browser, Page

HEADER = "X-Forwarded-User"


class Lists:
    """The provider's suppression lists: only what is freed is looked at."""

    def __init__(self) -> None:
        self.freed: list[str] = []

    def free(self, email: str) -> None:
        self.freed.append(email)


class Person:
    """An operator whom a proxy names."""

    def __init__(self, web: Browser, name: str) -> None:
        self.web, self.headers = web, {HEADER: name}

    def get(self, path: str) -> Page:
        return self.web.get(path, **self.headers)

    def post(self, path: str, fields: object) -> Page:
        return self.web.post(path, fields, **self.headers)

    def fill(self, page: Page, path: str, of: str | None = None, /, **fields: object) -> Page:
        """Send the form of a page, with all that it holds and these fields changed."""
        return self.post(path, {**form_fields(page, path, of), **fields})

    def shown(self, answer: Page) -> Page:
        """The page that an answer redirects to."""
        assert answer.status == 303, answer.words
        return self.get(answer.headers["location"])

    def undo(self, page: Page) -> Page:
        return self.fill(page, "/operator/log/undo")


def form_fields(page: Page, path: str, of: str | None = None) -> dict[str, object]:
    """What the browser would send of a form: of several, that about `of`."""
    for form in page.soup.find_all("form", action=path):
        fields = filled_in(form)
        if of in (None, fields.get("of")):
            return fields
    raise AssertionError(path)


def filled_in(form: Tag) -> dict[str, object]:
    """What the browser would send of this form."""
    fields: dict[str, object] = {}
    for box in form.find_all(["input", "select"]):
        if box.get("type") in ("checkbox", "radio") and not box.has_attr("checked"):
            continue
        chosen = box.find("option", selected=True) or box.find("option")
        value = box.get("value", "") if box.name == "input" else chosen.get("value", chosen.text)
        fields[box["name"]] = value
    return fields


def recorded(store: Store) -> list[OperatorAction]:
    with store.read() as tx:
        return actions.newest(tx, 99)
