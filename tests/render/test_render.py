# ruff: noqa: RUF001 - typographic dashes and quotation marks are intended
from __future__ import annotations

import dataclasses
import re
from datetime import date

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.mail import Format
from newsletter.domain.model import Coverage, DayKind, Outcome, Pick, Score, Usage
from newsletter.render import Navigation, Rendered, RenderedReader, Renderer
from tests.render.gallery import issues
from tests.render.gallery.issues import NAV, READER, SITE, digest, near_miss, paper, pick

needs_corpus = pytest.mark.skipif(not issues.CORPUS.exists(), reason="the corpus is not here")
RENDERER = Renderer(SITE)


def show(issue, fmt=Format.FULL, max_papers=None, nav=NAV) -> tuple[Rendered, BeautifulSoup, str]:
    rendered = RENDERER.digest(issue, nav, fmt, max_papers)
    html, text = rendered.for_reader(READER)
    return rendered, BeautifulSoup(html, "lxml"), text


def words(node) -> str:
    return " ".join(node.get_text(" ").replace("\xa0", " ").split())


@needs_corpus
def test_a_real_day_shows_every_paper_in_order_with_its_scores():
    picks = issues.corpus_picks("2025-09-23")
    _, page, text = show(digest(picks))
    cards = [heading for heading in page.find_all("h3") if "/abs/" in heading.a["href"]]
    assert [card.a["href"] for card in cards] == [each.paper.abs_url for each in picks]
    for number, (card, each) in enumerate(zip(cards, picks, strict=True), 1):
        assert words(card).startswith(f"{number}. ")
        scores = words(card.find_next("p", class_="s"))
        first = each.paper.authors[0]
        assert re.fullmatch(
            rf"Relevance {each.score.relevance}/10 Novelty {each.score.novelty}/10"
            + ("" if number <= 3 else rf" {re.escape(first)}( \+\d+)?"),
            scores,
        )
        assert each.paper.abs_url in text


def test_the_subject_is_the_best_paper_and_the_preheader_the_next_two():
    long = "PTQTP: Post-Training Quantization to Trit-Planes for Large Language Models"
    rendered, page, _ = show(digest((pick(1, title=long), *(pick(n) for n in range(2, 49)))))
    subject = "PTQTP: Post-Training Quantization to Trit-Planes… + 47 more · Foundation models"
    assert rendered.subject == subject
    second, third = (f"{n}. A sparse mixture of experts, part {n}" for n in (2, 3))
    assert page.body.find("div").get_text().strip() == f"{second} · {third}"
    rendered, _, _ = show(digest((pick(1), pick(2))))
    assert rendered.subject == "A sparse mixture of experts, part 1 + 1 more · Foundation models"


def test_the_document_title_has_rubric_count_and_date():
    _, page, _ = show(digest((pick(1), pick(2))))
    assert page.title.get_text() == "Foundation models: 2 papers · 23 Sep 2025"


def test_a_subject_of_several_days_begins_with_them():
    rendered, page, _ = show(digest((pick(1), pick(2)), since=date(2025, 9, 17)))
    first = "17–23 Sep 2025: A sparse mixture of experts, part 1"
    assert rendered.subject == f"{first} + 1 more · Foundation models"
    assert page.title.get_text().endswith("17–23 Sep 2025")


def test_a_card_that_is_not_compact_has_a_bibtex_link():
    _, page, _ = show(digest(tuple(pick(n) for n in range(1, 22))))
    links = [link["href"] for link in page.find_all("a", string="BibTeX")]
    assert links == [f"https://arxiv.org/bibtex/2509.{n:05d}" for n in (1, 2, 3)]


def test_one_paper_is_singular():
    rendered, page, text = show(digest((pick(1),)))
    assert rendered.subject == "A sparse mixture of experts, part 1 · Foundation models"
    assert "1 paper ·" in page.title.get_text()
    assert "1 papers" not in words(page) + text


def test_the_best_three_stand_on_top_without_their_abstracts():
    _, page, text = show(digest(tuple(pick(n) for n in range(1, 6))))
    best, contents, cards = page.find_all("h2")[:3]
    assert (words(best), words(contents), words(cards)) == (
        "Today’s best",
        "All 5 1 to 3 above",
        "The papers",
    )
    top = words(page)[: words(page).index("All 5")]
    assert top.count("Relevance 8/10 Novelty 7/10 Model architecture: a sparse MoE.") == 3
    assert "We propose a sparse one" not in top
    assert text.index("TODAY’S BEST") < text.index("ALL 5 (1 TO 3 ABOVE)") < text.index("PAPERS\n")
    _, page, _ = show(digest(tuple(pick(n) for n in range(1, 4))))
    assert [words(heading) for heading in page.find_all("h2")[:2]] == [
        "In this issue",
        "The papers",
    ]


def test_the_contents_give_reason_first_author_and_sum():
    reason = "Model architecture: " + "routes every token to the expert that knows it best " * 9
    score = Score("2509.00004", "m", 9, 8, comment=reason)
    fourth = Pick(paper(4, authors=("Jin Xu", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")), score)
    _, page, text = show(digest((*(pick(n) for n in range(1, 4)), fourth)))
    line = words(page.find("ol").li.small)
    assert re.fullmatch(r"17 Model architecture: routes every token[^…]{30,60}… Jin Xu \+26", line)
    assert "17 of 20 · Model architecture: routes every token" in text


def test_a_long_issue_offers_the_brief_format_and_a_phone_hides_its_later_abstracts():
    _, page, text = show(digest(tuple(pick(n) for n in range(1, 22))))
    assert page.find("a", string="Shorter emails")["href"] == READER.preferences_url
    assert "choose the brief format" in text
    hidden = page.find_all("p", class_="x")
    assert len(hidden) == 18
    assert all("We propose a sparse one" in words(abstract) for abstract in hidden)
    style = "".join(style.get_text() for style in page.find_all("style"))
    assert re.search(r"@media only screen and \(max-width:480px\)\{.*\.x[^{]*\{display:none", style)
    assert style.count(".x,") == 1
    for short in (digest(tuple(pick(n) for n in range(1, 21))), digest(())):
        _, page, _ = show(short)
        assert not page.find("a", string="Shorter emails")
        assert not page.find_all("p", class_="x")


def test_the_first_ten_abstracts_are_complete_and_the_others_two_sentences_and_a_link():
    picks = tuple(pick(n, abstract="We show it. It works. It is open.") for n in range(1, 13))
    _, page, _ = show(digest(picks))
    cards = [heading for heading in page.find_all("h3") if "/abs/" in heading.a["href"]]
    shown = [words(card.find_next("p", class_="w").find_next("p")) for card in cards]
    assert shown == ["We show it. It works. It is open."] * 10 + ["We show it. It works."] * 2
    links = [link["href"] for link in page.find_all("a", string="Abstract")]
    assert links == [f"{NAV.issue_url}#p11", f"{NAV.issue_url}#p12"]


def test_the_cost_table_sums_models_and_shows_unknown_cost():
    second = Usage("haiku", 10, 5, input_nanos=1_000_000_000, uncertain_nanos=20_000_000)
    _, page, text = show(digest((pick(1),), usage=(issues.USAGE, second)))
    table = page.find("caption", string=re.compile("Tokens and cost")).parent
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")
    ]
    assert rows[0][1:] == ["Prompt", "Completion", "Total"]
    assert ["gpt-5: tokens", "76,776", "79,041", "155,817"] in rows
    assert ["All models: tokens", "76,786", "79,046", "155,832"] in rows
    assert ["All models: cost", "$1.10", "$0.79", "$1.89"] in rows
    assert ["Unknown, at most", "", "", "$0.02"] in rows
    assert "Unknown, at most" in text


@pytest.mark.parametrize(
    ("usage", "cells"),
    [
        ((), ["$0.00", "$0.00", "$0.00"]),
        ((Usage("m", 9, 9, 0, 0, 4_200_000, 1_000_000),), ["$0.0042", "$0.0010", "$0.0052"]),
        ((Usage("m", 9, 9, 0, 0, 990_000_000, 3_000_000),), ["$0.9900", "$0.0030", "$0.9930"]),
        ((issues.USAGE,), ["$0.10", "$0.79", "$0.89"]),
    ],
)  # fmt: skip
def test_a_paid_amount_is_never_shown_as_zero(usage, cells):
    _, page, _ = show(digest((pick(1),), usage=usage))
    row = page.find("th", string="Cost").parent
    assert [cell.get_text() for cell in row.find_all("td")] == cells


def test_a_spread_a_followed_author_and_a_late_arrival_are_marked():
    score = Score("2509.00001", "m", 8, 7, comment="why", relevance_spread=(7, 9))
    marked = Pick(paper(1), score, followed="Ada Lovelace", late=True)
    _, page, text = show(digest((marked,)))
    for shown in (words(page), " ".join(text.split())):
        assert "Relevance 8/10 (7–9)" in shown
        assert "By Ada Lovelace, whom you follow" in shown
        assert "Late arrival" in shown


def test_eight_authors_are_named_and_the_others_counted():
    names = tuple(f"Author {number}" for number in range(1, 39))
    _, page, _ = show(digest((pick(1, authors=names),)))
    assert words(page.find("h3").find_next("p")) == ", ".join(names[:8]) + " and 30 more"
    assert words(page.find("ol").small) == "15 Author 1 +37"
    _, page, _ = show(digest((pick(1, authors=names[:1]),)))
    assert words(page.find("ol").small) == "15 Author 1"
    _, page, _ = show(digest((pick(1, authors=names[:9]),)))
    assert words(page.find("h3").find_next("p")) == ", ".join(names[:8]) + " and 1 more"


@pytest.mark.parametrize("names", [(), ("",), ("\x07 ",)])
@pytest.mark.parametrize("fmt", list(Format))
def test_a_paper_without_a_name_leaves_no_separator_behind(fmt, names):
    nameless = tuple(pick(n, authors=names) for n in range(1, 30))
    near = dataclasses.replace(near_miss(), paper=paper(900, authors=names))
    rendered, page, text = show(digest(nameless, near_misses=(near,)), fmt)
    named = "No author named" if not names else "Unnamed author"
    assert words(page).count(named) >= 30
    assert not re.search(r"· *</small>|<small>[^\w<]*·|·\s*·", rendered.html.replace("\xa0", " "))
    assert not re.search(r"^ *·|·$", text, re.MULTILINE)


def test_a_local_ranking_is_labelled_and_shows_no_scores():
    score = Score("2509.00001", "local", None, None, similarity=0.423)
    local = digest((Pick(paper(1), score),), judged=False, usage=())
    _, page, text = show(local)
    for shown in (words(page), " ".join(text.split())):
        assert "anked locally, not read by a model; novelty not judged" in shown
        assert "Rank 1" in shown
        assert "1 closest" in shown
        assert "961 read" not in shown
        assert "Similarity 0.42" in shown
        assert not re.search(r"\d\s*/\s*[12]0\b", shown)
        assert not re.search(r"(relevance|novelty) \d", shown, re.IGNORECASE)
    assert "Ranked locally" in words(page.find_all("caption")[1])
    assert "Closest to your rubric" in words(page.find("h3").find_previous("h2"))


def test_an_unread_paper_of_a_followed_author_has_no_score():
    _, page, text = show(digest((Pick(paper(1), None, followed="Ada Lovelace"),)))
    assert "Not scored" in words(page.find("p", class_="s"))
    assert "Not scored" in text


def test_a_maximum_of_papers_shows_how_many_are_left_out():
    rendered, page, text = show(digest(tuple(pick(n) for n in range(1, 6))), max_papers=2)
    assert rendered.subject == "A sparse mixture of experts, part 1 + 1 more · Foundation models"
    assert page.title.get_text().startswith("Foundation models: 2 of 5 papers")
    assert len([h for h in page.find_all("h3") if h.a]) == 2
    assert "3 more papers reached your cut-offs" in " ".join(text.split())


@pytest.mark.parametrize("fmt", list(Format))
def test_every_format_lists_every_paper_once(fmt):
    picks = tuple(pick(n, abstract="We show it. " * 90) for n in range(1, 9))
    _, page, text = show(digest(picks), fmt)
    below = [a["href"] for a in page.find_all("a", href=re.compile("/abs/"))]
    assert {each.paper.abs_url for each in picks} == set(below)
    assert all(text.count(each.paper.abs_url) == 1 for each in picks)
    assert ("We show it." in words(page)) is (fmt is not Format.TITLES)


def test_the_receipt_has_the_outcome_of_every_paper():
    coverage = Coverage(
        announced=20,
        outcomes={Outcome.SCORED: 16, Outcome.REFUSED: 1, Outcome.UNSCORED_BUDGET: 3},
        by_category={"cs.LG": 15, "cs.AI": 9},
        late=2,
        unread=("2509.1", "2509.2", "2509.3"),
    )
    _, page, text = show(digest((pick(1),), coverage=coverage))
    for shown in (words(page), " ".join(text.split())):
        assert "Announced, late arrivals included 20" in shown
        assert "Read and scored 16" in shown
        assert "Refused by the model 1" in shown
        assert "budget was spent 3" in shown
        assert "cs.LG 15, cs.AI 9" in shown
        assert "2 late arrivals" in shown
        assert "2509.1, 2509.2, 2509.3" in shown


def test_near_misses_have_scores_and_one_line_of_thresholds():
    _, page, text = show(digest((pick(1),), near_misses=(near_miss(900), near_miss(901))))
    for shown in (words(page), " ".join(text.split())):
        assert shown.lower().count("your cut-offs") == 1
        assert "our cut-offs: relevance 7, novelty 7" in shown
        assert shown.count("Relevance 8/10, Novelty 6/10") == 2
    # A line may end between two scores, not between a score's name and its figure.
    assert "Relevance\xa08/10, Novelty\xa06/10" in page.get_text()
    # Programs count the links to arxiv.org/abs as the digest's picks.
    title = page.find("a", string="A sparse mixture of experts, part 900")
    assert title["href"] == "https://arxiv.org/pdf/2509.00900"
    assert "/pdf/2509.00900\n" in text
    assert "/abs/2509.00900" not in f"{page}{text}".lower()


@pytest.mark.parametrize(
    ("kind", "subject", "sentence"),
    [
        (
            DayKind.NOTHING_MET,
            "No match in 961 papers",
            "961 papers were read; none reached your cut-offs",
        ),
        (DayKind.NOTHING_ANNOUNCED, "arXiv announced nothing", "announced no paper"),
        (DayKind.BATCH_LATE, "arXiv is late", "not published this day"),
        (DayKind.SCORING_FAILED, "Not scored yet", "could not be scored"),
    ],
)
def test_special_days_explain_themselves(kind, subject, sentence):
    rendered, page, text = show(digest((), kind=kind, near_misses=(near_miss(),)))
    assert subject in rendered.subject
    assert rendered.subject.endswith(" · Foundation models")
    assert "23 Sep 2025" in rendered.subject
    assert 20 <= len(page.title.get_text()) <= 60
    assert sentence in words(page)
    assert sentence in " ".join(text.split())
    relevant = re.search(r"\b0 for you", words(page) + text)
    assert bool(relevant) is (kind is DayKind.NOTHING_MET)
    assert ("961 were read" in words(page)) is (kind is DayKind.NOTHING_MET)


def test_figures_that_do_not_add_up_get_a_notice():
    _, page, _ = show(digest((pick(1),), coverage=Coverage(9, {Outcome.SCORED: 4})))
    assert "do not add up" in words(page)


def test_the_rubric_and_the_prompt_are_a_link():
    _, page, text = show(digest((pick(1),), prompt="You are a reader.\n\n# Bands"))
    assert page.find("a", string="Rubric and prompt")["href"] == f"{NAV.issue_url}#prompt"
    assert f"Rubric and prompt:\n{NAV.issue_url}#prompt\n" in text
    for shown in (words(page), " ".join(text.split())):
        assert "Model architecture; Compression and efficiency; Representation learning." in shown
        assert "You are a reader." not in shown
        assert issues.RUBRIC.fingerprint[:12] not in shown


def test_the_footer_has_address_unsubscribe_link_and_thanks():
    _, page, text = show(digest((pick(1),)))
    for shown in (words(page), " ".join(text.split())):
        assert "ada@example.org subscribed on 3 September 2025 to Foundation models" in shown
        assert "reply with the word “unsubscribe”" in shown
        assert SITE.postal_address in shown
        assert "thank you to arXiv" in shown
    assert page.find("a", href=READER.unsubscribe_url).get_text() == "Unsubscribe"
    for url in (READER.unsubscribe_url, READER.preferences_url, NAV.issue_url, NAV.month[1]):
        assert page.find("a", href=url)
        assert url in text


def test_a_first_issue_has_no_previous_day():
    _, page, _ = show(digest((pick(1),)), nav=Navigation(NAV.issue_url))
    assert "→" not in words(page)


def test_reader_values_are_escaped():
    rendered = RENDERER.digest(digest((pick(1),)), NAV, Format.FULL)
    reader = dataclasses.replace(
        READER, name="<b>Bo</b>", unsubscribe_url="https://n.example/u?a=1&b=2", since=None
    )
    html, text = rendered.for_reader(reader)
    assert "&lt;b&gt;Bo&lt;/b&gt; (ada@example.org)" in html
    assert 'href="https://n.example/u?a=1&amp;b=2"' in html
    assert "https://n.example/u?a=1&b=2" in text
    assert "\x02" not in html + text


def test_a_paper_cannot_contain_a_placeholder():
    forged = "\x02unsubscribe_url\x03 {{ reader.unsubscribe_url }}"
    _, page, text = show(digest((pick(1, title=forged, abstract=forged),)))
    token = READER.unsubscribe_url
    assert text.count(token) == 1
    assert str(page).count(token) == 1


def test_the_same_digest_gives_the_same_bytes():
    issue = digest(tuple(pick(n) for n in range(1, 30)), near_misses=(near_miss(),))
    first = RENDERER.digest(issue, NAV, Format.FULL)
    again = Renderer(SITE).digest(issue, NAV, Format.FULL)
    assert (first.subject, first.html, first.text) == (again.subject, again.html, again.text)


def test_a_long_rubric_title_leaves_the_subject_readable():
    rubric = dataclasses.replace(
        issues.RUBRIC, title="Everything about\n\u202emixture of experts " * 9
    )
    rendered, page, _ = show(digest((pick(1), pick(2)), rubric=rubric))
    subject, title = rendered.subject, page.title.get_text()
    assert len(subject) <= 84
    assert subject.startswith("A sparse mixture of experts, part 1 + 1 more · Everything about")
    assert len(title) <= 60
    assert title.endswith(": 2 papers · 23 Sep 2025")
    assert "\n" not in subject
    assert "\u202e" not in subject


def test_a_reader_with_a_name_is_addressed_by_it():
    reader = RenderedReader(
        "bo@example.org", date(2025, 1, 2), "https://a.example", "https://b.example", "", "", "Bo"
    )
    html, text = RENDERER.digest(digest((pick(1),)), NAV, Format.FULL).for_reader(reader)
    assert "Bo (bo@example.org) subscribed" in html
    assert "Bo (bo@example.org)\nsubscribed on 2 January 2025 to\nFoundation models." in text


def test_one_line_on_top_has_the_figures():
    whole = Coverage(20, {Outcome.SCORED: 20})
    _, page, text = show(digest((pick(1),), coverage=whole))
    for shown in (words(page), text):
        assert "1 for you out of 20 new papers; all were read" in shown
    # No figure is apart from its noun at the end of a line.
    assert "out of 20\xa0new\xa0papers; all\xa0were\xa0read" in page.get_text()
    _, page, text = show(digest((pick(1),), coverage=Coverage(20, {Outcome.SCORED: 19})))
    assert "1 for you out of 20 new papers; 19 were read" in words(page)


def test_separators_of_the_text_part_are_dashes():
    """72 equals signs are `=3D` each in quoted-printable."""
    _, _, text = show(digest((pick(1),)))
    assert "-" * 72 in text
    assert "==" not in text


def test_numbers_in_a_table_do_not_wrap():
    """At 375 px a total was broken inside its number."""
    _, page, _ = show(digest((pick(1),)))
    styles = "".join(style.get_text() for style in page.find_all("style"))
    assert re.search(r"\.data td[^{}]*\{[^}]*word-break:\s*keep-all", styles)
