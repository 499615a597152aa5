"""Rubric files: every fault named with its line; nothing an author wrote is lost."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter.domain.categories import KNOWN
from newsletter.rubrics.file import DEFAULT_SCORING, MAX_CHARACTERS, RubricError, load
from newsletter.rubrics.folder import RubricFolder

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
CORPUS_RUBRICS = sorted(CORPUS.glob("rubric-*.md"))
GOOD = """\
---
title: Good
categories: [cs.LG, astro-ph.GA, hep-th, cond-mat.mes-hall, q-bio.NC, physics.ao-ph]
relevance: 8
novelty: 6
exclude: [survey, federated learning]
authors: [Kara Hanson]
max_papers: 20
public: true
---

## Criteria

Some words before.

1. First
   - Relevant: this.
     - and nested
   - Irrelevant: that.

2. **Second**: told at once.
"""


def write(tmp_path, text, name="good.md"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(tmp_path, text, name="good.md"):
    with pytest.raises(RubricError) as caught:
        load(write(tmp_path, text, name))
    return "\n".join(caught.value.faults)


def test_a_rubric_is_read_whole(tmp_path):
    rubric = load(write(tmp_path, GOOD))
    assert (rubric.slug, rubric.title, rubric.relevance, rubric.novelty) == ("good", "Good", 8, 6)
    assert rubric.categories[3:] == ("cond-mat.mes-hall", "q-bio.NC", "physics.ao-ph")
    assert rubric.exclude == ("survey", "federated learning")
    assert rubric.authors == ("Kara Hanson",)
    assert (rubric.max_papers, rubric.public) == (20, True)
    assert rubric.preface == "Some words before."
    first, second = rubric.criteria
    assert (first.number, first.title) == (1, "First")
    assert first.body == "- Relevant: this.\n  - and nested\n- Irrelevant: that."
    assert (second.number, second.title, second.body) == (2, "Second", "told at once.")
    assert rubric.scoring == DEFAULT_SCORING


def test_what_is_left_out_has_quiet_defaults(tmp_path):
    text = "---\ntitle: T\ncategories: [cs.LG]\n---\n## Criteria\n1. A\n"
    rubric = load(write(tmp_path, text))
    assert (rubric.relevance, rubric.novelty, rubric.max_papers) == (7, 7, None)
    assert not rubric.public


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
    ],
    ids=["bom", "crlf", "cr"],
)
def test_other_ways_of_saving_give_the_same_rubric(tmp_path, data):
    plain = load(write(tmp_path, GOOD))
    assert load(write(tmp_path, data)) == plain


def test_every_category_of_arxiv_can_be_asked_for(tmp_path):
    """Some have a subject of one word in small letters: physics.optics, cond-mat.soft."""
    data = re.sub(r"categories: .*", f"categories: [{', '.join(sorted(KNOWN))}]", GOOD)
    assert load(write(tmp_path, data)).categories == tuple(sorted(KNOWN))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("relevance: 8", "relevance: 12", "line 4: relevance: 12 is not between 1 and 10"),
        ("novelty: 6", "novelty: high", "line 5: novelty: 'high' is not between 1 and 10"),
        ("novelty: 6", "novelty: true", "line 5: novelty: True is not between"),
        ("max_papers: 20", "max_papers: 0", "line 8: max_papers: 0 is not between 1 and 500"),
        ("novelty: 6", "novelti: 6", "line 5: novelti: not known; did you mean novelty?"),
        ("novelty: 6", "relevance: 6", "line 5: relevance: is there twice"),
        (
            "cs.LG,",
            "cs.lg,",
            "line 3: categories: 'cs.lg' is no arXiv category; did you mean cs.LG?",
        ),
        (
            "cs.LG,",
            "cs.ML,",
            "line 3: categories: 'cs.ML' is no arXiv category; did you mean stat.ML",
        ),
        (
            "cs.LG,",
            "physics.optic,",
            "'physics.optic' is no arXiv category; did you mean physics.opt",
        ),
        ("cs.LG,", "quantph,", "'quantph' is no arXiv category; did you mean quant-ph"),
        ("cs.LG,", "cs.QQ,", "line 3: categories: 'cs.QQ' is no arXiv category; did you mean cs."),
        ("cs.LG,", "Botanik,", "'Botanik' is no arXiv category; write it like cs.LG or hep-th"),
        ("cs.LG,", "cs,", "line 3: categories: 'cs' is no arXiv category"),
        ("cs.LG,", "q-bio,", "line 3: categories: 'q-bio' is no arXiv category"),
        ("[Kara Hanson]", "Kara Hanson", "line 7: authors: write a list"),
        ("[Kara Hanson]", "[NO]", "line 7: authors: write a list"),
        ("public: true", "public: maybe", "line 9: public: write true or false"),
        ("title: Good", "title: 2025", "line 2: title: is not text"),
        ("title: Good", "title: 'Good", "front matter: "),
        ("title: Good\n", "", "title: missing; add 'title: "),
        ("---\n\n## Cr", "\n## Cr", "line 1: the front matter is missing"),
        ("## Criteria", "## Criterias", "line 12: section 'Criterias' is not known; did you mean"),
        ("## Criteria\n", "Words.\n## Criteria\n", "line 12: text before the first section"),
        ("2. **", "## Criteria\n2. **", "line 21: section 'Criteria' is there twice"),
        ("this", "th\x07is", "line 17: an invisible character (U+0007)"),
        ("this", "th\u202eis", "line 17: an invisible character (U+202E)"),
        ("1. First", "First", "Criteria: none found"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path, old, new, expected):
    text = GOOD.replace(old, new, 1)
    if expected.startswith("Criteria"):
        text = text.replace("2. **", "**")
    found = faults(tmp_path, text)
    assert expected in found
    assert found.startswith("good.md line ")


@pytest.mark.parametrize(
    "line",
    [
        "authors: &a [*a]",
        "authors: " + "[" * 1200,
        "authors: [[deep]]",
        "authors: {a: b}",
        "max_papers: 99999999999999999999",
        'authors: ["\\U00110000"]',
        "? [a]: b",
        "*nowhere : x",
    ],
)
def test_what_yaml_can_do_besides_is_a_fault_and_no_crash(tmp_path, line):
    found = faults(tmp_path, GOOD.replace("authors: [Kara Hanson]", line))
    assert re.match(r"good\.md line [27]: ", found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_no_text_breaks_the_reader(tmp_path, text, place, cut):
    with contextlib.suppress(RubricError):
        load(write(tmp_path, GOOD[:place] + text + GOOD[place + cut :]))


def test_all_faults_of_a_file_come_at_once(tmp_path):
    text = GOOD.replace("relevance: 8", "relevance: 12").replace("novelty: 6", "novelty: 0")
    text = text.replace("## Criteria", "## Wishes")
    found = faults(tmp_path, text).splitlines()
    assert len(found) == 4
    assert [re.search(r"line (\d+)", line)[1] for line in found] == ["4", "5", "11", "12"]


def test_other_encodings_are_refused_with_the_line(tmp_path):
    latin = GOOD.replace("this", "caf\u00e9").encode("latin-1")
    assert "good.md line 17: not UTF-8" in faults(tmp_path, latin)
    assert "not UTF-8" in faults(tmp_path, GOOD.encode("utf-16"))


def test_a_book_is_no_rubric(tmp_path):
    assert "at most" in faults(tmp_path, GOOD + "x" * MAX_CHARACTERS)


def test_the_file_name_is_the_name(tmp_path):
    assert "name the file in a-z" in faults(tmp_path, GOOD, "My Rubric.md")


def test_markdown_comments_teach_the_reader_and_not_the_model(tmp_path):
    rubric = load(write(tmp_path, GOOD.replace("Some words", "<!-- hints\nhere -->Some words")))
    assert rubric.preface == "Some words before."


def test_the_shipped_rubrics_load():
    rubrics = RubricFolder(ROOT / "templates" / "rubrics")
    assert set(rubrics) == {"foundation-models", "dwarf-galaxies", "my-first-rubric"}
    models = rubrics["foundation-models"]
    assert models.categories == ("cs.LG", "cs.AI")
    assert (models.relevance, models.novelty, len(models.criteria)) == (7, 7, 5)
    assert models.criterion_title(5) == "ML systems"
    assert len(rubrics["dwarf-galaxies"].criteria) == 7
    assert not rubrics["my-first-rubric"].public


def corpus_part(text, heading):
    """What stands under a `## heading` of a corpus rubric."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip()


def as_file(text):
    """A corpus rubric in the form of a rubric file, as its owner would move it over."""
    topics, _, keywords = corpus_part(text, "Relevant Topics").partition("**Keywords:**")
    body = f"## Criteria\n\n{topics.strip()}\n\n## Scoring\n\n"
    body += corpus_part(text, "Scoring Criteria")
    if "## Topic Registry" in text:
        body += "\n\n" + corpus_part(text, "Topic Registry")
    if keywords:
        body += f"\n\n## Keywords\n\n{keywords.strip()}"
    return f"---\ntitle: T\ncategories: [cs.LG]\n---\n\n{body}\n", topics + keywords


def words(text):
    return re.sub(r"^\d+\. ", "", text, flags=re.MULTILINE).split()


@pytest.mark.skipif(not CORPUS_RUBRICS, reason="the shared corpus is not beside this project")
@pytest.mark.parametrize("path", CORPUS_RUBRICS, ids=lambda path: path.stem)
def test_the_corpus_rubrics_are_read_without_loss(tmp_path, path):
    source = path.read_text(encoding="utf-8")
    file, wanted = as_file(source)
    rubric = load(write(tmp_path, file, "corpus.md"))
    read = [rubric.preface]
    for criterion in rubric.criteria:
        read += [criterion.title, criterion.body]
    assert words("\n".join([*read, rubric.keywords])) == words(wanted)
    scoring = corpus_part(source, "Scoring Criteria")
    assert rubric.scoring.startswith(scoring)
    numbered = re.findall(r"^\d+\. (.+)$", wanted, re.MULTILINE)
    assert [criterion.title for criterion in rubric.criteria] == numbered
    assert len(numbered) >= 4


@pytest.mark.parametrize("key", ["[a, b]", "{a: b}", "[" * 150 + "]" * 150])
def test_a_name_that_is_a_list_is_a_fault_with_its_line(tmp_path, key):
    text = GOOD.replace("relevance: 8", f"? {key}\n: c")
    with pytest.raises(RubricError) as caught:
        load(write(tmp_path, text))
    (fault,) = caught.value.faults
    assert "line 4: front matter: a list stands where a name belongs" in fault


@pytest.mark.parametrize("value", ["[" * 1200, "[" * 1200 + "]" * 1200, "{" * 1200])
def test_a_value_nested_beyond_reading_is_a_fault(tmp_path, value):
    text = GOOD.replace("exclude: [survey, federated learning]", f"exclude: {value}")
    with pytest.raises(RubricError, match="line 2: front matter: not readable"):
        load(write(tmp_path, text))
