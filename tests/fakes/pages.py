"""A small archive to look at: two public rubrics, a private one, a few issues."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert, select

from newsletter.domain.digest import compose
from newsletter.domain.links import Links
from newsletter.domain.mail import Sender, Subscription
from newsletter.domain.model import Criterion, Digest, Listing, Outcome, Paper, Rubric, Score, Usage
from newsletter.render import Renderer, SiteInfo
from newsletter.scorers.local import LocalScorer
from newsletter.settings import Settings
from newsletter.store import digests, subscriptions
from newsletter.store.tables import paper as paper_table
from newsletter.web.context import Site
from tests.fakes.app import app_of

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.domain.mail import Email
    from newsletter.store import Store

NOW = datetime(2025, 9, 25, 6, 0, tzinfo=UTC)
TUESDAY, WEDNESDAY, THURSDAY = date(2025, 9, 23), date(2025, 9, 24), date(2025, 9, 25)
CRITERIA = (Criterion(1, "Cold stars", "- Relevant: cold ones"), Criterion(2, "Old stars", ""))
STARS = Rubric("stars", "Stars", ("astro-ph.SR",), CRITERIA, public=True)
MODELS = Rubric("models", "Models", ("cs.LG", "cs.AI"), CRITERIA, public=True)
SECRET = Rubric("secret", "Secret plans", ("cs.CR",), CRITERIA)
SETTINGS = Settings(
    _env_file=None, public_url="http://127.0.0.1", postal_address="1 Example Street"
)
# Compiling the mail templates takes a while: once is enough for all tests.
RENDERER = Renderer(SiteInfo("arXiv digest", "1 Example Street", "http://127.0.0.1"))
LINKS = Links("http://127.0.0.1", ["k" * 32], "in.example.org")


@dataclass
class Mailbox:
    """A mailer that keeps what it is given, or fails as told."""

    mails: list[Email] = field(default_factory=list)
    fault: Exception | None = None

    def send(self, email: Email) -> str:
        if self.fault:
            raise self.fault
        self.mails.append(email)
        return str(len(self.mails))


@dataclass
class Clock:
    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


def make_site(
    store: Store, mailbox: Mailbox | None = None, clock: Clock | None = None, **settings: object
) -> Site:
    """The site with SETTINGS, some of them changed."""
    return Site(application(store, mailbox, clock, **settings))


def application(
    store: Store, mailbox: Mailbox | None = None, clock: Clock | None = None, **settings: object
) -> App:
    return app_of(
        store,
        links=LINKS,
        rubrics={rubric.slug: rubric for rubric in (STARS, MODELS, SECRET)},
        settings=SETTINGS.model_copy(update=settings),
        mailer=mailbox or Mailbox(),
        renderer=RENDERER,
        sender=Sender("digest@example.org", "arXiv digest"),
        scorer=LocalScorer(),
        clock=clock or Clock(),
    )


def paper(
    paper_id: str, title: str = "", abstract: str = "", authors: tuple[str, ...] = ()
) -> Paper:
    return Paper(
        id=paper_id,
        version=1,
        title=title or f"Paper {paper_id}",
        authors=authors or ("Ann Aalto", "Bo Berg"),
        abstract=abstract or f"The abstract of {paper_id}.",
        primary_category="cs.LG",
        categories=("cs.LG",),
        published=NOW,
        updated=NOW,
    )


def issue(
    store: Store,
    rubric: Rubric,
    day: date,
    papers: list[Paper],
    *,
    scores: tuple[int, int] = (9, 8),
    comment: str = "Cold stars: it is one.",
) -> Digest:
    """Make and freeze a digest in which all papers but the last one reached the cut-offs."""
    marks = {each.id: Score(each.id, "m", *scores, comment=comment) for each in papers}
    if len(papers) > 1:
        marks[papers[-1].id] = Score(papers[-1].id, "m", 6, 9)
    outcomes = dict.fromkeys(marks, Outcome.SCORED)
    usage = [Usage("claude-x", 1000, 200, input_nanos=100_000_000, output_nanos=50_000_000)]
    listings = [Listing(each) for each in papers]
    made = compose(rubric, day, listings, marks, outcomes, usage, judged=True, prompt="Read <all>.")
    with store.begin() as tx:
        known = set(tx.execute(select(paper_table.c.id)).scalars())
        for each in papers:
            if each.id not in known:
                row = {name: getattr(each, name) for name in each.__slots__}
                tx.execute(insert(paper_table).values(row))
        digests.save(tx, made, NOW)
    return made


def reader(store: Store, **changes: object) -> Subscription:
    """A subscriber of Stars, as stored."""
    key = uuid4().hex
    given = {"id": key, "subscriber_id": key, "email": "ada@example.org", "rubric": "stars"}
    given["consent"] = "asked"
    person = Subscription(**{**given, **changes})  # type: ignore[arg-type]
    with store.begin() as tx:
        subscriptions.insert_new(tx, person, NOW)
    return person


def stored(store: Store, person: Subscription) -> Subscription | None:
    with store.read() as tx:
        return next(iter(subscriptions.of_subscriber(tx, person.subscriber_id)), None)
