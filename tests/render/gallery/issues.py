"""Digests for tests: a day of the corpus with its labels, or any number of invented papers."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import (
    NANOS_PER_DOLLAR,
    Coverage,
    Criterion,
    DayKind,
    Digest,
    NearMiss,
    NewsKind,
    Outcome,
    Paper,
    PaperNews,
    Pick,
    Rubric,
    Score,
    Usage,
    Withdrawal,
)
from newsletter.inbound.reply_actions import COMMAND_HELP
from newsletter.render import Navigation, RenderedReader, SiteInfo
from newsletter.render.size_budget import SizePlan
from tests.fakes.arxiv import paper_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpus"
DAY = date(2025, 9, 23)
SITE = SiteInfo(
    "arXiv digest", "1 Example Street, Springfield, EX 00000, USA", "https://news.example"
)
NAV = Navigation(
    issue_url="https://news.example/archive/foundation-models/2025-09-23/",
    previous=("22 Sep", "https://news.example/archive/foundation-models/2025-09-22/"),
    month=("September 2025", "https://news.example/archive/foundation-models/2025-09/"),
    next=("24 Sep", "https://news.example/archive/foundation-models/2025-09-24/"),
)
READER = RenderedReader(
    email="ada@example.org",
    since=date(2025, 9, 3),
    unsubscribe_url="https://news.example/unsubscribe/eyJhbGciOiJIUzI1NiJ9.c3Vic2NyaWJlci0wMDAx",
    vote_url="https://news.example/vote/" + "a2" * 24,
    why_url="https://news.example/why/eyJhbGciOiJIUzI1NiJ9.c3Vic2NyaWJlci0wMDAx",
    preferences_url="https://news.example/preferences/eyJhbGciOiJIUzI1NiJ9.c3Vic2NyaWJlci0wMDAx",
)
CRITERIA = (
    Criterion(1, "Model architecture", "Mixture of experts, transformers; not applications."),
    Criterion(2, "Compression and efficiency", "Sparsity, quantisation, low rank."),
    Criterion(3, "Representation learning", "How networks encode what they learn."),
)
RUBRIC = Rubric(
    slug="foundation-models",
    title="Foundation models",
    categories=("cs.LG", "cs.AI"),
    criteria=CRITERIA,
    preface="Find the papers that a friend would enjoy.",
)
USAGE = Usage(
    "gpt-5",
    input_tokens=76_776,
    output_tokens=79_041,
    input_nanos=NANOS_PER_DOLLAR // 10,
    output_nanos=79 * NANOS_PER_DOLLAR // 100,
)


@cache
def corpus_papers(day: str) -> dict[str, Paper]:
    with gzip.open(CORPUS / f"papers-{day}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return {paper.id: paper for paper in map(paper_of, map(json.loads, lines))}


@cache
def corpus_picks(day: str) -> tuple[Pick, ...]:
    papers = corpus_papers(day)
    rows = map(json.loads, (CORPUS / f"labels-{day}.jsonl").read_text("utf-8").splitlines())
    return tuple(
        Pick(papers[row["id"].rpartition("v")[0]], _score(row))
        for row in rows
        if row["relevance"] is not None
    )


def _score(row: dict[str, Any]) -> Score:
    return Score(
        paper_id=row["id"].rpartition("v")[0],
        model="gpt-5",
        relevance=row["relevance"],
        novelty=row["novelty"],
        comment=row["comment"],
    )


def paper(number: int = 1, **changed: Any) -> Paper:
    values: dict[str, Any] = {
        "id": f"2509.{number:05d}",
        "version": 1,
        "title": f"A sparse mixture of experts, part {number}",
        "authors": ("Ada Lovelace", "Charles Babbage"),
        "abstract": "Large models are costly. We propose a sparse one. It costs 50% less.",
        "primary_category": "cs.LG",
        "categories": ("cs.LG",),
        "published": datetime(2025, 9, 22, 12, tzinfo=UTC),
        "updated": datetime(2025, 9, 22, 12, tzinfo=UTC),
    }
    return Paper(**(values | changed))


def pick(number: int = 1, relevance: int = 8, novelty: int = 7, **changed: Any) -> Pick:
    chosen = paper(number, **changed)
    score = Score(
        chosen.id, "gpt-5", relevance, novelty, comment="Model architecture: a sparse MoE."
    )
    return Pick(chosen, score)


def many(picks: tuple[Pick, ...], count: int) -> tuple[Pick, ...]:
    """`count` picks: the given ones, and again with new ids when they run out."""

    def renamed() -> Iterator[Pick]:
        for place, each in enumerate(cycle(picks)):
            if place < len(picks):
                yield each
            else:
                values = {name: getattr(each.paper, name) for name in Paper.__slots__}
                yield Pick(Paper(**values | {"id": f"2510.{place:05d}"}), each.score)

    return tuple(islice(renamed(), count))


def digest(picks: tuple[Pick, ...] = (), **changed: Any) -> Digest:
    announced = changed.pop("announced", 964)
    values: dict[str, Any] = {
        "rubric": RUBRIC,
        "date": DAY,
        "kind": DayKind.NORMAL if picks else DayKind.NOTHING_MET,
        "picks": picks,
        "near_misses": (),
        "coverage": Coverage(
            announced=announced,
            outcomes={Outcome.SCORED: announced - 3, Outcome.REFUSED: 1, Outcome.FAILED: 2},
            by_category={"cs.LG": 601, "cs.AI": 540},
        ),
        "usage": (USAGE,),
        "prompt": "",
    }
    return Digest(**(values | changed))


def near_miss(number: int = 900) -> NearMiss:
    chosen = pick(number, 8, 6)
    assert chosen.score
    return NearMiss(chosen.paper, chosen.score, "novelty 6, your cut-off is 7")


def news(papers: int = 5, **changed: Any) -> dict[str, Any]:
    """The fields of a digest that hold news of every kind, of `papers` papers each."""
    withdrawn = tuple(
        Withdrawal(
            f"2508.{number:05d}",
            f"An energy-based transformer that was retracted, part {number}",
            date(2025, 9, 1),
            "This paper has been withdrawn by the authors due to an error in Lemma 2",
        )
        for number in range(1, papers + 1)
    )
    said = {
        NewsKind.RETITLED: "Sparse experts read whole sentences",
        NewsKind.PUBLISHED: "Phys. Rev. D 112, 043012 (2025)",
        NewsKind.ACCEPTED: "Accepted at NeurIPS 2025 (oral); code: https://github.com/ada/x",
    }
    values = {"sent": date(2025, 9, 12), "title": "Whole-sentence routing", "doi": "", **changed}
    told = tuple(
        PaperNews(
            **values
            | {"paper_id": f"2507.{number}{place:04d}", "kind": kind, "said": text}
            | ({"doi": "10.1103/PhysRevD.112.043012"} if kind is NewsKind.PUBLISHED else {})
            | {name: changed[name] for name in ("said",) if name in changed}
        )
        for number, (kind, text) in enumerate(said.items(), 1)
        for place in range(1, papers + 1)
    )
    return {"withdrawn": withdrawn, "news": told}


MAILS: dict[str, dict[str, Any]] = {
    "confirm": {
        "rubrics": ("Foundation models",),
        "read": ("Dwarf galaxies",),
        "again": "",
        "email": "ada@example.org",
        "confirm_url": "https://news.example/confirm/eyJhbGciOiJIUzI1NiJ9.c3Vic2NyaWJlci0wMDAx",
        "refuse_url": "https://news.example/unsubscribe/eyJhbGciOiJIUzI1NiJ9.c3Vic2NyaWJlci0w",
    },
    "confirm-rubric": {
        "title": "Foundation models, my own",
        "before": "Foundation models",
        "lines": ("Criteria added: Sparse experts", "Novelty cut-off: 6, it was 7"),
        "until": "09:30 (Europe/Berlin)",
        "confirm_url": f"https://news.example/rubrics/{'a' * 48}/own-abcdefghijkl/confirm/2-1-"
        + "0" * 64,
        "preferences_url": READER.preferences_url,
    },
    "goodbye": {
        "left": ("Foundation models",),
        "others": ("Dwarf galaxies",),
        "email": "ada@example.org",
        "preferences_url": READER.preferences_url,
    },
    "answer": {
        "title": "Your digests are paused until 7 Oct 2025",
        "lines": ("You receive none until then.",),
        "items": ("More like this: Cold stars in warm rooms",),
        "undo": "reply “resume”.",
        "preferences_url": READER.preferences_url,
        "unsubscribe_url": READER.unsubscribe_url,
    },
    "help": {
        "reason": "Your reply was not understood, and nothing was changed.",
        "words": COMMAND_HELP,
        "preferences_url": READER.preferences_url,
        "unsubscribe_url": READER.unsubscribe_url,
    },
    "alert": {
        "headline": "2 alerts",
        "sections": [
            (
                "Scoring failed",
                "foundation-models of 2025-09-23, stars of 2025-09-23",
                "Anthropic answered 401: check ANTHROPIC_API_KEY",
                "The digest is held back and paid answers are kept. The run is retried.",
                ["newsletter run --date 2025-09-23"],
                "2025-09-23 00:05 UTC",
            ),
            (
                "The disk is nearly full",
                "/srv/newsletter/var",
                "0.8 GB are free where /srv/newsletter/var lies.",
                "On a full disk the database can't be written. Make room.",
                ["du -xh --max-depth=1 /srv/newsletter/var"],
                "2025-09-22 21:40 UTC",
            ),
        ],
        "ended": ["Replies need review"],
    },
}


def frame_values(count: int) -> dict[str, Any]:
    """The values of the digest template for `count` papers of the corpus."""
    from markupsafe import Markup

    from newsletter.render.digest_email import template_values
    from newsletter.render.paper_html import PaperParts
    from newsletter.render.paper_view import entries
    from newsletter.render.templates import Templates

    picks = many(corpus_picks("2025-09-23"), count) if CORPUS.exists() else ()
    picks = picks or tuple(pick(number) for number in range(1, count + 1))
    listed = entries(picks[:count], judged=True)
    macros = Templates().macros("digest/pieces.html")
    html = PaperParts(listed, macros, NAV.issue_url, "Best", "Also", 90).html(
        SizePlan(count, count, 400, count, 10)
    )
    issue = digest(picks[:count], near_misses=(near_miss(),))
    return {
        **template_values(SITE, issue, NAV, listed),
        "papers": Markup(html),  # noqa: S704 - made by our macros
        "offers_brief": False,
    }
