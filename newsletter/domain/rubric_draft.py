"""Draft a rubric from a sentence and liked papers, without a model (pure).

The papers are grouped by their words, and each group becomes a criterion that names the words which
tell it from other papers. The draft says that it is only a list of words.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from newsletter.domain.categories import is_known
from newsletter.domain.formatting import plural
from newsletter.domain.model import Criterion, Rubric
from newsletter.domain.sanitize import strip_invisible
from newsletter.domain.similarity import similarities
from newsletter.domain.tfidf import STOP_WORDS, WordCounts, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from newsletter.domain.model import Paper
    from newsletter.domain.tfidf import Floats, Integers
MAX_SENTENCE = 500
ONLY_MENTIONED = "papers that only mention this, or use it without adding to it."
MAX_GROUPS = 5
PAPERS_A_GROUP = 6
"""A new group for about so many papers: fewer say too little about what they share."""
MIN_IN_GROUP = 3
TERMS = 8
MAX_CATEGORIES = 5
MAX_GUESSED = 3
ALIKE = 20
"""Number of similar papers that give a text without categories its categories."""
ROUNDS = 20
TERM = re.compile(r"[^\W\d_](?:-?[^\W\d_])+")
"""A word in any alphabet, with single hyphens."""
TOKEN = re.compile(rf"\\\w+|{TERM.pattern}|\S")
"""A TeX command, a term, or a character between terms."""
_PAPER_WORDS = """
paper papers propose proposed proposes approach approaches method methods results result novel new
based using use used uses show shows demonstrate present existing state art performance experiments
work study different model models data large high code available http https github com introduce
achieve achieves significantly outperforms task tasks
"""
PAPER_WORDS = frozenset(_PAPER_WORDS.split())
"""Words of every abstract, whatever its field."""


class LibraryPaper(NamedTuple):
    """A paper that somebody likes. `arxiv_id` has no version and is empty where there is none."""

    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    arxiv_id: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class DraftCriterion:
    title: str
    relevant: str
    irrelevant: str = ""


@dataclass(frozen=True, slots=True)
class RubricDraft:
    """`note` says how the draft was made; it stands as a comment in the file."""

    title: str
    categories: tuple[str, ...]
    criteria: tuple[DraftCriterion, ...]
    keywords: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    note: str = ""


def draft_locally(
    about: str,
    liked: Sequence[LibraryPaper],
    background: Iterable[str],
    categories: Sequence[str],
    authors: Sequence[str] = (),
) -> RubricDraft:
    """Draft from a sentence, liked papers, and texts of other papers to tell them from.

    `categories` go before those of the papers. Raises ValueError for a sentence without words or
    too long, where there is neither a sentence nor a paper, and where no category is known.
    """
    sentence = _checked_sentence(about)
    texts = [f"{paper.title}. {paper.abstract}" for paper in liked if paper.title]
    if not sentence and not texts:
        message = "nothing to draft from: give a sentence, or papers with titles"
        raise ValueError(message)
    chosen = common_categories(categories, liked)
    if not chosen:
        message = "no arXiv category is known: name one or more, like cs.LG"
        raise ValueError(message)
    common = Counter(term for text in background for term in _terms(text))
    groups = [_terms_of_group(group, common) for group in _groups(texts)]
    criteria = [DraftCriterion(_title(sentence), sentence, ONLY_MENTIONED)] if sentence else []
    criteria += [
        DraftCriterion(", ".join(terms[:3]), f"papers about {', '.join(terms)}.")
        for terms in groups
        if terms
    ]
    return RubricDraft(
        title=_title(sentence) if sentence else criteria[0].title if criteria else "My papers",
        categories=chosen,
        criteria=tuple(criteria) or (DraftCriterion("My papers", "papers like those I read."),),
        authors=tuple(authors),
        note=(
            f"Drafted on this machine from {_sources(sentence, len(texts))}: words that tell these "
            "papers from others, without a model. Say in your own words what you want, what not."
        ),
    )


def _checked_sentence(about: str) -> str:
    sentence = strip_invisible(about)
    if len(sentence) > MAX_SENTENCE:
        message = f"it is longer than {MAX_SENTENCE} characters; say it in a sentence or two"
        raise ValueError(message)
    if sentence and not any(character.isalpha() for character in sentence):
        message = "it has no words; say in a sentence what you want to read about"
        raise ValueError(message)
    return sentence


def common_categories(given: Sequence[str], liked: Sequence[LibraryPaper]) -> tuple[str, ...]:
    """The given categories, then those of at least a tenth of the papers, most frequent first."""
    counted = Counter(paper.category for paper in liked if is_known(paper.category))
    least = max(1, sum(counted.values()) // 10)
    usual = [name for name, count in counted.most_common(MAX_CATEGORIES) if count >= least]
    return tuple(dict.fromkeys([*given, *usual]))


def likely_categories(texts: Sequence[str], papers: Sequence[Paper]) -> tuple[str, ...]:
    """The categories of the papers whose words are most like these texts, the most frequent first.

    None where no paper shares a word with them.
    """
    criteria = tuple(Criterion(place, "", text) for place, text in enumerate(texts, 1))
    scores = similarities(Rubric("draft", "", (), criteria), papers)
    ranked = sorted(zip(scores, papers, strict=True), key=lambda pair: (-pair[0], pair[1].id))
    alike = [
        LibraryPaper(paper.title, category=paper.primary_category)
        for value, paper in ranked[:ALIKE]
        if value > 0
    ]
    return common_categories([], alike)[:MAX_GUESSED]


def representatives(texts: Sequence[str], count: int) -> list[int]:
    """The places of `count` texts that stand for all: of each group the one nearest its middle."""
    if len(texts) <= count:
        return list(range(len(texts)))
    vectors = _vectors(texts, 2_000)
    middles, places = _middles(vectors, count)
    nearest = []
    for group in range(count):
        own = np.flatnonzero(places == group)
        if len(own):
            nearest.append(int(own[np.argmax(vectors[own] @ middles[group])]))
    return sorted(nearest)


def rubric_markdown(draft: RubricDraft) -> str:
    """The text of a rubric file (docs/rubrics.md)."""
    front = [
        f"title: {json.dumps(draft.title, ensure_ascii=False)}",
        "# Every new paper of these arXiv categories is read.",
        f"categories: [{', '.join(draft.categories)}]",
        "# Both scores go from 1 to 10; papers at or above these are sent.",
        "relevance: 7",
        "novelty: 5",
    ]
    if draft.authors:
        front.append(f"authors: {json.dumps(list(draft.authors), ensure_ascii=False)}")
    lines = ["---", *(f"# {line}" for line in wrap(draft.note, 95)), *front, "---", ""]
    lines += ["## Criteria", ""]
    for number, item in enumerate(draft.criteria, 1):
        lines += [f"{number}. {item.title}", f"   - Relevant: {item.relevant}"]
        if item.irrelevant:
            lines.append(f"   - Irrelevant: {item.irrelevant}")
    if draft.keywords:
        lines += ["", "## Keywords", "", ", ".join(draft.keywords)]
    return "\n".join([*lines, ""])


def _groups(texts: Sequence[str]) -> list[list[str]]:
    """Texts grouped by cosine similarity: spherical k-means from the most distant texts.

    The largest group comes first. The same texts always give the same groups.
    """
    count = min(MAX_GROUPS, round(len(texts) / PAPERS_A_GROUP))
    if count <= 1:
        return [list(texts)] if texts else []
    vectors = _vectors(texts, 5_000)
    middles, places = _middles(vectors, count)
    return _by_group(texts, _without_small(vectors, middles, places))


def _vectors(texts: Sequence[str], max_words: int) -> Floats:
    words = WordCounts()
    counts = words.matrix([], texts)
    matrix = fit(counts, words.words, max_words=max_words, sublinear=True).vectors(counts)
    return np.array([matrix.dense_row(row) for row in range(len(texts))])


def _middles(vectors: Floats, count: int) -> tuple[Floats, Integers]:
    """Spherical k-means: the middle of each group, and the group of each text."""
    centres = [vectors[int(np.argmax(vectors @ vectors.sum(axis=0)))]]
    while len(centres) < count:
        nearest = np.max(vectors @ np.array(centres).T, axis=1)
        centres.append(vectors[int(np.argmin(nearest))])
    middles = np.array(centres)
    places = np.argmax(vectors @ middles.T, axis=1)
    for _ in range(ROUNDS):
        for group in range(count):
            total = vectors[places == group].sum(axis=0)
            middles[group] = total / (np.linalg.norm(total) or 1.0)
        moved = np.argmax(vectors @ middles.T, axis=1)
        if (moved == places).all():
            break
        places = moved
    return middles, places


def _without_small(vectors: Floats, middles: Floats, places: Integers) -> Integers:
    """Move the texts of groups that are too small to share words to the nearest other group."""
    large = np.flatnonzero(np.bincount(places, minlength=len(middles)) >= MIN_IN_GROUP)
    if not len(large):
        return np.zeros_like(places)
    moved: Integers = large[np.argmax(vectors @ middles[large].T, axis=1)]
    return moved


def _by_group(texts: Sequence[str], places: Integers) -> list[list[str]]:
    """The largest group first."""
    groups: dict[int, list[str]] = {}
    for text, place in zip(texts, places.tolist(), strict=True):
        groups.setdefault(place, []).append(text)
    return sorted(groups.values(), key=len, reverse=True)


def _terms_of_group(texts: Sequence[str], common: Counter[str]) -> list[str]:
    """The terms that many of these texts have and few others; phrases go before their words."""
    counted = Counter(term for text in texts for term in _terms(text))
    least = 2 if len(texts) > 2 else 1  # noqa: PLR2004 - of one or two texts each term may count
    others = max(common.values(), default=0) + 1

    def weight(term: str) -> float:
        rarity = math.log((others + 1) / (common[term] + 1)) if common else 1.0
        return counted[term] / len(texts) * rarity * (1.5 if " " in term else 1.0)

    ranked = sorted((t for t, n in counted.items() if n >= least), key=lambda t: (-weight(t), t))
    found: list[str] = []
    for term in ranked:
        if not any(_overlap(term, other) for other in found):
            found.append(term)
        if len(found) == TERMS:
            break
    return found


def _overlap(term: str, other: str) -> bool:
    return bool({*term.split()} & {*other.split()})


def _terms(text: str) -> set[str]:
    """Words and pairs of neighbouring words, without stop words and the words of every abstract."""
    terms: set[str] = set()
    before = ""
    for token in TOKEN.findall(text.lower()):
        usable = TERM.fullmatch(token) and token not in STOP_WORDS and token not in PAPER_WORDS
        if usable:
            terms.add(token)
            if before:
                terms.add(f"{before} {token}")
        before = token if usable else ""
    return terms


def _title(sentence: str) -> str:
    line = sentence.rstrip(".")
    return line if len(line) <= 60 else line[:60].rsplit(" ", 1)[0].rstrip(".,;:") + " …"  # noqa: PLR2004


def _sources(sentence: str, papers: int) -> str:
    parts = ["a sentence"] if sentence else []
    parts += [plural(papers, "paper")] if papers else []
    return " and ".join(parts)
