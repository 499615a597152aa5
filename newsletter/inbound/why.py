"""Answer a question about a paper: read the database once, ask the source if need be, decide.

A reader is answered about their own rubrics only. The source is asked MAX_LOOKUPS times for a
reader and day, one look-up at a time, at its own pace: nobody can hold it up for the daily run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.domain import why
from newsletter.domain.injection import is_suspicious
from newsletter.domain.mail import SubscriberState
from newsletter.domain.model import Outcome, Score, Unscored
from newsletter.domain.search_query import PaperReference, parse_reference
from newsletter.domain.why import LocatedPaper, Lookup, PaperResult, RubricHistory, WhyAnswer
from newsletter.scoring.second_opinion import merge_all_scores, merge_scores
from newsletter.scoring.triage import split_excluded
from newsletter.scoring.workload import LATE_WINDOW
from newsletter.sources import LooksUpPapers, SourceError
from newsletter.store import digests, papers, rate_limits, scores, subscriptions
from newsletter.store import why as why_store
from newsletter.store.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.mail import Subscription
    from newsletter.domain.model import Digest, NearMiss, Paper, Pick, Rubric
    from newsletter.domain.why import (
        CategoryVolume,
        CoveringIssue,
        ExcludedPapers,
        RubricAnswer,
        ScoredIssue,
    )

MAX_LOOKUPS = 20
"""Times that the source is asked for a reader and day (UTC)."""
RECENT_ISSUES = 10
MAX_MATCHES = 5
NOT_ASKABLE = "the source of this service cannot be asked for single papers"
ANSWERED = (SubscriberState.ACTIVE, SubscriberState.PAUSED)


def answer_reader(
    app: App, subscription_id: str, text: str, *, ask_source: bool = True
) -> WhyAnswer | None:
    """The answer for a reader, about all of their rubrics.

    None for an unknown subscription, and for readers who left all of theirs.

    Without `ask_source` nothing is counted or changed: a paper that is not stored is not found.
    """
    with app.store.read() as tx:
        known = subscriptions.by_id(tx, subscription_id)
        owned = subscriptions.of_subscriber(tx, known.subscriber_id) if known else []
    readers = {one.rubric: one for one in owned if one.email and one.state in ANSWERED}
    if known is None or not readers:
        return None
    found = _find(app, text, known.subscriber_id if ask_source else None)
    return _with_rubrics(app, found, readers)


def answer_operator(app: App, text: str, slugs: Sequence[str]) -> WhyAnswer:
    """The answer for the operator, about these rubrics."""
    return _with_rubrics(app, _find(app, text, ""), dict.fromkeys(slugs))


def answer_public(app: App, paper_id: str, slugs: Sequence[str]) -> WhyAnswer:
    """The answer about a stored paper for everybody, about those of these rubrics that read its
    categories. Asks no source, and suggests nothing: these cut-offs are not the visitor's, and the
    scores of ten issues would be read for each visit.
    """
    answer = _with_rubrics(app, _find(app, paper_id, None), dict.fromkeys(slugs), suggest=False)
    reading = (one for one in answer.rubrics if one.result is not PaperResult.OTHER_CATEGORIES)
    return replace(answer, rubrics=tuple(reading))


def _find(app: App, text: str, asked_by: str | None) -> WhyAnswer:
    """The paper that `text` names. The source is asked on behalf of `asked_by`: the id of a
    subscriber, empty for the operator, None for nobody.
    """
    reference = parse_reference(text)
    with app.store.read() as tx:
        found = _stored_papers(tx, reference)
    answer = WhyAnswer(
        text=text,
        lookup=Lookup.STORED,
        paper_id=reference.paper_id,
        scores_kept_days=app.settings.scores_kept_days,
    )
    if len(found) > 1:
        return replace(answer, lookup=Lookup.SEVERAL, papers=tuple(found))
    if found:
        return replace(answer, paper=found[0], paper_id=found[0].id)
    if not reference.paper_id:
        nothing = Lookup.NO_SUCH_TITLE if reference.title else Lookup.NO_PAPER
        return replace(answer, lookup=nothing)
    if asked_by is None:
        return replace(answer, lookup=Lookup.NOT_ASKED)
    return _ask_source(app, answer, asked_by)


def _stored_papers(tx: Connection, reference: PaperReference) -> list[Paper]:
    if reference.paper_id:
        return list(papers.by_ids(tx, [reference.paper_id]))
    if reference.title:
        return why_store.papers_by_title(tx, reference.title, MAX_MATCHES)
    return []


def _ask_source(app: App, answer: WhyAnswer, asked_by: str) -> WhyAnswer:
    source = app.source
    if not isinstance(source, LooksUpPapers):
        return replace(answer, lookup=Lookup.NO_ANSWER, problem=NOT_ASKABLE)
    if asked_by:
        today = app.clock().date()
        with app.store.begin() as tx:
            if not rate_limits.take_lookup(tx, asked_by, today, MAX_LOOKUPS):
                return replace(answer, lookup=Lookup.LIMIT)
    try:
        found = source.look_up(answer.paper_id)
    except SourceError as error:
        return replace(answer, lookup=Lookup.NO_ANSWER, problem=str(error))
    return replace(answer, lookup=Lookup.ASKED if found else Lookup.NO_SUCH_ID, paper=found)


def _with_rubrics(
    app: App,
    answer: WhyAnswer,
    readers: Mapping[str, Subscription | None],
    *,
    suggest: bool = True,
) -> WhyAnswer:
    if answer.paper is None and answer.lookup is not Lookup.NO_SUCH_ID:
        return answer
    with app.store.read() as tx:
        located = _located(tx, answer)
        dates = why_store.issue_dates(tx, list(readers))
        rows = why_store.covering(tx, list(readers), located.paper.id) if located else {}
        decided = []
        for slug, reader in readers.items():
            history = _history(tx, app, slug, dates.get(slug))
            if history and located:
                history = _about(tx, app, history, located, rows.get(slug), suggest=suggest)
            if history:
                decided.append(_for_reader(why.decide(history, located, app.clock()), reader))
    return replace(answer, rubrics=tuple(decided))


def _for_reader(answer: RubricAnswer, reader: Subscription | None) -> RubricAnswer:
    if reader is None:
        return answer
    since = reader.since.date() if reader.since else None
    return replace(answer, max_papers=reader.max_papers, subscribed=since)


def _located(tx: Connection, answer: WhyAnswer) -> LocatedPaper | None:
    if answer.paper is None:
        return None
    return LocatedPaper(answer.paper, why_store.listing_dates(tx, answer.paper))


def _history(
    tx: Connection, app: App, slug: str, issues: tuple[date, date] | None
) -> RubricHistory | None:
    """The rubric with the dates of its `issues`; None where nothing is known of it."""
    rubric = app.rubrics.get(slug)
    if rubric is None:
        newest = digests.latest(tx, slug)
        rubric = newest[1].rubric if newest else None
    if rubric is None:
        return None
    first, last = issues or (None, None)
    return RubricHistory(rubric, first, last, last - LATE_WINDOW if last else None)


def _about(
    tx: Connection,
    app: App,
    history: RubricHistory,
    located: LocatedPaper,
    row: why_store.CoveringRow | None,
    *,
    suggest: bool,
) -> RubricHistory:
    """The history with what is stored about the paper."""
    digest = digests.by_id(tx, row.digest_id) if row else None
    if row and digest:
        found = _covered(tx, app, history, row.digest_id, digest, row.unscored, located.paper)
        return _with_suggestions(tx, app, found, located.paper) if suggest else found
    return _uncovered(tx, history, located, suggest=suggest)


def _covered(
    tx: Connection,
    app: App,
    history: RubricHistory,
    digest_id: int,
    digest: Digest,
    unscored: Unscored | None,
    paper: Paper,
) -> RubricHistory:
    issue = why.CoveringIssue(digest, unscored)
    if paper.id in digest.coverage.unread:
        issue = replace(issue, unscored=unscored or _derived(digest, paper))
    else:
        scorers = [*why_store.scorers_of(tx, digest.rubric.slug, digest.date), app.scorer.name]
        issue = _with_scores(tx, issue, digest_id, paper, scorers)
    return replace(history, covering=issue)


def _with_suggestions(
    tx: Connection, app: App, history: RubricHistory, paper: Paper
) -> RubricHistory:
    """With what the last issues tell of lower cut-offs, or of the word that excluded the paper."""
    issue, slug = history.covering, history.rubric.slug
    if issue is None or any(pick.paper.id == paper.id for pick in issue.digest.picks):
        return history
    if paper.id in issue.digest.coverage.unread:
        return replace(history, excluded=_excluded(tx, slug, issue.unscored))
    if not issue.digest.judged:
        return history
    return replace(history, recent=tuple(_recent(tx, app, slug)))


def _derived(digest: Digest, paper: Paper) -> Unscored | None:
    """Why a paper of an older digest was not read, as far as the frozen digest proves it."""
    _, words = split_excluded(digest.rubric, [paper])
    if words:
        return Unscored(Outcome.EXCLUDED, words[paper.id])
    shown: tuple[Pick | NearMiss, ...] = (*digest.picks, *digest.near_misses)
    original = next((one.paper.id for one in shown if paper.id in one.also), "")
    return Unscored(Outcome.DUPLICATE, original) if original else None


def _excluded(tx: Connection, slug: str, unscored: Unscored | None) -> ExcludedPapers | None:
    """How many papers the word that excluded this one excluded lately."""
    if unscored is None or unscored.outcome is not Outcome.EXCLUDED:
        return None
    recent = digests.last_ids(tx, slug, RECENT_ISSUES)
    count = why_store.count_excluded(tx, recent, unscored.reason)
    return why.ExcludedPapers(unscored.reason, count, len(recent))


def _with_scores(
    tx: Connection,
    issue: CoveringIssue,
    digest_id: int,
    paper: Paper,
    scorers: Sequence[str],
) -> CoveringIssue:
    """The issue with both readings of the paper, merged as in the digest."""
    digest = issue.digest
    rubric = digest.rubric
    for scorer in dict.fromkeys(scorers):
        account = Account(rubric.slug, rubric.fingerprint, scorer, digest.date, "")
        known = scores.known(tx, account, [paper.id])
        first, second = (
            {key: found for key, found in known[reading].items() if isinstance(found, Score)}
            for reading in (1, 2)
        )
        merged = merge_all_scores([paper], first, second).get(paper.id)
        if merged is None:
            continue
        rank = (0, 0)
        if merged.similarity is not None:
            similarity = merged.similarity
            rank = why_store.local_rank(tx, digest_id, rubric.fingerprint, scorer, similarity)
        readings = (*first.values(), *second.values())
        return replace(issue, readings=readings, score=merged, rank=rank[0], ranked=rank[1])
    return issue


def _recent(tx: Connection, app: App, slug: str) -> Iterator[ScoredIssue]:
    """The scores of the papers that the last issues did not pick."""
    for digest_id in digests.last_ids(tx, slug, RECENT_ISSUES):
        digest = digests.by_id(tx, digest_id)
        if digest is None or not digest.judged:
            continue
        scorers = [*why_store.scorers_of(tx, slug, digest.date), app.scorer.name]
        found = why_store.unpicked_readings(tx, digest_id, digest.rubric.fingerprint, scorers)
        limit = digest.rubric.max_papers
        yield why.ScoredIssue(
            why.cut_offs_of(digest.rubric),
            None if limit is None else max(0, limit - len(digest.picks)),
            tuple(_merged(tx, found)),
        )


def _merged(
    tx: Connection, readings: Sequence[why_store.StoredReading]
) -> Iterator[tuple[int, int]]:
    """Relevance and novelty of each paper: both readings merged, as for a digest."""
    by_reading: dict[int, dict[str, Score]] = {1: {}, 2: {}}
    for one in readings:
        made = Score(one.paper_id, "", one.relevance, one.novelty)
        by_reading[one.reading].setdefault(one.paper_id, made)
    first, second = by_reading[1], by_reading[2]
    differ = [key for key, score in second.items() if key in first and score != first[key]]
    suspicious = {paper.id for paper in papers.by_ids(tx, differ) if is_suspicious(paper)}
    for key, score in first.items():
        merged = merge_scores(score, second.get(key), suspicious=key in suspicious)
        yield merged.relevance or 0, merged.novelty or 0


def _uncovered(
    tx: Connection, history: RubricHistory, located: LocatedPaper, *, suggest: bool
) -> RubricHistory:
    slug, day = history.rubric.slug, _first_date(history.rubric, located)
    stored = digests.load(tx, slug, day) if day else None
    issue = stored[1] if stored else None
    volumes = _volumes(tx, issue, history, located) if suggest else ()
    return replace(history, issue_of_date=issue, volumes=volumes)


def _volumes(
    tx: Connection, issue: Digest | None, history: RubricHistory, located: LocatedPaper
) -> tuple[CategoryVolume, ...]:
    """Of the paper's categories, where the rubric reads none of them."""
    rubric, categories = issue.rubric if issue else history.rubric, located.paper.categories
    if set(rubric.categories) & set(categories):
        return ()
    counted = (
        why.average_papers(name, why_store.paper_counts(tx, name, RECENT_ISSUES))
        for name in categories
    )
    return tuple(volume for volume in counted if volume)


def _first_date(rubric: Rubric, located: LocatedPaper) -> date | None:
    """The date of the first listing in the rubric's categories, else in any."""
    own = [day for name, day in located.listed.items() if name in rubric.categories]
    return min(own or located.listed.values(), default=None)
