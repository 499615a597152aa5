"""What a rubric's day costs, and how long it takes: `make bench-scoring`.

A real day of the corpus against the Messages API stand-in of the tests, which counts tokens, keeps
caches and bills by the published rules. The tokenizer is an estimate (3.4 characters a token on
these abstracts); the requests are those that would be sent. Each row is printed twice, because no
page says where the answer's schema is billed: inside the cached beginning, or behind it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from bench.harness import corpus
from bench.harness.report import arguments
from newsletter.domain.model import NANOS_PER_DOLLAR, Outcome, Paper, Rubric, Usage
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.scoring.executor import CACHE_WRITE_SECONDS
from newsletter.scoring.run import ScoringLimits, ScoringTarget, score_all
from newsletter.scoring.triage import order
from newsletter.settings import Settings
from newsletter.store import Store
from newsletter.store.papers import keep
from newsletter.store.tables import call
from tests.fakes.anthropic import FakeAnthropic

if TYPE_CHECKING:
    from tests.fakes.anthropic import Seen

DAY = "2025-09-23"
PAPERS = 548
BORDERLINE = 45
"""Papers below the cut that still get the second opinion: with 48 picked, more than its limit."""
CONCURRENCY = 8
FEW = 10
LATENCY = 0.5
TOKENS_PER_SECOND = 100.0
"""Speed of the output, thinking included: without it, few large calls would look as quick as many
small ones."""
BUDGET = 150_000_000
HITS = (0.3, 0.5, 0.9, 0.98)
"""How many of a batch's requests find a cache entry that is there: the vendor says 30 to 98 %."""


@dataclass(frozen=True)
class Case:
    rubrics: int
    mode: str
    schema_cached: bool
    latency: float = 0.0
    hits: float = 0.5
    hits_known: bool = False
    """Whether batches of earlier days have shown how many hits there are."""
    tokens_per_second: float | None = None
    second_pass_sizes: tuple[int, ...] = ClaudeScorer.second_pass_sizes
    cache_write_seconds: float = CACHE_WRITE_SECONDS


@dataclass(frozen=True)
class Row:
    case: Case
    dollars: float
    calls: int
    kinds: Counter[str]
    read: float
    wall: float
    second_pass_wall: float
    """Seconds from the first call of the second pass to the end."""

    @property
    def least(self) -> float:
        """Seconds that the calls take if all run CONCURRENCY at once to the end."""
        speed = self.case.tokens_per_second
        output = self.kinds["output_tokens"] / speed if speed else 0.0
        return (self.calls * self.case.latency + output) / CONCURRENCY


class FakeScores:
    """Answers with the reference's labels; of the others some are borderline, most are not."""

    def __init__(self, papers: list[Paper]) -> None:
        known = corpus.labels(DAY)
        self.by_title = {paper.title: known.get(paper.id) for paper in papers}
        others = [paper.title for paper in papers if paper.id not in known]
        others.sort(key=lambda title: sha256(title.encode()).digest())
        self.borderline = set(others[:BORDERLINE])

    def __call__(self, title: str, abstract: str) -> dict[str, Any]:
        digit = len(abstract) % 10
        if label := self.by_title.get(title):
            return {
                "m": 1,
                "c": label["comment"],
                "r": label["relevance"],
                "n": label["novelty"],
                "x": digit,
            }
        if title in self.borderline:
            comment = "relates to the criterion, though its main contribution lies elsewhere"
            return {"m": 2, "c": comment, "r": 6, "n": 6, "x": digit}
        return {"m": 0, "c": "", "r": 1 + digit % 4, "n": 3 + digit % 3, "x": digit}


def rubrics(count: int) -> list[Rubric]:
    one = corpus.rubric(DAY)
    return [
        replace(one, slug=f"reader-{n}", preface=f"{one.preface}\n\nReader {n} asks.")
        for n in range(count)
    ]


def measure(papers: list[Paper], case: Case) -> Row:
    likeliest = order(corpus.rubric(DAY), papers)
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeAnthropic(
            FakeScores(papers), latency=case.latency, tokens_per_second=case.tokens_per_second
        ) as fake,
    ):
        fake.till.schema_cached, fake.batches.hits = case.schema_cached, case.hits
        store = Store(f"sqlite:///{folder}/bench.db")
        store.migrate()
        with store.begin() as tx:
            keep(tx, papers)
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            anthropic_api_key="sk-bench",  # type: ignore[arg-type]
            anthropic_base_url=fake.url,
        )
        wants = [ScoringTarget(rubric, likeliest) for rubric in rubrics(case.rubrics)]
        limits = ScoringLimits(
            BUDGET,
            wanted_by=datetime.now(UTC) + timedelta(days=1),
            concurrency=CONCURRENCY,
            mode=case.mode,
            batch_poll_seconds=0.1,
            cache_write_seconds=case.cache_write_seconds,
        )
        scorer = ClaudeScorer(settings)
        scorer.second_pass_sizes = case.second_pass_sizes
        if case.hits_known:
            remember_hits(store, scorer.name, case.hits)
        scorer.connect()
        began = time.monotonic()
        results = score_all(
            store,
            scorer,
            date.fromisoformat(DAY),
            wants,
            limits,
            clock=lambda: datetime.now(UTC),
        )
        ended = time.monotonic()
        store.close()
    booked = sum(usage.total_nanos for result in results for usage in result.usage)
    if booked != fake.bill_nanos:
        sys.exit(f"booked {booked}, billed {fake.bill_nanos}")
    outcomes = Counter(outcome for result in results for outcome in result.outcomes.values())
    return Row(
        case=case,
        dollars=booked / NANOS_PER_DOLLAR / case.rubrics,
        calls=len(fake.answered),
        kinds=fake.till.kinds,
        read=outcomes[Outcome.SCORED] / outcomes.total(),
        wall=ended - began,
        second_pass_wall=ended - min(map(second_pass_at, fake.requests), default=ended),
    )


def remember_hits(store: Store, scorer: str, hits: float) -> None:
    """Put a batch call of yesterday into the ledger, whose tokens show this share of hits."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    read = round(1_000_000 * hits)
    usage = Usage("any", cache_read_tokens=read, cache_write_tokens=1_000_000 - read)
    row = {
        "id": "yesterday",
        "rubric": "yesterday",
        "fingerprint": "yesterday",
        "scorer": scorer,
        "date": yesterday.date(),
        "reading": 1,
        "model": "any",
        "request_hash": "",
        "papers": {},
        "state": "done",
        "upper_nanos": 0,
        "usage": asdict(usage),
        "owner": "",
        "lease_until": yesterday,
        "batch_id": "yesterday",
        "started_at": yesterday,
    }
    with store.begin() as tx:
        tx.execute(insert(call).values(row))


def second_pass_at(seen: Seen) -> float:
    """When a call of the second pass came; never for one of the first."""
    return seen.at if seen.body["output_config"]["effort"] == "high" else float("inf")


def show(row: Row) -> None:
    kinds, case = row.kinds, row.case
    print(
        f"N={case.rubrics:<4} {case.mode:<5} schema {'inside' if case.schema_cached else 'behind'}"
        f"  ${row.dollars:.4f} a rubric-day"
        f"  {row.calls} calls  read {row.read:.0%}"
        f"  tokens: fresh {kinds['input_tokens']:,}"
        f", written {kinds['cache_creation_input_tokens']:,}"
        f", from cache {kinds['cache_read_input_tokens']:,}"
        f", out {kinds['output_tokens']:,}"
        f"  {time_taken(row)}",
        flush=True,
    )


def time_taken(row: Row) -> str:
    if row.case.mode == "auto":
        known = "known before" if row.case.hits_known else "not known before"
        return f"{row.case.hits:.0%} hits, {known}"
    if not row.case.latency:
        return ""
    speed = row.case.tokens_per_second
    given = f"{row.case.latency} s latency" + (f" and {speed:g} tokens a second" if speed else "")
    return f"wall {row.wall:.1f} s at {given} (least {row.least:.1f} s)"


def cases(count: int, tokens_per_second: float) -> list[Case]:
    """Time is measured once, with output that takes time for few rubrics: ten would take eight
    minutes, a hundred eighty. Theirs is measured at a latency alone.
    """
    speed = tokens_per_second if count < FEW else None
    latency = LATENCY if speed else 2.0 if count <= FEW else 0.2
    found = [
        Case(count, "now", schema_cached=True, latency=latency, tokens_per_second=speed),
        Case(count, "now", schema_cached=False),
    ]
    if count <= FEW:
        found += [Case(count, "auto", schema_cached=False, hits=hits) for hits in HITS]
    return found + [
        Case(count, "auto", schema_cached=True, hits=hits, hits_known=known)
        for known in (False, True)
        for hits in HITS
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rubrics", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    given = parser.parse_args()
    corpus.require()
    papers = corpus.papers(DAY, PAPERS)
    print(f"{len(papers)} papers of {DAY}, claude-haiku-5-5, {CONCURRENCY} calls at once")
    for count in given.rubrics:
        for case in cases(count, given.tokens_per_second):
            show(measure(papers, case))
