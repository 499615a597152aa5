"""Real days through the real command and loopback vendors: every announced paper has its answer."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from newsletter import bootstrap
from newsletter.domain.model import Outcome
from newsletter.domain.why import PaperResult
from newsletter.inbound import why
from newsletter.settings import Settings
from newsletter.store import digests
from tests.fakes.anthropic import Ending, FakeAnthropic
from tests.fakes.arxiv import FakeArxiv, into_window
from tests.fakes.installation import Installation
from tests.scoring.test_reference_digests import BELOW, CORPUS, plain, read_day, rubric_file

DAY = date(2025, 11, 21)
NAME, SOURCE = f"astro-{DAY}", "rubric-astro.md"
PLAIN = re.compile(r"[A-Za-z ]{12,}")
"""The beginning of a title that stands in a request's JSON as it is."""
WORDS = "exclude: [exoplanet, planet]\nmax_papers: 9\n---\n\n## Criteria"


@pytest.fixture(scope="module")
def after_the_run(tmp_path_factory):
    """The App after a run with two rubrics, the papers, and how often each was announced."""
    folder = tmp_path_factory.mktemp("corpus")
    rows, labels = read_day(NAME)
    every = sorted({row["primary_category"] for row in rows})
    refused = next(title for title in labels if PLAIN.match(title))

    def scores_of(title: str, _abstract: str) -> dict:
        label = labels.get(plain(title))
        if label is None:
            return BELOW
        return {"m": 1, "x": 0, "r": label["relevance"], "n": label["novelty"], "c": "Fits."}

    with FakeArxiv(into_window(rows, DAY)) as arxiv, FakeAnthropic(scores_of) as anthropic:
        anthropic.fault(Ending.REFUSED, match=PLAIN.match(refused)[0], times=99)
        installation = Installation(
            folder,
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            ANTHROPIC_BASE_URL=anthropic.url,
            ANTHROPIC_API_KEY="sk-test",
            NEWSLETTER_SCORING_MODE="now",
        )
        for slug, categories in (("all", every), ("few", every[:1])):
            text = rubric_file(SOURCE, ", ".join(categories), 7, 1)
            text = text.replace("---\n\n## Criteria", WORDS, 1)
            (installation.rubrics / f"{slug}.md").write_text(text, encoding="utf-8")
        installation.subscribe("ada@example.org,all", "bob@example.org,few")
        done = installation.newsletter("run", "--date", str(DAY), "--json")
        assert done.status == 0, done.err
        settings = Settings(
            _env_file=None,
            database_url=installation.environment["NEWSLETTER_DATABASE_URL"],
            rubrics_dir=installation.rubrics,
            anthropic_api_key="sk-test",
            anthropic_base_url=anthropic.url,
            secret_key="k" * 32,
            outbox_dir=folder,
        )
        app = bootstrap.build_app(settings)
        yield app, [row["id"].rpartition("v")[0] for row in rows]
        app.store.close()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside this checkout")
def test_every_announced_paper_of_a_real_day_has_its_answer(after_the_run):
    app, ids = after_the_run
    with app.store.read() as tx:
        made = {slug: digests.load(tx, slug, DAY)[1] for slug in ("all", "few")}
    found = {slug: Counter() for slug in made}
    results = {slug: Counter() for slug in made}
    for paper_id in ids:
        for one in why.answer_operator(app, paper_id, ["all", "few"]).rubrics:
            found[one.rubric.slug][one.outcome] += 1
            results[one.rubric.slug][one.result] += 1

    for slug, digest in made.items():
        assert results[slug][PaperResult.NOT_RECORDED] == 0
        counted = {key: n for key, n in found[slug].items() if key}
        assert counted == digest.coverage.outcomes
    assert sum(found["all"].values()) == made["all"].coverage.announced
    rest = len(ids) - made["few"].coverage.announced
    assert results["few"][PaperResult.OTHER_CATEGORIES] == rest > 0
    assert {PaperResult.PICKED, PaperResult.BELOW_CUT_OFFS, PaperResult.EXCLUDED} <= set(
        results["all"]
    )
    assert found["all"][Outcome.REFUSED] == 1
