# ruff: noqa: RUF001 - the letters that look like others are the point
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.render.tex import to_unicode
from tests import issues
from tests.economy import LARGE

needs_corpus = pytest.mark.skipif(not issues.CORPUS.exists(), reason="the corpus is not here")
LEFT = re.compile(r"\$|\\[A-Za-z]")


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"Horv\'ath, Bart{\l}omiej, Erd\H{o}s", "Horváth, Bartłomiej, Erdős"),
        (r"$\boldsymbol{\lambda}$-Orthogonality", "λ-Orthogonality"),
        ("$\\boldsymbolλ$-Orthogonality", "λ-Orthogonality"),
        (r"$\mathcal{O}(n^2)$", "𝒪(n²)"),
        (r"$x_{t+1}$ in $\mathbb{R}^d$", "xₜ₊₁ in ℝᵈ"),
        (r"$2\times 10^{-6}$", "2×10⁻⁶"),
        (r"$H_{\rm eff}$ and $\alpha_{i,j}$", "H_eff and α_(i,j)"),
        (r"A$^2$M$^2$-Net, C${}^2$Prompt", "A²M²-Net, C²Prompt"),
        (r"\texttt{function\_graph} \emph{in} \textsc{Caps}", "function_graph in Caps"),
        (r"$M_\odot$ at $z \gtrsim 4$", "M⊙ at z≳4"),
        (
            r"\method{} is \ours, see \href{http://x}{there} \cite{abc}.",
            "method is ours, see there.",
        ),
        ("``quoted'' --- pages 3--5", "“quoted” — pages 3–5"),
        (r"$\frac{1}{2}$ and $\sqrt{d}$", "1/2 and √(d)"),
        (r"$f'(x)$ at $10^{\circ}$", "f′(x) at 10°"),
        (r"PSR J0437$-$4715", "PSR J0437-4715"),
        (r"1{,}910 trajectories", "1,910 trajectories"),
        (r"$$E=mc^2$$ and \(a+b\) and \[c\]", "E=mc² and a+b and c"),
        (r"a dash $\unicode{x2014}$ and {\delta} Scuti", "a dash — and δ Scuti"),
    ],
)
def test_tex_is_shown_as_unicode(tex, shown):
    assert to_unicode(tex) == shown


@pytest.mark.parametrize(
    "plain",
    [
        "50% faster than AT&T, #1 of a_b and x^y",
        "it costs $5 and $6, or $5-$10",
        "roughly ~10% of --fast runs",
        "{braces} as they are",
        "naïve café, 𝒪(n²), λ",
    ],
)
def test_what_is_no_tex_means_itself(plain):
    assert to_unicode(plain) == plain


def test_a_percent_sign_loses_nothing_behind_it():
    assert (
        to_unicode(r"50% of \textbf{all} and 96.4\% of the rest")
        == "50% of all and 96.4% of the rest"
    )


@pytest.mark.parametrize(
    "broken", [r"broken $x_{ and", r"\textbf{", "$$", r"\\\\", "}{", r"\frac{1", r"\unicode{x}"]
)
def test_broken_tex_is_no_error(broken):
    assert isinstance(to_unicode(broken), str)


def test_a_text_that_would_nearly_vanish_is_shown_as_it_came():
    tex = r"\footnote{all of the text is in a footnote, which is not shown}"
    assert to_unicode(tex) == tex


def test_private_code_points_from_outside_are_dropped():
    assert to_unicode("a\ue000b\ue010c") == "abc"


@pytest.mark.parametrize("deep", [r"\textbf{", "x_{", r"\frac{1}{", "{"])
@pytest.mark.parametrize("times", [19, 21, 100, 300, 3_000])
def test_deep_nesting_is_no_error(deep, times):
    assert to_unicode(f"${deep * times}a{'}' * times}$ and so on")
    assert to_unicode(f"{deep * times}a and so on")


def test_deep_nesting_and_many_dollars_end_soon():
    assert to_unicode("{" * 5_000 + r"\alpha" + "}" * 5_000)
    assert to_unicode(r"\(" * 2_000 + "$" * 2_001)


@given(st.text(alphabet=r"\${}^_~%&# abfrac12λ'`-", max_size=60))
def test_no_text_is_an_error(text):
    assert to_unicode(to_unicode(text)) is not None


@needs_corpus
def test_the_corpus_is_readable():
    """Under 1 % of titles and 3 % of abstracts keep a `$` or a macro, and nothing is truncated."""
    days = sorted(path.name[7:-9] for path in issues.CORPUS.glob("papers-*.jsonl.gz"))
    papers = [paper for day in days for paper in issues.corpus_papers(day).values()]
    assert len(papers) > 5_000
    papers = papers if LARGE else papers[::4]
    titles = [paper.title for paper in papers if LEFT.search(to_unicode(paper.title))]
    shown = [(paper, to_unicode(paper.abstract)) for paper in papers]
    abstracts = [paper.id for paper, text in shown if LEFT.search(text)]
    cut = [paper.id for paper, text in shown if len(text) < 0.7 * len(paper.abstract)]
    ends = [
        paper.id
        for paper, text in shown
        if text[-8:] != paper.abstract.strip()[-8:] and not LEFT.search(paper.abstract)
    ]
    names = [name for p in papers for name in p.authors if re.search(r"[\\${]", to_unicode(name))]
    assert len(titles) < 0.001 * len(papers)
    assert len(abstracts) < 0.005 * len(papers)
    assert (cut, names) == ([], [])
    assert len(ends) < 0.01 * len(papers)
