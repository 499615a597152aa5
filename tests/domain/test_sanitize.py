"""Strangers' text: cleaned for a prompt, flagged when it speaks to the model, fit to be shown."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain import sanitize

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<script>alert(1)</script>Good", "alert(1) Good"),
        ('See <a href="http://evil.example">this</a>.', "See this."),
        ("[click](https://evil.example/x) me", "click me"),
        ("go to www.evil.example/now please", "go to please"),
        ("write to a@evil.example", "write to"),
        ("javascript:alert(1)", ""),
        ("**bold** `code` __both__", "bold code both"),
        ("a\u202eb\u200bc\x00d", "abcd"),
        ("for 1<z<1.8 and M>3 & more", "for 1<z<1.8 and M>3 & more"),
        ("M*~10^7 Msun, F(R) and $F(R)$", "M*~10^7 Msun, F(R) and $F(R)$"),
        ("<<b>script>x", "< script>x"),
        ("ends (https://x.example/y).", "ends."),
    ],
)
def test_a_comment_is_plain_text(said: str, shown: str) -> None:
    assert sanitize.clean_comment(said) == shown


@given(st.text(max_size=300))
def test_no_text_escapes(text: str) -> None:
    """Every category of Unicode: no tag of ours, no control or format character survives."""
    for clean in (sanitize.clean_for_model(text, 200), sanitize.clean_comment(text)):
        assert not [c for c in clean if unicodedata.category(c)[0] == "C"]
        assert "\n" not in clean
    assert not sanitize.OUR_TAGS.search(sanitize.clean_for_model(f"<{text}paper", 500))
    assert "://" not in sanitize.clean_comment(f"http://{text}") or not sanitize.URL.search(
        sanitize.clean_comment(f"http://{text}")
    )
    assert len(sanitize.clean_comment(text * 5)) <= sanitize.COMMENT_LIMIT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("One. Two.", "One."),
        (
            "Online estimation vs. BFGS, which helps. More.",
            "Online estimation vs. BFGS, which helps.",
        ),
        ("Uses e.g. Adam. More", "Uses e.g. Adam."),
        ("no end", "no end"),
        ("By J. Doe. Then", "By J. Doe."),
    ],
)
def test_a_first_sentence_ends_where_it_ends(text: str, shown: str) -> None:
    assert sanitize.first_sentence(text) == shown


def test_a_long_sentence_is_cut_at_a_word() -> None:
    text = sanitize.first_sentence("word " * 100)
    assert len(text) <= 240
    assert text.endswith("word…")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real days is not here")
def test_comments_of_the_reference_digests_come_through_unchanged() -> None:
    for name in sorted(CORPUS.glob("labels-*.jsonl")):
        for line in name.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)["comment"]
            assert sanitize.clean_comment(said) == sanitize.strip_invisible(said)


def test_a_speech_is_cut_to_one_short_sentence_and_a_comment_is_not():
    said = "Introduces ternary quantization with a progressive approximation. " * 4
    assert sanitize.clean_comment(said) == said.strip()
    speech = "Introduces ternary quantization, e.g. to trit-planes. " + "And more of it. " * 80
    assert sanitize.clean_comment(speech) == "Introduces ternary quantization, e.g. to trit-planes."
    assert len(sanitize.clean_comment("word " * 400)) <= 240
