"""The reference digests come out: real days, through real HTTP, by the real command.

A loopback arXiv serves the day, a loopback Messages API answers from the labels, and what lies in
the outbox afterwards is compared with what was published.
"""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.model import Paper
from newsletter.domain.similarity import similarities
from newsletter.render.tex import to_unicode
from newsletter.rubrics.file import RubricError, load
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.arxiv import FakeArxiv, into_window
from tests.fakes.installation import Installation

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of real days is not beside this checkout"
)
BELOW = {"m": 0, "c": "", "r": 2, "n": 3, "x": 0}
DAYS = [
    ("2025-09-23", "rubric-2025-09-23.md", "cs.LG, cs.AI", 7, 7, 48),
    ("2025-09-25", "rubric-2025-09-25.md", "cs.LG, cs.AI", 7, 7, 37),
    ("astro-2025-11-21", "rubric-astro.md", None, 7, 1, 11),
]


def plain(text: str) -> str:
    return " ".join(text.split())


def read_day(name: str) -> tuple[list[dict], dict[str, dict]]:
    """A day's papers, and its labels by title."""
    with gzip.open(CORPUS / f"papers-{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    by_id = {row["id"]: row for row in rows}
    with (CORPUS / f"labels-{name}.jsonl").open(encoding="utf-8") as lines:
        labels = [json.loads(line) for line in lines]
    return rows, {plain(by_id[label["id"]]["title"]): label for label in labels}


def rubric_file(source: str, categories: str, relevance: int, novelty: int) -> str:
    """A published prompt as a rubric file."""
    prompt = (CORPUS / source).read_text(encoding="utf-8")
    topics = prompt.split("## Relevant Topics", 1)[1].split("**Keywords:**")
    scoring = prompt.split("## Scoring Criteria", 1)[1].split("## Papers", 1)[0]
    front = (
        f"title: Reference\ncategories: [{categories}]\nrelevance: {relevance}\nnovelty: {novelty}"
    )
    keywords = f"\n## Keywords\n\n{topics[1].strip()}\n" if len(topics) > 1 else ""
    return (
        f"---\n{front}\n---\n\n## Criteria\n\n{topics[0].strip()}\n\n"
        f"## Scoring\n\n{scoring.replace('### ', '').strip()}\n{keywords}"
    )


def wanted_order(labels: list[dict]) -> list[str]:
    """The design's order. The labels have no fine rank, so equal scores are in order of id."""
    best = sorted(
        labels, key=lambda one: (-one["relevance"] - one["novelty"], -one["relevance"], one["id"])
    )
    return [one["id"].rpartition("v")[0] for one in best]


@needs_corpus
@pytest.mark.parametrize(("name", "source", "categories", "relevance", "novelty", "count"), DAYS)
def test_the_reference_digest_comes_out(
    tmp_path, name, source, categories, relevance, novelty, count
):
    rows, labels = read_day(name)
    expected = json.loads((CORPUS / f"expected-{name}.json").read_text(encoding="utf-8"))
    day = name.removeprefix("astro-")
    if categories is None:
        categories = ", ".join(sorted({row["primary_category"] for row in rows}))

    def scores_of(title: str, _abstract: str) -> dict:
        label = labels.get(plain(title))
        if label is None:
            return BELOW
        scores = {"r": label["relevance"], "n": label["novelty"], "c": label["comment"]}
        return {"m": 0, "x": 0, **scores}

    with (
        FakeArxiv(into_window(rows, date.fromisoformat(day))) as arxiv,
        FakeAnthropic(scores_of) as anthropic,
    ):
        installation = Installation(
            tmp_path,
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            ANTHROPIC_BASE_URL=anthropic.url,
            ANTHROPIC_API_KEY="sk-test",
        )
        (installation.rubrics / "reference.md").write_text(
            rubric_file(source, categories, relevance, novelty), encoding="utf-8"
        )
        installation.subscribe("ada@example.org,reference")
        done = installation.newsletter("run", "--date", day, "--json")
        assert done.status == 0, done.err
        asked = len(anthropic.requests)
        again = installation.newsletter("run", "--date", day, "--json")
        assert again.status == 0, again.err

    assert len(anthropic.requests) == asked
    [mail] = installation.mails()
    chosen = [label for label in labels.values() if label["relevance"] >= relevance]
    shown = cards(mail)
    assert [card["id"] for card in shown] == wanted_order(chosen)
    published = expected["relevant_at_7"] if name.startswith("astro") else expected["ids"]
    assert {card["id"] for card in shown} == {one.rpartition("v")[0] for one in published}
    assert len(shown) == count
    by_id = {label["id"].rpartition("v")[0]: label for label in chosen}
    for card in shown:
        label = by_id[card["id"]]
        assert (card["relevance"], card["novelty"]) == (label["relevance"], label["novelty"])
        assert plain(to_unicode(label["comment"])) in card["text"]
    figures = json.loads(done.out)["issues"][0]
    assert figures["announced"] == len(rows)
    assert figures["scanned"] == len(rows)
    assert figures["picked"] == count
    assert figures["cost_nanos"] == anthropic.bill_nanos
    for part in ("html", "plain"):
        assert stated(mail, part) == {
            "announced": len(rows),
            "read": len(rows),
            "picked": count,
            "tokens": figures["tokens"],
            "cost": pytest.approx(anthropic.bill_nanos / 1e9, abs=0.005),
        }
    second = json.loads(again.out)["issues"][0]
    assert (second["sent"], second["already"]) == (0, 1)


def stated(mail, part: str) -> dict[str, object]:
    """The figures that the published digests state, as a part of the mail states them."""
    text = mail.get_body((part,)).get_content()
    if part == "html":
        text = BeautifulSoup(text, "lxml").get_text(" ")
    text = plain(text.replace(",", ""))
    tokens = list(map(int, re.search(r"\bTokens (\d+) (\d+) (\d+)", text).groups()))
    costs = list(map(float, re.search(r"\bCost \$(\S+) \$(\S+) \$(\S+)", text).groups()))
    assert tokens[0] + tokens[1] == tokens[2]
    assert costs[0] + costs[1] == pytest.approx(costs[2], abs=0.01)
    return {
        "announced": int(re.search(r"\bAnnounced (\d+)", text)[1]),
        "read": int(re.search(r"\bRead and scored (\d+)", text)[1]),
        "picked": int(re.search(r"\b(\d+) for you out of", text)[1]),
        "tokens": tokens[2],
        "cost": costs[2],
    }


def cards(mail) -> list[dict]:
    """The papers of a mail, as a reader sees them."""
    html = mail.get_body(("html",)).get_content()
    soup = BeautifulSoup(html, "lxml")
    found = []
    for heading in soup.find_all("h3"):
        link = heading.find("a", href=re.compile(r"^https://arxiv\.org/abs/"))
        if link is None:
            continue
        text = ""
        for sibling in heading.next_siblings:
            if getattr(sibling, "name", None) in ("h2", "h3"):
                break
            text += " " + (sibling.get_text(" ") if hasattr(sibling, "get_text") else str(sibling))
        text = plain(text)
        found.append(
            {
                "id": link["href"].removeprefix("https://arxiv.org/abs/"),
                "relevance": int(re.search(r"Relevance (\d+)/10", text)[1]),
                "novelty": int(re.search(r"Novelty (\d+)/10", text)[1]),
                "text": text,
            }
        )
    return found


def papers_of(day: str) -> list[Paper]:
    """The papers that were really announced on that day."""
    with gzip.open(CORPUS / f"papers-{day}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        Paper(row["id"], 1, row["title"], (), row["abstract"], "", (), at, at)
        for row in rows
        if not row["padding"]
    ]


def selected(day: str, expected: dict) -> set[str]:
    with (CORPUS / f"labels-{day}.jsonl").open(encoding="utf-8") as lines:
        labels = [json.loads(line) for line in lines]
    if "relevant_at_7" in expected:
        return set(expected["relevant_at_7"])
    return {label["id"] for label in labels if label["relevance"] is not None}


@needs_corpus
def test_without_a_model_about_half_of_the_ten_closest_are_a_model_s_picks(tmp_path):
    # What the mail says (`LOCAL_WORTH`): one day has a rubric of another form.
    hits = []
    for file in sorted(CORPUS.glob("expected-*.json")):
        day, expected = file.stem.removeprefix("expected-"), json.loads(file.read_text())
        path = tmp_path / f"{day}.md"
        path.write_text(rubric_file(expected["rubric"], "cs.LG", 7, 7), encoding="utf-8")
        try:
            rubric = load(path)
        except RubricError:
            continue
        scores = similarities(rubric, papers := papers_of(day))
        ranked = sorted(zip(scores, papers, strict=True), key=lambda one: (-one[0], one[1].id))
        hits.append(len(selected(day, expected) & {paper.id for _, paper in ranked[:10]}))
    assert len(hits) == 10
    assert sum(hits) == 53
    assert (min(hits), max(hits)) == (2, 8)
