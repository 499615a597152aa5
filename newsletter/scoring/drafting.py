"""Draft a rubric with a model: one call, stored and charged like a scoring call.

The same sentence and papers are never paid for twice: their stored answer is read again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from newsletter import process
from newsletter.domain.rubric_draft import common_categories, draft_locally, likely_categories
from newsletter.errors import OperatorError
from newsletter.scorers import CallFailure, ScorerError
from newsletter.store import leases, ledger
from newsletter.store.ledger import Account, Budget, ReservationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from newsletter.domain.model import Paper
    from newsletter.domain.rubric_draft import LibraryPaper, RubricDraft
    from newsletter.scorers import Drafter
    from newsletter.store import Store

log = logging.getLogger(__name__)

SLUG = "~draft"
"""Drafts are charged under this name: no rubric's slug begins with a tilde."""
MAX_GUESSED_FROM = 20
"""Of a reader's texts, for the guess of their categories."""
LEASE = timedelta(minutes=4)
"""Longer than a call may take."""


class DraftFailed(OperatorError):
    """No draft; the message says why and what to do, `for_reader` what a reader needs to know."""

    for_reader = "Claude could not be asked just now."


class DraftOverBudget(DraftFailed):
    for_reader = "Today's budget for drafts and previews is spent, or too small for a draft."


class DraftRunning(DraftFailed):
    for_reader = "Claude is writing the same draft just now; send it again in a minute to get it."


class DraftUnusable(DraftFailed):
    for_reader = "Claude's answer was no usable rubric; say more in the sentence."


@dataclass(frozen=True, slots=True)
class DraftMaterial:
    """What a rubric is drafted from; `categories` are those that were named."""

    about: str
    liked: Sequence[LibraryPaper]
    categories: Sequence[str]

    @property
    def fingerprint(self) -> str:
        papers = [[paper.title, paper.abstract] for paper in self.liked]
        return sha256(json.dumps([self.about, papers]).encode()).hexdigest()


class Drafted(NamedTuple):
    """`nanos` is what this draft cost now: 0 where its answer was stored already."""

    draft: RubricDraft
    nanos: int


@dataclass(frozen=True, slots=True)
class PageDraft:
    """`problem` says why a model did not write it, where one was asked. `guessed`: nobody named the
    categories.
    """

    draft: RubricDraft
    nanos: int = 0
    by_model: bool = False
    problem: str = ""
    guessed: bool = False


def draft_on_page(
    store: Store,
    drafter: Drafter | None,
    material: DraftMaterial,
    newest: Sequence[Paper],
    budget: Budget,
    clock: Callable[[], datetime],
    slug: str,
) -> PageDraft:
    """Draft with the model, or on this machine if there is none or it fails.

    Raises ValueError for material that nothing can be drafted from.
    """
    named, guessed = material, False
    if not common_categories(material.categories, material.liked):
        texts = [material.about, *(f"{one.title}. {one.abstract}" for one in material.liked)]
        likely = likely_categories([text for text in texts if text][:MAX_GUESSED_FROM], newest)
        named, guessed = replace(material, categories=likely), True
    problem = ""
    if drafter:
        try:
            found = draft_with_model(store, drafter, material, budget, clock, slug)
        except DraftFailed as error:
            log.warning("a draft is made without the model: %s", error)
            problem = error.for_reader
        else:
            return PageDraft(found.draft, found.nanos, by_model=True)
    draft = draft_without_model(named, newest)
    return PageDraft(draft, problem=problem, guessed=guessed)


def draft_without_model(
    material: DraftMaterial, newest: Sequence[Paper], authors: Sequence[str] = ()
) -> RubricDraft:
    """Draft on this machine. `newest` are stored papers, from which the liked ones are told.

    Raises ValueError.
    """
    own = {paper.arxiv_id for paper in material.liked}
    others = [f"{one.title}. {one.abstract}" for one in newest if one.id not in own]
    return draft_locally(material.about, material.liked, others, material.categories, authors)


def draft_upper_nanos(drafter: Drafter, material: DraftMaterial, now: datetime) -> int:
    """The most that a draft costs."""
    return drafter.call(material.about, material.liked, now).upper_nanos


def draft_with_model(
    store: Store,
    drafter: Drafter,
    material: DraftMaterial,
    budget: Budget,
    clock: Callable[[], datetime],
    slug: str = SLUG,
) -> Drafted:
    """Draft with one call, charged to `slug` and today. Raises DraftFailed."""
    now = clock()
    owner = process.process_id()
    account = Account(slug, material.fingerprint, drafter.name, now.date(), owner)
    with store.read() as tx:
        stored = ledger.stored_answer(tx, account)
    raw, nanos = (stored, 0) if stored else _ask(store, drafter, material, account, budget, clock)
    draft = drafter.read(raw, material.liked, material.categories)
    if draft is None:
        message = (
            "the model's answer is no usable rubric: say more in the sentence, and name a category"
        )
        raise DraftUnusable(message)
    return Drafted(draft, nanos)


def _ask(
    store: Store,
    drafter: Drafter,
    material: DraftMaterial,
    account: Account,
    budget: Budget,
    clock: Callable[[], datetime],
) -> tuple[bytes, int]:
    """Reserve, send, store the raw answer. Returns it with its cost."""
    call = drafter.call(material.about, material.liked, clock())
    with store.begin() as tx:
        now = clock()
        ledger.mark_dead_calls_lost(tx, account, now, leases.dead_owner_test(tx, now))
        if ledger.has_open_call(tx, account, now):
            message = "this rubric is being drafted just now; try again in a minute"
            raise DraftRunning(message)
        try:
            call_id = ledger.reserve(tx, account, call, budget, now + LEASE)
        except ReservationRefused as error:
            message = (
                "the budget does not cover a draft; raise NEWSLETTER_BUDGET_USD or "
                "NEWSLETTER_MONTHLY_BUDGET_USD, or draft locally"
            )
            raise DraftOverBudget(message) from error
    try:
        answer = drafter.ask(call)
    except ScorerError as error:
        record = ledger.mark_lost if error.failure is CallFailure.LOST else ledger.mark_free
        with store.begin() as tx:
            record(tx, call_id, str(error), clock())
        message = f"no draft: {error}"
        raise DraftFailed(message) from error
    with store.begin() as tx:
        ledger.store_answer(tx, call_id, answer.raw, answer.usage, clock())
        if answer.usage:
            ledger.mark_done(tx, call_id)
    if answer.usage is None:
        message = "the answer is not a Messages API response; its cost stays reserved"
        raise DraftFailed(message)
    return answer.raw, answer.usage.total_nanos
