"""A rubric as the fields of a form: Markdown -> form -> Markdown, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.domain.rubric_draft import DraftCriterion, RubricDraft, rubric_markdown
from newsletter.rubrics.changes import differing_lines
from newsletter.rubrics.file import MAX_CHARACTERS, RubricError, parse
from newsletter.rubrics.form import (
    MAX_CATEGORIES,
    MAX_CRITERIA,
    NOVELTY_WORDS,
    RELEVANCE_WORDS,
    CriterionFields,
    FormFault,
    RubricForm,
    faults_of,
    form_of,
    form_of_text,
    markdown,
    read_fields,
    rearranged,
)

if TYPE_CHECKING:
    from newsletter.domain.model import Rubric

SHIPPED = sorted((Path(__file__).parents[2] / "templates/rubrics").glob("*.md"))
GOOD = RubricForm(
    title="Cold stars",
    categories=("astro-ph.SR",),
    criteria=(CriterionFields("Brown dwarfs", "new ones", "planets"),),
)


def read(text: str) -> Rubric:
    return parse(text, "own", "form")


def entered(form: RubricForm) -> dict[str, tuple[str, ...]]:
    """The fields that a browser posts for this form: lines end with CR LF."""
    single = ("title", "relevance", "novelty", "exclude", "authors", "max_papers")
    found: dict[str, tuple[str, ...]] = {
        name: (getattr(form, name),) for name in (*single, "preface", "scoring", "keywords")
    }
    found["category"] = (*form.categories, "", "")
    for name in ("title", "relevant", "irrelevant", "more"):
        found[f"criterion_{name}"] = tuple(getattr(one, name) for one in form.criteria)
    return {
        name: tuple(value.replace("\n", "\r\n") for value in values)
        for name, values in found.items()
    }


def messages(form: RubricForm) -> dict[str, str]:
    return {one.field: one.message for one in faults_of(form)}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_rubric_file_keeps_its_fingerprint_through_the_form(path: Path):
    rubric = read(path.read_text(encoding="utf-8"))
    form = form_of(rubric)
    assert faults_of(form) == ()
    assert read(markdown(form)) == rubric
    assert read(markdown(form)).fingerprint == rubric.fingerprint
    posted = read_fields(entered(form))
    assert replace(posted, public=form.public) == form


def test_relevant_and_irrelevant_are_fields_of_their_own():
    form = form_of_text(
        "---\ntitle: T\ncategories: [cs.LG]\n---\n\n## Criteria\n\n"
        "1. **Walking**: legs\n2. Arms\n   - Relevant: long\n     arms,\n     - grippers\n"
        "   - Irrelevant: wheels\n   Also hands.\n3. Eyes\n   - relevant: cameras\n"
    )
    assert form.criteria == (
        CriterionFields("Walking", more="legs"),
        CriterionFields("Arms", "long\narms,\n- grippers", "wheels", "Also hands."),
        CriterionFields("Eyes", more="- relevant: cameras"),
    )


def test_a_drafted_rubric_opens_in_the_form():
    made = (DraftCriterion("Robots", "robots that walk.", "wheels."),)
    draft = RubricDraft("Robots: “walk”", ("cs.RO",), made, ("legs",), ("Kara Hanson",), "By us.")
    form = form_of_text(rubric_markdown(draft))
    assert form.criteria == (CriterionFields("Robots", "robots that walk.", "wheels."),)
    assert (form.title, form.keywords, form.authors) == ("Robots: “walk”", "legs", "Kara Hanson")
    assert read(markdown(form)) == read(rubric_markdown(draft))


LINES = st.lists(
    st.sampled_from(
        ["", "plain", "  two", "   three", "- Relevant: r", "- Irrelevant: i", "  - Relevant: x",
         "\ttab", "### deep", "1) one", "2. two", "**b** t", "---", "a  b", "  ", "é\u2028x", "x:"]
    ),
    max_size=7,
)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(["A", "**B**", "**C**: c", "3. d", "…", "E  e"]), LINES)),
    LINES,
    LINES,
    LINES,
)
@example([("A", ["- Relevant: a", "", "  b", "- Irrelevant: c", "d"])], [], [], [])
def test_every_rubric_text_keeps_its_fingerprint(criteria, preface, scoring, keywords):
    """Any Markdown that the parser takes: what the model reads stays the same."""
    items = [f"{n}. {title}\n" + "\n".join(body) for n, (title, body) in enumerate(criteria, 1)]
    head = "---\ntitle: T\ncategories: [cs.LG]\nmax_papers: 3\n---\n## Criteria\n"
    parts = ["\n".join(preface), *items, "## Scoring", *scoring, "## Keywords", *keywords]
    try:
        rubric = read(head + "\n".join(parts))
    except RubricError:
        return
    if any(one.title == "…" for one in rubric.criteria):
        return  # a draft's mark for a missing title
    again = read(markdown(form_of(rubric)))
    assert again == rubric
    assert again.fingerprint == rubric.fingerprint


ODD = st.text(
    st.sampled_from("ab \n\r\t#-*_.:;,\"'\\[]{}<>!&|%@`1)…é\u0301\u2028\u2029\xa0\u200b\ufeff\x85")
    | st.characters(codec="utf-8"),
    max_size=25,
)


@given(
    st.fixed_dictionaries(
        {
            name: st.lists(ODD, max_size=1)
            for name in ("title", "exclude", "authors", "preface", "scoring", "keywords")
        }
        | {name: st.lists(ODD, max_size=3) for name in ("criterion_title", "criterion_relevant")}
        | {"criterion_irrelevant": st.lists(ODD, max_size=3), "criterion_more": st.lists(ODD)}
    )
)
@example({"criterion_title": ["a"], "criterion_relevant": ["x\n---\n## Scoring\n\n1. b"]})
@example({"title": ['"\npublic: true\n---\n## Criteria\n1. x']})
def test_any_text_keeps_to_one_field_or_is_refused(posted: dict[str, Any]):
    """Whatever is typed: the rubric is read as the form says it, or a message names the field."""
    form = read_fields({"category": ["cs.LG"], **posted})
    faults = faults_of(form)
    assert all(one.message for one in faults)
    if all(one.missing for one in faults):
        again = form_of_text(markdown(form))
        kept = tuple(one for one in form.criteria if not one.is_empty)
        assert [(c.title, c.body) for c in again.criteria] == [(c.title, c.body) for c in kept]
        assert (again.title, again.preface) == (form.title, form.preface)
        assert (again.scoring, again.keywords) == (form.scoring, form.keywords)
        assert again.public is False
    if not faults:
        assert read(markdown(form)).criteria == read(markdown(again)).criteria


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"title": "x" * 121}, "title", "121 characters"),
        ({"title": "a\u202eb"}, "title", "U+202E) after “a”"),
        ({"keywords": "\x1b[31m"}, "keywords", "U+001B) at the beginning"),
        ({"categories": ("cs.ML",)}, "categories", "did you mean stat.ML"),
        ({"categories": ("machine learning",)}, "categories", "cs.LG or stat.ML"),
        ({"categories": tuple(f"cs.X{n}" for n in range(61))}, "categories", "more than 60"),
        ({"categories": ("c" * 999,)}, "categories", "c…” is no arXiv category"),
        ({"relevance": "11"}, "relevance", "11 is not between 1 and 10"),
        ({"novelty": "7.5"}, "novelty", "'7.5' is not between 1 and 10"),
        ({"max_papers": "0"}, "max_papers", "0 is not between 1 and 500"),
        ({"scoring": "ok\n## Criteria\n1. x"}, "scoring", "has a heading, “## Criteria”"),
        ({"preface": "# x"}, "preface", "has a heading"),
        ({"preface": "all:\n1. one"}, "preface", "give it a row of its own"),
        ({"criteria": (CriterionFields("a", "b <!-- c"),)}, "criterion-1", "<!--"),
        ({"criteria": (CriterionFields("**a** b"),)}, "criterion-1", "read differently"),
        ({"criteria": (CriterionFields("a" * 201),)}, "criterion-1", "201 characters"),
        ({"criteria": (CriterionFields("a", "b" * MAX_CHARACTERS),)}, "criteria", "24,"),
        ({"criteria": (CriterionFields("a"),) * 200}, "criteria", "200; a rubric has at most"),
    ],
)  # fmt: skip
def test_a_fault_names_its_field_and_the_remedy(change: dict[str, Any], field: str, said: str):
    faults = faults_of(replace(GOOD, **change))
    assert [one.field for one in faults] == [field]
    assert said in faults[0].message
    assert not faults[0].missing


def test_an_unfinished_form_is_kept_as_a_draft_with_its_blanks():
    blank = RubricForm()
    assert [one.field for one in faults_of(blank)] == ["title", "categories", "criteria"]
    assert form_of_text(markdown(blank)) == blank
    half = RubricForm(criteria=(CriterionFields(), CriterionFields("", "cold", "hot")))
    found = faults_of(half)
    assert found[-1] == FormFault("criterion-2", "no title; name it in a few words", missing=True)
    assert all(one.missing for one in found)
    assert form_of_text(markdown(half)).criteria == (CriterionFields("", "cold", "hot"),)


def test_categories_are_found_by_code_in_any_case_and_by_name():
    form = read_fields({"category": ["CS.lg", " Robotics ", "", "hep-th", "cs.LG", "nonsense"]})
    assert form.categories == ("cs.LG", "cs.RO", "hep-th", "nonsense")


def test_a_thousand_misspelt_categories_take_no_longer_than_sixty():
    form = read_fields({"category": [f"cs.X{number}" for number in range(1_000)]})
    assert len(form.categories) == MAX_CATEGORIES + 1
    assert "more than 60" in messages(form)["categories"]


def test_rows_are_added_moved_and_removed():
    form = RubricForm(criteria=tuple(CriterionFields(name) for name in "abc"))

    def titles(action: str) -> str:
        return "".join(one.title or "_" for one in rearranged(form, action).criteria)

    assert titles("add") == "abc_"
    assert [titles("up-1"), titles("up-3"), titles("down-1")] == ["abc", "acb", "bac"]
    assert [titles("down-3"), titles("remove-2")] == ["abc", "ac"]
    for nonsense in ("", "remove-0", "remove-4", "remove-²", "up-", "drop-1", "remove-" + "9" * 99):
        assert titles(nonsense) == "abc"
    full = RubricForm(criteria=(CriterionFields("a"),) * MAX_CRITERIA)
    assert len(rearranged(full, "add").criteria) == MAX_CRITERIA


def test_every_cut_off_has_a_word():
    assert list(RELEVANCE_WORDS) == list(NOVELTY_WORDS) == list(range(1, 11))
    assert messages(GOOD) == {}


def test_each_differing_line_is_shown_also_one_that_looks_like_a_mark_of_a_diff():
    before = "---\ntitle: A\n---\n@@ x\n-- y\nlast"
    after = "title: B\n@@ x\n++ z\nlast"
    lines = differing_lines(before, after)
    assert [text for sign, text in lines if sign == "-"] == ["---", "title: A", "---", "-- y"]
    assert [text for sign, text in lines if sign == "+"] == ["title: B", "++ z"]
    assert (" ", "@@ x") in lines
    assert differing_lines(before, before) == []
