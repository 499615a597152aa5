from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.mail import Format
from newsletter.render import Renderer
from newsletter.render.digest_email import (
    RESERVED_BYTES,
    TooLongError,
    render,
    template_values,
)
from newsletter.render.paper_html import PaperParts, filled_size, size
from newsletter.render.paper_view import entries
from newsletter.render.size_budget import (
    FULL_ABSTRACT,
    MAX_BYTES,
    TARGET_BYTES,
    PartSizes,
    SizePlan,
    brief_plans,
    choose_plan,
    full_plans,
    title_plans,
)
from newsletter.render.truncate import clip_clause, clip_sentences, clip_words, sentences
from tests.render.gallery import issues
from tests.render.gallery.issues import NAV, READER, SITE, digest, many, pick

RENDERER = Renderer(SITE)
needs_corpus = pytest.mark.skipif(not issues.CORPUS.exists(), reason="the corpus is not here")
LONGEST = "We propose a method that costs less & does more than “all others” < 1. " * 27
CROWD = tuple(f"Maximiliane Mustermann-Łukasiewicz {number}" for number in range(395))


def ladder(plans) -> list[SizePlan]:
    """All plans of all lists, in the order of trying."""
    return [plan for falling in plans for plan in falling]


def flat(papers: int) -> PartSizes:
    """Sizes as they are on a usual day, the same for every paper."""
    return PartSizes(
        {
            "contents": lambda: [260] * papers,
            "card": lambda: [722] * papers,
            "votes": lambda: [260] * min(papers, 10) + [110] * max(0, papers - 10),
            "line": lambda: [300] * papers,
            "title": lambda: [204] * papers,
            "short": lambda: [155] * papers,
        },
        abstracts=lambda limit: [min(limit, 1_400) + 7] * papers,
        frame=lambda cards, listed: (700 if cards else 0) + (80 if listed > cards else 0),
    )


@pytest.mark.parametrize("papers", [0, 1, 2, 3, 4, 20, 21, 48, 60, 100, 180, 400, 900])
def test_plans_get_smaller_and_shorten_the_least_relevant_first(papers):
    for falling in full_plans(papers):
        weights = [flat(papers).total(plan) for plan in falling]
        # The step from cards to lines adds the heading of the lines, and nothing else may add.
        assert all(after <= before + 80 for before, after in pairwise(weights))
        for plan in falling:
            caps = [plan.abstract_limit(place) for place in range(papers)]
            assert caps == sorted(caps, reverse=True)
            assert plan.rated <= plan.cards
            assert 0 <= plan.uncut <= plan.abstracts <= plan.cards <= plan.listed <= papers


@given(papers=st.integers(0, 400), available=st.integers(0, 200_000))
def test_the_first_plan_that_fits_is_chosen(papers, available):
    sizes = flat(papers)
    plan = choose_plan(full_plans(papers), sizes, available)
    plans = ladder(full_plans(papers))
    fitting = [each for each in plans if sizes.total(each) <= available]
    assert plan == (fitting[0] if fitting else plans[-1])


def test_ten_papers_have_their_abstract_and_the_others_two_sentences():
    plan = choose_plan(full_plans(48), flat(48), 90_000)
    assert plan == SizePlan(48, 48, 400, 48, uncut=10, rated=48)
    assert [plan.abstract_limit(place) for place in (0, 9, 10, 47)] == [4_000, 4_000, 400, 400]
    assert choose_plan(full_plans(8), flat(8), 90_000) == SizePlan(8, 8, 400, 8, uncut=8, rated=8)
    assert choose_plan(brief_plans(48), flat(48), 90_000) == SizePlan(48, 48, 300, 48, rated=48)
    titles = SizePlan(0, 0, 0, 48, reasons=False)
    assert choose_plan(title_plans(48), flat(48), 90_000) == titles


def test_links_to_vote_are_dropped_before_anything_else():
    """From the end; an issue that still does not fit without them loses text as before."""
    everything = flat(48).total(SizePlan(48, 48, 400, 48, uncut=10, rated=48))
    fewer = choose_plan(full_plans(48), flat(48), everything - 1)
    none = choose_plan(full_plans(48), flat(48), everything - 10 * 260 - 38 * 110)
    less_text = choose_plan(full_plans(48), flat(48), everything - 10 * 260 - 38 * 110 - 1)
    assert fewer == SizePlan(48, 48, 400, 48, uncut=10, rated=47)
    assert none == SizePlan(48, 48, 400, 48, uncut=10)
    assert less_text == SizePlan(48, 47, 400, 48, uncut=10)


@needs_corpus
@pytest.mark.parametrize("count", [1, 2, 3, 20, 21, 48, 60, 80, 100, 180, 250, 400])
def test_computed_size_equals_rendered_size(count):
    """What the planner adds up is, to the byte, what is rendered."""
    picks = many(issues.corpus_picks("2025-09-23"), count)
    listed = entries(picks, judged=True)
    parts = PaperParts(
        listed, RENDERER._templates.macros("digest/pieces.html"), NAV.issue_url, "Best", "Also", 90
    )
    plan = choose_plan(full_plans(count), parts.sizes, TARGET_BYTES - 20_000)
    assert parts.sizes.total(plan) == filled_size(parts.html(plan), 90)


@needs_corpus
@pytest.mark.parametrize("count", [1, 2, 20, 48, 60, 80, 100, 180, 400])
def test_a_real_issue_stays_below_the_target(count):
    issue = digest(many(issues.corpus_picks("2025-09-23"), count))
    html, text = RENDERER.digest(issue, NAV, Format.FULL).for_reader(READER)
    assert size(html) <= TARGET_BYTES
    assert size(html) >= 75_000 or count < 48
    for each in issue.picks:
        assert html.count(f'href="{each.paper.abs_url}"') in (1, 2, 3)
        assert text.count(f"{each.paper.abs_url}\n") == 1


@pytest.mark.parametrize("count", [1, 2, 5, 13, 48, 97, 180, 301, 400])
@pytest.mark.parametrize("fmt", list(Format))
def test_the_longest_papers_stay_below_the_maximum(count, fmt):
    picks = tuple(
        pick(n, 1 + n % 10, title="Łong titles & “quotes” " * 9, abstract=LONGEST, authors=CROWD)
        for n in range(1, count + 1)
    )
    html, _ = RENDERER.digest(digest(picks), NAV, fmt).for_reader(READER)
    assert size(html) <= MAX_BYTES
    assert all(f'href="{each.paper.abs_url}"' in html for each in picks)


def test_papers_that_do_not_fit_are_counted():
    issue = digest(tuple(pick(n) for n in range(1, 2_001)))
    html, text = RENDERER.digest(issue, NAV, Format.FULL).for_reader(READER)
    named = html.count("/abs/")
    assert size(html) <= MAX_BYTES
    assert f"{2_000 - named:,} papers did not fit into this email" in html
    assert f"{2_000 - named} more did not fit into this email" in text


@needs_corpus
def test_each_part_keeps_to_its_byte_budget():
    picks = issues.corpus_picks("2025-09-23")
    listed = entries(picks, judged=True)
    parts = PaperParts(
        listed, RENDERER._templates.macros("digest/pieces.html"), NAV.issue_url, "Best", "Also", 90
    )
    values = template_values(SITE, digest(picks), NAV, listed)
    values |= {"papers": "", "offers_brief": True}
    assert size(RENDERER._templates.html("digest", values)) <= 14_600
    assert sum(map(size, parts._card_tops + parts._card_links)) / len(picks) <= 850
    assert max(map(size, parts._contents)) <= 380
    assert sum(map(size, parts._contents)) / len(picks) <= 270
    assert size(parts._best) <= 3_000
    urls = [READER.unsubscribe_url] * 2 + [READER.preferences_url] * 3 + [READER.why_url]
    assert sum(map(len, urls)) <= RESERVED_BYTES


ABSTRACT = (
    "Large models are costly to train. They are also slow, e.g. Transformers of J. Doe et al. "
    "have many layers. In this paper, we propose a sparse one. It costs 50% less. It is open."
)


def test_an_excerpt_has_whole_sentences_and_starts_at_the_contribution():
    excerpt, cut = clip_sentences(ABSTRACT, 100)
    assert excerpt == "… In this paper, we propose a sparse one. It costs 50% less. It is open."
    assert cut


def test_an_abbreviation_ends_no_sentence():
    assert sentences(ABSTRACT)[1].endswith("J. Doe et al. have many layers.")
    assert len(sentences(ABSTRACT)) == 5


def test_many_abbreviations_take_little_time():
    started = time.thread_time()
    clip_sentences("A. " * 3_000, 400, 2)
    assert time.thread_time() - started < 2


def test_space_that_is_left_goes_to_the_sentences_before():
    excerpt, _ = clip_sentences(ABSTRACT, len(ABSTRACT) - 1)
    assert excerpt.startswith("… They are also slow, e.g. Transformers of J. Doe et al. have")


def test_text_that_fits_is_unchanged():
    assert clip_sentences(ABSTRACT, 1_000) == (ABSTRACT, False)


@given(st.text(max_size=400), st.integers(20, 200))
def test_an_excerpt_is_never_longer_than_its_limit(text, limit):
    excerpt, cut = clip_sentences(text, limit)
    assert len(excerpt) <= limit
    assert cut is (len(text) > limit)
    assert len(clip_words(text, limit)) <= limit


def test_two_sentences_from_the_contribution_on():
    excerpt, cut = clip_sentences(ABSTRACT, 200, 2)
    assert excerpt == "… In this paper, we propose a sparse one. It costs 50% less."
    assert cut
    assert clip_sentences("One. Two.", 200, 2) == ("One. Two.", False)
    assert clip_sentences("We show one. Two. Three.", 200, 2) == ("We show one. Two.", True)


def test_a_cut_keeps_a_last_word_that_is_whole():
    assert clip_words("one two three", 8) == "one two…"
    assert clip_words("one two three four", 12) == "one two…"


def test_plans_first_remove_excerpts_then_shorten_abstracts_then_cards():
    reasons, titles, short, lines, *rest = full_plans(13)
    assert not rest
    assert [p.rated for p in reasons[:14]] == list(range(13, -1, -1))
    assert not any(p.rated for p in reasons[14:])
    assert [(p.cards, p.abstracts, p.uncut) for p in reasons] == [
        *((13, 13, 10) for _ in range(13)),
        *((13, kept, 10) for kept in (13, 12, 11, 10)),
        *((13, 10, uncut) for uncut in (9, 8, 7, 6, 5, 4, 3)),
        *((cards, min(cards, 10), 3) for cards in range(12, 2, -1)),
        *((3, kept, kept) for kept in (2, 1, 0)),
    ]
    assert {(p.limit, p.listed, p.line) for p in reasons} == {(400, 13, "line")}
    assert {p.line for p in titles} == {"title"}
    assert {p.line for p in short} == {"short"}
    # With every paper a card there is no line without its reason.
    assert [p.cards for p in titles] == [p.cards for p in short] == [*range(12, 2, -1), 3, 3, 3]
    assert lines == next(title_plans(13))


def test_plans_end_with_lines_then_short_lines_then_fewer_lines():
    lines = [SizePlan(0, 0, 0, 3, reasons=False)]
    short = [SizePlan(0, 0, 0, named, reasons=False, short=True) for named in (3, 2, 1, 0)]
    assert list(title_plans(3)) == [lines + short]
    assert ladder(full_plans(3))[-5:] == lines + short
    assert ladder(brief_plans(3))[0] == SizePlan(3, 3, 300, 3, uncut=0, short=False, rated=3)


def test_abstract_limits_by_index():
    plan = SizePlan(cards=9, abstracts=7, limit=500, listed=9, uncut=5)
    assert [plan.abstract_limit(place) for place in (0, 4, 5, 6, 7, 8)] == [
        4_000,
        4_000,
        500,
        500,
        0,
        0,
    ]


def counted(**changes) -> PartSizes:
    """Columns whose sums tell by their digits which parts were weighed."""
    columns = {
        "contents": lambda: [1] * 9,
        "card": lambda: [10] * 9,
        "line": lambda: [10_000] * 9,
        "title": lambda: [100_000] * 9,
        "short": lambda: [1_000_000] * 9,
    }
    return PartSizes(
        columns | changes,
        abstracts=lambda limit: [100 if limit == FULL_ABSTRACT else 1_000] * 9,
        frame=lambda cards, listed: 10_000_000 * cards + 100_000_000 * (listed - cards),
    )


@pytest.mark.parametrize(
    ("plan", "weight"),
    [
        # The three papers on top are no lines of the contents.
        (SizePlan(9, 9, 500, 9, uncut=5), 90_004_596),
        (SizePlan(9, 3, 500, 9, uncut=5), 90_000_396),
        (SizePlan(9, 9, FULL_ABSTRACT, 9, uncut=5), 90_000_996),
        (SizePlan(3, 2, 500, 3), 30_002_033),
        (SizePlan(5, 2, 500, 8), 350_032_052),
        (SizePlan(5, 2, 500, 8, reasons=False), 350_302_052),
        (SizePlan(0, 0, 0, 4, short=True), 404_000_000),
        (SizePlan(0, 0, 0, 0, short=True), 0),
    ],
)
def test_every_part_of_a_plan_is_counted_once(plan, weight):
    assert counted().total(plan) == weight


def test_a_column_is_computed_once_and_only_if_needed():
    asked = []
    sizes = counted(card=lambda: asked.append("card") or [10] * 9)
    sizes.total(SizePlan(0, 0, 0, 4, short=True))
    assert asked == []
    sizes.total(SizePlan(9, 9, 500, 9))
    sizes.total(SizePlan(8, 8, 500, 9))
    assert asked == ["card"]


@pytest.mark.parametrize("papers", [3, 20, 48])
def test_a_plan_is_chosen_up_to_its_last_byte(papers):
    sizes = flat(papers)
    first = next(full_plans(papers))
    smaller = [p for b, p in pairwise(first) if sizes.total(p) < sizes.total(b)]
    assert len(smaller) > papers - 2
    for plan in smaller:
        assert choose_plan(full_plans(papers), sizes, sizes.total(plan)) == plan
        assert choose_plan(full_plans(papers), sizes, sizes.total(plan) - 1) != plan
    assert choose_plan(full_plans(papers), sizes, -1) == ladder(full_plans(papers))[-1]


def rendered(issue, site=SITE) -> str:
    return render(RENDERER._templates, site, issue, NAV, Format.FULL, None)[1]


def test_an_email_above_the_maximum_is_refused():
    def of(letters: int) -> str:
        return rendered(digest(), replace(SITE, postal_address="x" * letters))

    available = MAX_BYTES - RESERVED_BYTES - (size(of(80_000)) - 80_000)
    assert size(of(available)) + RESERVED_BYTES == MAX_BYTES == 100_000
    with pytest.raises(TooLongError, match="98,001 bytes"):
        of(available + 1)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("Vision Transformers with the least of all tokens", 30, "Vision Transformers…"),
        ("Experts that a router sees, which is trained", 36, "Experts that a router sees…"),
        (
            "A compiler of stacked graphs (with all of its hardware)",
            40,
            "A compiler of stacked graphs…",
        ),
        ("Work on IT security of hospitals and schools", 12, "Work on IT…"),
        ("For the and of with from", 12, "For the and…"),
    ],
)
def test_a_cut_ends_with_no_word_that_needs_another(text: str, limit: int, shown: str) -> None:
    assert clip_words(text, limit) == shown


def test_a_reason_is_cut_after_a_clause_where_that_fills_the_line() -> None:
    text = "Compression: ternary weights, trained from scratch; a kernel that is fast"
    assert clip_clause(text, 52) == "Compression: ternary weights, trained from scratch…"
    assert clip_clause(text, 46) == "Compression: ternary weights…"
    assert clip_clause(text, 100) == text
    assert clip_clause("Compression. Ternary weights of a large model", 30).endswith("weights…")
