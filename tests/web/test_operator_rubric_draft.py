"""A new rubric of the operator from a sentence: by words, or by one call of a model."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from newsletter.rubrics.file import parse
from newsletter.rubrics.folder import RubricFolder
from newsletter.scorers.claude.draft import ClaudeDrafter
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.scoring.drafting import SLUG
from newsletter.store.tables import call as calls
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.operator.rubric_draft import WRITING
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.browser import served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import THURSDAY, WEDNESDAY, application
from tests.fakes.rubric_pages import DRAFT, list_day, subjects
from tests.fakes.scoring import settings as claude_settings
from tests.web.test_operator import PASSWORD, Operator
from tests.web.test_operator_rubrics import NEW, fields, recorded, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.store import Store
    from tests.fakes.browser import Browser, Page

ABOUT = "How to prune networks without losing accuracy"


@contextmanager
def rubric_site(
    store: Store, folder: Path, fake: FakeAnthropic | None = None, **given: object
) -> Iterator[Browser]:
    app = application(store, operator_password=SecretStr(PASSWORD), **given)
    app = replace(app, rubrics=RubricFolder(folder))
    if fake:
        known = claude_settings(fake.url, second_opinion=False)
        app = replace(app, scorer=ClaudeScorer(known), drafter=ClaudeDrafter(known))
    with served(create_app(Site(app))) as web:
        yield web


@pytest.fixture
def stored_days(store: Store) -> None:
    list_day(store, WEDNESDAY, subjects(12))
    list_day(store, THURSDAY, subjects(36)[12:])


@pytest.fixture
def anthropic() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(lambda _title, _abstract: {}) as fake:
        fake.record = DRAFT
        yield fake


def drafted(operator: Operator, **typed: str) -> Page:
    token = fields(operator.get(NEW), NEW)["token"]
    return send(operator, {"token": token}, NEW, **typed)


@pytest.mark.usefixtures("stored_days")
def test_a_sentence_fills_the_form_without_a_key(store: Store, tmp_path: Path):
    with rubric_site(store, tmp_path) as web:
        operator = Operator(web)
        page = operator.get(NEW)
        assert "This service has no key for a language model" in page.words
        assert page.soup.find("button", value="model") is None
        page = drafted(operator, about=ABOUT, action="words")
        assert page.status == 200
        assert "Drafted on this machine" in page.words
        assert "most similar stored papers: check them" in page.words
        form = fields(page, NEW)
        assert form["criterion_title"][0] == ABOUT
        assert form["category"][0] == "cs.LG"
        assert list(tmp_path.glob("*.md")) == recorded(store) == []
        saved = send(operator, form, NEW, action="save", name="pruning")
        assert saved.status == 303
    rubric = parse((tmp_path / "pruning.md").read_text(encoding="utf-8"), "pruning", "x")
    assert rubric.criteria[0].title == ABOUT


@pytest.mark.usefixtures("stored_days")
def test_claude_drafts_for_the_price_that_was_shown_and_once(
    store: Store, tmp_path: Path, anthropic: FakeAnthropic
):
    with rubric_site(store, tmp_path, anthropic) as web:
        operator = Operator(web)
        button = operator.get(NEW).soup.find("button", value="model")
        assert button.get_text() == "Draft with Claude, at most $0.0032"
        page = drafted(operator, about=ABOUT, action="model")
        assert "Drafted by Claude for $0.00" in page.words
        assert fields(page, NEW)["criterion_title"][0] == "Quantization"
        again = drafted(operator, about=ABOUT, action="model")
        assert "so it cost nothing now" in again.words
    with store.read() as tx:
        paid = tx.execute(select(calls.c.rubric)).scalars().all()
    assert (paid, len(anthropic.requests)) == ([SLUG], 1)


@pytest.mark.usefixtures("stored_days")
def test_without_budget_left_the_button_is_not_there_and_pressing_it_pays_nothing(
    store: Store, tmp_path: Path, anthropic: FakeAnthropic
):
    with rubric_site(store, tmp_path, anthropic, budget_usd=Decimal("0.001")) as web:
        operator = Operator(web)
        page = operator.get(NEW)
        assert "Claude can write no draft today: it costs at most $0.0032" in page.words
        assert page.soup.find("button", value="model") is None
        page = drafted(operator, about=ABOUT, action="model")
        assert "Today's budget for drafts" in page.words
        assert fields(page, NEW)["criterion_title"][0] == ABOUT
    assert anthropic.requests == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"about": " "}, "write a sentence"),
        ({"about": "x" * 1_500}, "characters; say it in at most"),
        ({"about": ABOUT, "draft_categories": "cs.LGG"}, "did you mean cs.LG"),
        ({"about": ABOUT}, "category"),
    ],
)
def test_what_leads_to_no_draft_is_said_beside_its_field(
    store: Store, tmp_path: Path, typed: dict[str, str], said: str
):
    with rubric_site(store, tmp_path) as web:
        page = drafted(Operator(web), action="words", **typed)
    assert page.status == 422
    assert "No draft was made" in page.words
    assert said in page.soup.select_one(".form .fault").get_text()
    assert page.soup.select_one("#about").get_text(strip=True) == typed["about"].strip()


@pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
@pytest.mark.usefixtures("stored_days")
def test_two_operators_draft_in_a_real_browser_without_scripts(
    store: Store, tmp_path: Path, anthropic: FakeAnthropic
):
    folder = tmp_path / "rubrics"
    folder.mkdir()
    with ExitStack() as stack:
        web = stack.enter_context(rubric_site(store, folder, anthropic))
        pipe = stack.enter_context(chromium(tmp_path / "profile"))
        home = f"http://127.0.0.1:{web.port}"
        first, second = Tab(pipe), Tab(pipe)
        first.open(home + NEW)
        first.type("#password", PASSWORD)
        first.press("main form button")
        problems = []
        for width, scheme in ((320, "light"), (1280, "dark")):
            first.look(width, scheme)
            first.open(home + NEW)
            problems += [width] * (first.too_wide > 0)
            problems += first.barriers() if AXE.is_file() else []
        assert problems == []
        for tab in (first, second):
            tab.forbid_scripts()
            tab.open(home + NEW)
            tab.type("#about", ABOUT)
        first.press("button[value=model]")
        assert "Drafted by Claude for" in first.words
        second.press_twice("button[value=model]")
        # The second press may come while the draft of the first is being written.
        while WRITING in second.words:
            second.press("button[value=model]")
        assert "so it cost nothing now" in second.words
        for tab in (first, second):
            tab.type("#name", "pruning")
            tab.press("button[value=save]")
        assert "Saved." in first.words
        assert "There is a rubric of this name already." in second.words
        assert first.errors == []
    assert [one.name for one in folder.iterdir()] == ["pruning.md"]
    assert len(anthropic.requests) == len(recorded(store)) == 1
