"""`why`: what became of a paper in the rubrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsletter import bootstrap
from newsletter.cli.console import print_json, say
from newsletter.cli.run import check_slug
from newsletter.domain.why import Lookup
from newsletter.inbound import why
from newsletter.render.why import as_text, view_of
from newsletter.rubrics.folder import of_operator
from newsletter.settings import read_settings

if TYPE_CHECKING:
    from newsletter.domain.model import Paper, Score
    from newsletter.domain.why import RubricAnswer, WhyAnswer

FOUND = (Lookup.STORED, Lookup.ASKED, Lookup.NO_SUCH_ID)


def show_why(paper: str, slug: str | None, *, as_json: bool) -> int:
    """Status 1 where the paper could not be found, except that arXiv has none with this id."""
    app = bootstrap.build_app(read_settings(), create=False)
    if slug is not None:
        check_slug(app, slug)
    slugs = [slug] if slug else sorted(of_operator(app.rubrics))
    answer = why.answer_operator(app, paper, slugs)
    if as_json:
        print_json(_facts(answer))
    else:
        say(as_text(view_of(answer, app.links.issue_url)))
    return 0 if answer.lookup in FOUND else 1


def _facts(answer: WhyAnswer) -> dict[str, Any]:
    return {
        "asked": answer.text,
        "lookup": answer.lookup.value,
        "problem": answer.problem,
        "paper": _paper(answer.paper) if answer.paper else None,
        "papers": [_paper(one) for one in answer.papers],
        "scores_kept_days": answer.scores_kept_days,
        "rubrics": [_rubric(one) for one in answer.rubrics],
    }


def _paper(paper: Paper) -> dict[str, Any]:
    return {"id": paper.id, "title": paper.title, "categories": list(paper.categories)}


def _rubric(one: RubricAnswer) -> dict[str, Any]:
    return {
        "rubric": one.rubric.slug,
        "result": one.result.value,
        "outcome": one.outcome.value if one.outcome else None,
        "date": one.date.isoformat() if one.date else None,
        "number": one.number or None,
        "cut_offs": {"relevance": one.rubric.relevance, "novelty": one.rubric.novelty},
        "score": _score(one.score) if one.score else None,
        "readings": [_score(each) for each in one.readings],
        "missing": one.missing._asdict(),
        "reason": one.reason,
        "suggestion": _suggestion(one),
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "relevance": score.relevance,
        "novelty": score.novelty,
        "criterion": score.criterion,
        "comment": score.comment,
        "similarity": score.similarity,
        "model": score.model,
    }


def _suggestion(one: RubricAnswer) -> dict[str, Any] | None:
    if one.suggestion is None:
        return None
    facts = one.suggestion._asdict()
    return {
        key: value._asdict() if hasattr(value, "_asdict") else value for key, value in facts.items()
    }
