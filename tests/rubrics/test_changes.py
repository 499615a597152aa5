"""What differs between two versions of a rubric, in lines for its reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from newsletter.rubrics.changes import changes, description
from newsletter.rubrics.form import CriterionFields, RubricForm

COLD, OLD = CriterionFields("Cold", "cold ones"), CriterionFields("Old", "old ones")
BEFORE = RubricForm("Stars", ("astro-ph.SR",), (COLD, OLD), exclude="survey", keywords="dwarf")


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, []),
        ({"title": "Suns"}, ["Title: “Suns”, it was “Stars”"]),
        (
            {"categories": ("astro-ph.GA",)},
            ["Categories added: astro-ph.GA", "Categories removed: astro-ph.SR"],
        ),
        ({"relevance": "8", "novelty": "5"}, [
            "Relevance cut-off: 8, it was 7", "Novelty cut-off: 5, it was 7"
        ]),
        ({"max_papers": "9"}, ["Length: 9, it was no limit"]),
        ({"exclude": "survey\nreview"}, ["Words to exclude added: review"]),
        ({"authors": "Kara Hanson"}, ["Authors added: Kara Hanson"]),
        ({"keywords": "", "preface": "All.", "scoring": ""}, [
            "Text for all criteria: added", "Keywords: removed"
        ]),
        ({"keywords": "giant"}, ["Keywords: changed"]),
        ({"criteria": (OLD, COLD)}, ["Order of the criteria: changed"]),
        ({"criteria": (COLD,)}, ["Criteria removed: Old"]),
        ({"criteria": (COLD, replace(OLD, relevant="older"), CriterionFields("New"))}, [
            "Criteria added: New", "Criteria changed: Old"
        ]),
    ],
)  # fmt: skip
def test_a_line_for_each_change(change: dict[str, Any], lines: list[str]):
    assert changes(BEFORE, replace(BEFORE, **change)) == lines


def test_a_new_rubric_is_described_by_its_parts():
    assert description(replace(BEFORE, max_papers="5")) == [
        "Categories: astro-ph.SR",
        "Criteria: Cold; Old",
        "Cut-offs: relevance at least 7, novelty at least 7",
        "Words to exclude: survey",
        "Length: at most 5 papers an email",
    ]
