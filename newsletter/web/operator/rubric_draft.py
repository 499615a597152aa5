"""A draft for a new rubric file from a sentence: `newsletter rubrics draft` on the operator's page.

It fills the editor's form. Nothing is saved, and its cost is charged as that of the command.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.formatting import dollars
from newsletter.domain.rubric_draft import MAX_SENTENCE, rubric_markdown
from newsletter.scoring.drafting import SLUG, DraftMaterial, PageDraft, draft_on_page
from newsletter.store import ledger, papers
from newsletter.store.ledger import Budget
from newsletter.web.forms import first
from newsletter.web.model_calls import StillRunning, TooManyCalls
from newsletter.web.rubric_starts import (
    BY_MODEL,
    MAX_NEWEST,
    StartFault,
    StartField,
    read_categories,
    read_sentence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from newsletter.web.context import Site
    from newsletter.web.forms import Form

MAX_TEXT = 2_000
BUTTONS = (BY_MODEL, "words")
NOT_SAVED = "Nothing is saved yet: change what is wrong, give the file a name, and save it."
BY_WORDS = (
    "Drafted on this machine, from the words that tell your sentence from stored papers. Say in "
    "your own words what is wanted, and what is not."
)
WRITING = (
    "Claude is still writing. Press the button again in a minute: the draft of one sentence is "
    "kept, and paid for once."
)
GUESSED = "The categories are those of the most similar stored papers: check them."


class DraftRequest(NamedTuple):
    """What was typed, and its faults by field."""

    about: str = ""
    draft_categories: str = ""
    errors: Mapping[str, str] = {}


class DraftedText(NamedTuple):
    """The text of a rubric and how it was made; empty where nothing could be drafted."""

    request: DraftRequest
    text: str = ""
    message: str = ""


def is_asked(form: Form) -> bool:
    return first(form, "action") in BUTTONS


def request_of(form: Form) -> DraftRequest:
    about, categories = (first(form, name)[:MAX_TEXT] for name in DraftRequest._fields[:2])
    return DraftRequest(about, categories)


def draft(site: Site, form: Form) -> DraftedText:
    """Draft what was asked for; with one call of the model only if its button was pressed."""
    asked = request_of(form)
    try:
        made = _drafted(site, asked, by_model=first(form, "action") == BY_MODEL)
    except (StillRunning, TooManyCalls):
        return DraftedText(asked, "", WRITING)
    except StartFault as fault:
        field = "draft_categories" if fault.field is StartField.CATEGORIES else "about"
        return DraftedText(asked._replace(errors={field: str(fault)}))
    return DraftedText(asked, rubric_markdown(made.draft), _said(made))


def _drafted(site: Site, asked: DraftRequest, *, by_model: bool) -> PageDraft:
    """Raises StartFault, and StillRunning or TooManyCalls where Claude writes already."""
    about, categories = read_sentence(asked.about), read_categories(asked.draft_categories)
    if not about:
        raise StartFault(StartField.ABOUT, "write a sentence")
    app = site.app
    with app.store.read() as tx:
        newest = papers.newest(tx, MAX_NEWEST)
    budget = Budget(app.settings.budget_nanos, app.settings.monthly_budget_nanos)
    drafter = app.drafter if by_model else None
    material = DraftMaterial(about, (), categories)
    work = partial(draft_on_page, app.store, drafter, material, newest, budget, app.clock, SLUG)
    try:
        return site.drafts.run(SLUG, work) if drafter else work()
    except ValueError as error:
        field = StartField.CATEGORIES if "category" in str(error) else StartField.ABOUT
        raise StartFault(field, str(error)) from error


def _said(made: PageDraft) -> str:
    if made.by_model:
        cost = f"for {dollars(made.nanos)}" if made.nanos else "before, so it cost nothing now"
        return f"Drafted by Claude {cost}. {NOT_SAVED}"
    guessed = GUESSED if made.guessed else ""
    return " ".join(part for part in (made.problem, BY_WORDS, guessed, NOT_SAVED) if part)


def price(site: Site) -> dict[str, Any]:
    """What a draft by the model costs at most, and whether the budget has that left today.

    Empty without a model.
    """
    app, now = site.app, site.app.clock()
    found = {"max_sentence": MAX_SENTENCE, "price": "", "affordable": False}
    if app.drafter is None:
        return found
    with app.store.read() as tx:
        left = app.settings.budget_nanos - ledger.spent(tx, SLUG, now.date())
        if (month := app.settings.monthly_budget_nanos) is not None:
            left = min(left, month - ledger.spent_of_month(tx, now))
    most = app.drafter.max_nanos(now)
    return {**found, "price": dollars(most), "affordable": most <= left}
