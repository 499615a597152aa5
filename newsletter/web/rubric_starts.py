"""Starts of a reader's own rubric: a sentence, liked papers, or the rating of twelve papers.

Each makes a draft, which counts for nothing until the reader saves it (reader_rubrics.py). What was
typed, pasted and uploaded is data: it is cut to a size and never an instruction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain import announcements
from newsletter.domain.categories import category_fault
from newsletter.domain.formatting import dollars, first_names, plural
from newsletter.domain.links import Purpose
from newsletter.domain.reader_rubrics import trial_account
from newsletter.domain.rubric_draft import MAX_SENTENCE, representatives, rubric_markdown
from newsletter.inbound.why import MAX_LOOKUPS
from newsletter.rubrics.folder import of_operator
from newsletter.rubrics.library import MAX_PAPERS, Library, LibraryError, read_library
from newsletter.scoring import liked_papers
from newsletter.scoring.drafting import DraftMaterial, PageDraft, draft_on_page
from newsletter.scoring.workload import reader_rubric_limits
from newsletter.store import ledger, papers, reader_rubrics
from newsletter.store.ledger import Budget
from newsletter.web import issue_view
from newsletter.web.forms import MAX_UPLOAD, first
from newsletter.web.model_calls import StillRunning, TooManyCalls
from newsletter.web.rubric_writer import (
    Writer,
    find_writer,
    may_create,
    path_of,
    preferences_of,
    rubric_notice,
    too_many,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Paper
    from newsletter.domain.rubric_draft import LibraryPaper
    from newsletter.scorers import Drafter
    from newsletter.scoring.run import ScoringLimits
    from newsletter.web.context import Site
    from newsletter.web.forms import Form, Upload

RATED = 12
DAYS_RATED = 5
"""Announcements of about a week."""
MAX_CANDIDATES = 600
"""Papers that the twelve are chosen from."""
MAX_CHOICES_KEPT = 100
MAX_NEWEST = 1_000
"""Stored papers that liked ones are told from."""
CENT = 10_000_000
MAX_NAMED = 10
"""Ids in a message."""
BUSY = "Claude writes for other readers just now."
WRITES_ON = (
    "Claude is still writing. Send the same again in a few minutes to get its draft: it is kept, "
    "and paid for once."
)
WRITING = (
    "This takes up to a minute. Then go back, and send the same again: its draft is kept, and paid "
    "for once."
)
BY_MODEL, LIKED = "model", "more"
SEPARATORS = re.compile(r"[\s,;]+")


class StartField(StrEnum):
    ABOUT = "about"
    PASTED = "pasted"
    FILE = "file"
    CATEGORIES = "categories"
    RATING = "rating"


LABELS = {
    StartField.ABOUT: "What you want to read about",
    StartField.PASTED: "Papers you like",
    StartField.FILE: "File",
    StartField.CATEGORIES: "arXiv categories",
}


class StartFault(Exception):
    """What was entered leads to no draft."""

    def __init__(self, field: StartField, message: str) -> None:
        super().__init__(message)
        self.field = field


class StartFields(NamedTuple):
    about: str = ""
    pasted: str = ""
    categories: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """What a draft is made from, and what the reader is told about it."""

    material: DraftMaterial
    notes: tuple[str, ...] = ()


def show_start(site: Site, request: Request) -> Response:
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    return _start_page(site, writer) if may_create(site, writer) else too_many(site, writer)


def may_upload(site: Site, request: Request) -> bool:
    """Whether the token is ours; whose it is, `start` finds out."""
    token = request.path_params["token"]
    return bool(
        site.app.settings.reader_rubrics and site.app.links.read(Purpose.PREFERENCES, token)
    )


def start(site: Site, request: Request, upload: Upload) -> Response:
    """Draft from a sentence, and from papers that were pasted or uploaded."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    if not may_create(site, writer):
        return too_many(site, writer)
    entered = StartFields(*(_text(upload, name) for name in StartFields._fields))
    try:
        started = _from_papers(site, writer, entered, upload.get("file", b""))
        return _drafted(site, writer, started, by_model=_text(upload, "action") == BY_MODEL)
    except StartFault as fault:
        return _start_page(site, writer, entered, fault)


def show_rating(site: Site, request: Request) -> Response:
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    if not may_create(site, writer):
        return too_many(site, writer)
    return _rating_page(site, writer, request.query_params.get("categories", ""))


def rate(site: Site, request: Request, form: Form) -> Response:
    """Draft from the rated papers."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    if not may_create(site, writer):
        return too_many(site, writer)
    ratings = {
        name.removeprefix("rate:"): values[0]
        for name, values in form.items()
        if name.startswith("rate:")
    }
    try:
        started = _from_ratings(site, ratings)
        return _drafted(site, writer, started, by_model=first(form, "action") == BY_MODEL)
    except StartFault as fault:
        return _rating_page(site, writer, first(form, "categories"), ratings, fault)


def _from_ratings(site: Site, ratings: Mapping[str, str]) -> Started:
    """Raises StartFault."""
    rated = liked_papers.stored(site.app.store, list(ratings)[:RATED])
    liked = [liked_papers.library_paper(p) for key, p in rated.items() if ratings[key] == LIKED]
    if not liked:
        raise StartFault(StartField.RATING, "mark at least one paper that you would like to read")
    return Started(DraftMaterial("", liked, ()))


def _from_papers(site: Site, writer: Writer, entered: StartFields, file: bytes) -> Started:
    """Raises StartFault."""
    about, categories = read_sentence(entered.about), read_categories(entered.categories)
    found: list[LibraryPaper] = []
    notes: list[str] = []
    for field, data in ((StartField.PASTED, entered.pasted.encode()), (StartField.FILE, file)):
        if data.strip():
            library = _library(field, data)
            found += library.papers
            notes += _left_out(library)
    if not about and not found:
        raise StartFault(StartField.ABOUT, "write a sentence, or add papers below")
    liked = liked_papers.of_reader(
        site.app.store,
        site.app.source,
        found,
        writer.known.subscriber_id,
        site.app.clock().date(),
        MAX_LOOKUPS,
    )
    notes += _not_found(liked)
    if not about and not liked.papers:
        raise StartFault(StartField.PASTED, " ".join(notes) or "holds no paper with a title")
    return Started(DraftMaterial(about, liked.papers, categories), tuple(notes))


def read_sentence(text: str) -> str:
    """Raises StartFault."""
    sentence = " ".join(text.split())
    if len(sentence) > MAX_SENTENCE:
        message = f"has {len(sentence)} characters; say it in at most {MAX_SENTENCE}"
        raise StartFault(StartField.ABOUT, message)
    return sentence


def read_categories(text: str) -> tuple[str, ...]:
    """Raises StartFault."""
    names = tuple(dict.fromkeys(name for name in SEPARATORS.split(text) if name))
    for name in names:
        if fault := category_fault(name):
            raise StartFault(StartField.CATEGORIES, fault)
    return names[:MAX_NAMED]


def _library(field: StartField, data: bytes) -> Library:
    try:
        return read_library(data)
    except LibraryError as error:
        raise StartFault(field, str(error)) from error


def _left_out(library: Library) -> list[str]:
    if not library.skipped:
        return []
    read = plural(len(library.papers), "paper")
    entries = plural(library.skipped, "entry", "entries")
    if len(library.papers) == MAX_PAPERS:
        further = plural(library.skipped, "further entry", "further entries")
        return [f"{library.kind}: the first {read} were read, {further} were not."]
    return [f"{library.kind}: {read} read; {entries} left out (repeated, or without title and id)."]


def _not_found(liked: liked_papers.LikedPapers) -> list[str]:
    notes = []
    not_asked = first_names(liked.not_asked, MAX_NAMED)
    if liked.withdrawn:
        notes.append(
            f"Withdrawn by the authors, so left out: {first_names(liked.withdrawn, MAX_NAMED)}."
        )
    if liked.unknown:
        notes.append(f"arXiv has no paper {first_names(liked.unknown, MAX_NAMED)}.")
    if liked.not_asked and liked.problem:
        notes.append(f"arXiv could not be asked just now, so these were left out: {not_asked}.")
    elif liked.not_asked:
        notes.append(
            f"At most {MAX_LOOKUPS} papers a day are looked up at arXiv for a reader. These were "
            f"left out: {not_asked}. A BibTeX or RIS file with titles has no such limit."
        )
    return notes


def _drafted(site: Site, writer: Writer, started: Started, *, by_model: bool) -> Response:
    """Make the draft, keep it, and show it. Raises StartFault."""
    app = site.app
    try:
        made = _make(site, writer, started.material, app.drafter if by_model else None)
    except StillRunning:
        return rubric_notice(site, writer, "Claude is already writing for you", WRITING)
    except ValueError as error:
        field = StartField.CATEGORIES if "category" in str(error) else StartField.ABOUT
        raise StartFault(field, str(error)) from error
    liked = [one.arxiv_id for one in started.material.liked if one.arxiv_id]
    with app.store.begin() as tx:
        try:
            slug = reader_rubrics.create(
                tx,
                writer.known.subscriber_id,
                rubric_markdown(made.draft),
                app.clock(),
                limit=app.settings.reader_rubrics,
                liked=liked,
            )
        except reader_rubrics.TooManyRubrics:
            return too_many(site, writer)
        except reader_rubrics.ReaderErased:
            return site.unknown_link()
    return _drafted_page(site, writer, slug, made, started)


def _make(
    site: Site, writer: Writer, material: DraftMaterial, drafter: Drafter | None
) -> PageDraft:
    """The draft; made without the model if that takes too long, or writes for too many others.

    Raises StillRunning if it writes for this reader already, and ValueError.
    """
    app, limits, reader_id = site.app, reader_limits(site), writer.known.subscriber_id
    with app.store.read() as tx:
        newest = papers.newest(tx, MAX_NEWEST)
    draft = partial(
        draft_on_page,
        app.store,
        material=material,
        newest=newest,
        budget=Budget(limits.budget_nanos, limits.month_budget_nanos),
        clock=app.clock,
        slug=trial_account(reader_id),
    )
    if drafter is None:
        return draft(drafter=None)
    try:
        return site.drafts.run(reader_id, partial(draft, drafter=drafter))
    except TooManyCalls:
        problem = BUSY
    except StillRunning as running:
        if not running.started:
            raise
        problem = WRITES_ON
    return replace(draft(drafter=None), problem=problem)


def _drafted_page(
    site: Site, writer: Writer, slug: str, made: PageDraft, started: Started
) -> Response:
    form = path_of(site, writer, slug)
    return site.page(
        "rubric_drafted.html",
        title="Your draft",
        draft=made.draft,
        problem=made.problem,
        by_model=made.by_model,
        cost=dollars(made.nanos) if made.nanos else "",
        guessed=made.guessed,
        liked=len(started.material.liked),
        notes=started.notes,
        form=form,
        preview=f"{form}/preview",
        start=path_of(site, writer, "start"),
    )


def _start_page(
    site: Site,
    writer: Writer,
    entered: StartFields | None = None,
    fault: StartFault | None = None,
) -> Response:
    unsaved = next((one for one in writer.rubrics if one.active_version is None), None)
    return site.page(
        "rubric_start.html",
        status=422 if fault else 200,
        title="Start a rubric of your own",
        entered=entered or StartFields(),
        errors={fault.field: str(fault)} if fault else {},
        labels=LABELS,
        draft=path_of(site, writer, unsaved.slug) if unsaved else "",
        here=path_of(site, writer, "start"),
        rating=path_of(site, writer, "rate"),
        empty=path_of(site, writer, "new"),
        max_sentence=MAX_SENTENCE,
        max_upload=MAX_UPLOAD // 2**20,
        max_lookups=MAX_LOOKUPS,
        preferences=preferences_of(site, writer),
        **_prices(site, writer),
    )


def _prices(site: Site, writer: Writer) -> dict[str, Any]:
    """What a draft by the model costs at most, and what is left today. Empty without a model."""
    app = site.app
    if app.drafter is None:
        return {"price": "", "left": "", "affordable": False}
    left, most = trial_cost(site, writer).left, app.drafter.max_nanos(app.clock())
    return {"price": dollars(most), "left": price(left), "affordable": most <= left}


def price(nanos: int) -> str:
    """Dollars in whole cents where they are whole."""
    return dollars(nanos, 2 if nanos % CENT == 0 else None)


def reader_limits(site: Site) -> ScoringLimits:
    """The limits of a reader's drafts and previews: those of one reader rubric and day."""
    app = site.app
    day, operator = announcements.newest(app.clock()), of_operator(app.rubrics)
    return reader_rubric_limits(app.store, app.settings, operator, day, app.stop)


class TrialCost(NamedTuple):
    """What a reader's drafts and previews of today cost, and what is left, in nano-dollars."""

    spent: int
    left: int


def trial_cost(site: Site, writer: Writer) -> TrialCost:
    app, limits = site.app, reader_limits(site)
    account, now = trial_account(writer.known.subscriber_id), app.clock()
    with app.store.read() as tx:
        spent = ledger.spent(tx, account, now.date())
        of_month = ledger.spent_of_month(tx, now)
    left = limits.budget_nanos - spent
    if limits.month_budget_nanos is not None:
        left = min(left, limits.month_budget_nanos - of_month)
    return TrialCost(spent, max(0, left))


def _rating_page(
    site: Site,
    writer: Writer,
    categories: str,
    ratings: Mapping[str, str] | None = None,
    fault: StartFault | None = None,
) -> Response:
    try:
        names = read_categories(categories) or _read_now(site, writer)
    except StartFault as unknown:
        names, fault = _read_now(site, writer), unknown
    chosen = (
        [] if ratings is None else list(liked_papers.stored(site.app.store, list(ratings)).values())
    )
    chosen = chosen or _twelve(site, names)
    cards = [
        (paper, issue_view.paper_card(paper), (ratings or {}).get(paper.id)) for paper in chosen
    ]
    return site.page(
        "rubric_rate.html",
        status=422 if fault else 200,
        title="Rate papers of last week",
        cards=cards,
        categories=" ".join(names),
        errors={fault.field: str(fault)} if fault else {},
        here=path_of(site, writer, "rate"),
        start=path_of(site, writer, "start"),
        **_prices(site, writer),
    )


def _read_now(site: Site, writer: Writer) -> tuple[str, ...]:
    """The categories of what the reader follows."""
    followed = (site.app.rubrics.get(slug) for slug in writer.followed)
    return tuple(dict.fromkeys(name for one in followed if one for name in one.categories))


def _twelve(site: Site, categories: Sequence[str]) -> list[Paper]:
    """Papers of the last days that differ from one another as much as the days' papers do."""
    known = site.papers_to_rate
    with site.app.store.read() as tx:
        days = papers.dates(tx, categories, DAYS_RATED)
        if chosen := known.get((tuple(categories), tuple(days))):
            by_id = {paper.id: paper for paper in papers.by_ids(tx, chosen)}
            return [by_id[paper_id] for paper_id in chosen if paper_id in by_id]
        found: dict[str, Paper] = {}
        for day in days:
            found |= {one.paper.id: one.paper for one in papers.listed(tx, categories, day)}
    candidates = [found[key] for key in sorted(found)]
    step = max(1, -(-len(candidates) // MAX_CANDIDATES))
    candidates = candidates[::step]
    texts = [f"{paper.title}. {paper.abstract}" for paper in candidates]
    twelve = [candidates[place] for place in representatives(texts, RATED)]
    if len(known) >= MAX_CHOICES_KEPT:
        known.clear()
    known[tuple(categories), tuple(days)] = [paper.id for paper in twelve]
    return twelve


def _text(upload: Upload, name: str) -> str:
    return upload.get(name, b"").decode("utf-8", "replace").strip()
