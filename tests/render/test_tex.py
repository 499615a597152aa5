# ruff: noqa: RUF001 - the letters that look like others are the point
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylatexenc import latexwalker

from newsletter.render.tex import to_unicode, word_walker
from tests.render.gallery import issues
from tests.suite_size import LARGE

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
        (r"$O(n\log n)$ and $\sin\theta$", "O(n log n) and sin θ"),
    ],
)
def test_tex_is_shown_as_unicode(tex, shown):
    assert to_unicode(tex) == shown


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"$\frac{z}{1+z}$", "z/(1+z)"),
        (r"$\sqrt{\frac{a+b}{c}}$", "√((a+b)/c)"),
        (r"$\tfrac12$, $\dfrac{a-b}{c}$, $\nicefrac{x}{y}$", "1/2, (a-b)/c, x/y"),
        (r"$\frac{-1}{2}$ and $1-\frac{1}{e}$", "-1/2 and 1-1/e"),
        (r"$\frac{\frac{a}{b}}{c}$ and $\frac{a}{\frac{b}{c}}$", "(a/b)/c and a/(b/c)"),
        (r"$\frac{1}{2m}$, $\frac{1}{(1-x)}$, $\frac{1}{\sqrt{n}}$", "1/(2m), 1/(1-x), 1/√(n)"),
        (r"$\frac{1}{2}mv^2$ and $2\frac{1}{3}$", "(1/2)mv² and 2(1/3)"),
        (r"$\frac{a}{b}\frac{c}{d}$ and $(a+b)\frac{c}{d}$", "(a/b)(c/d) and (a+b)(c/d)"),
        (r"$\frac{\partial f}{\partial x_i}$ and $\frac{d}{dt}$", "∂f/∂xᵢ and d/dt"),
        (r"$\frac{\log n}{n}$", "(log n)/n"),
        (r"$\frac{1}{|Z|}$, $\frac{1}{(1+t)^\beta}$, $\frac{1}{f(x)}$", "1/|Z|, 1/(1+t)ᵝ, 1/f(x)"),
        (r"$\frac{1}{(a+b)(c+d)}$", "1/((a+b)(c+d))"),
        (r"$x^{\frac{1}{2}}$ and $\frac{1}{\epsilon^2}$", "x^(1/2) and 1/ϵ²"),
        (r"$\sqrt[3]{x}$ and $\sqrt[n]{x}$", "∛(x) and √[n](x)"),
        (r"$\binom{n}{k}$", "(n choose k)"),
        (r"$\biggl(\frac{a}{b}\biggr)$", "(a/b)"),
    ],
)
def test_a_formula_keeps_its_value_in_one_line(tex, shown):
    assert to_unicode(tex) == shown


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\textbf{$\Lambda$}CDM", "ΛCDM"),
        (r"{\Large $\pi$} and {\bf $x$-ray} data", "π and x-ray data"),
        (r"\texorpdfstring{$\Lambda$}{Lambda}CDM", "LambdaCDM"),
        (r"\texorpdfstring{$\Lambda$}{}CDM", "ΛCDM"),
        (r"\emph{a $5 price} and $x$", "a $5 price and x"),
        (r"the 15\textsuperscript{th}, CO\textsubscript{2}", "the 15ᵗʰ, CO₂"),
        (r"a\textsuperscript{*$}", "a*$"),
        (r"\num{1617} papers, \SI{5}{km}", "1617 papers, 5 km"),
        ("at $6196 Å$ and $5\\%$", "at 6196 Å and 5%"),
    ],
)
def test_a_group_may_hold_a_formula(tex, shown):
    assert to_unicode(tex) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("J.~Doe", "J. Doe"),
        (r"{\'A}.~{L}ópez", "Á. López"),
        ("van~der~Waals", "van der Waals"),
        (r"M.~\'Alvarez~Jr.", "M. Álvarez Jr."),
        ("B.~D.~O.~Anderson", "B. D. O. Anderson"),
    ],
)
def test_a_tie_in_a_name_becomes_a_blank(name, shown):
    assert to_unicode(name) == shown


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
def test_plain_text_is_unchanged(plain):
    assert to_unicode(plain) == plain


def test_a_percent_sign_does_not_start_a_comment():
    assert (
        to_unicode(r"50% of \textbf{all} and 96.4\% of the rest")
        == "50% of all and 96.4% of the rest"
    )


@pytest.mark.parametrize(
    "broken", [r"broken $x_{ and", r"\textbf{", "$$", r"\\\\", "}{", r"\frac{1", r"\unicode{x}"]
)
def test_broken_tex_is_no_error(broken):
    assert isinstance(to_unicode(broken), str)


def test_text_is_unchanged_if_most_of_it_would_be_lost():
    tex = r"\footnote{all of the text is in a footnote, which is not shown}"
    assert to_unicode(tex) == tex


def test_private_code_points_in_the_input_are_removed():
    assert to_unicode("a\ue000b\ue010c") == "abc"


@pytest.mark.parametrize("deep", [r"\textbf{", "x_{", r"\frac{1}{", "{"])
@pytest.mark.parametrize("times", [19, 21, 100, 300, 3_000])
def test_deep_nesting_is_no_error(deep, times):
    assert to_unicode(f"${deep * times}a{'}' * times}$ and so on")
    assert to_unicode(f"{deep * times}a and so on")


TOKENS = st.sampled_from(
    [
        *(r"\emph", r"\frac", r"\sqrt", r"\verb", r"\begin{x}", r"\end{x}", r"\alpha", r"\'"),
        *(r"\H", r"\\", r"\(", r"\)", *"{}[]$'~*|,", "``", "--", "a", "Word", "ä²", "1"),
    ]
)


def parsed(walker, text):
    try:
        nodes, *_ = walker(text, tolerant_parsing=True).get_latex_nodes()
    except (latexwalker.LatexWalkerError, IndexError) as error:
        return str(error)  # IndexError: the library's own, for a text that ends with \\verb.
    return re.sub(r"<parsing state \d+>", "", repr(nodes))


@given(st.lists(TOKENS, max_size=20), st.sampled_from(["", " ", "  "]))
def test_words_are_read_as_the_library_reads_their_letters(tokens, between):
    text = between.join(tokens)
    ours, theirs = (
        parsed(one, text) for one in (word_walker(latexwalker), latexwalker.LatexWalker)
    )
    assert ours == theirs


def test_plain_words_are_one_token():
    read = []

    class Counted(word_walker(latexwalker)):
        def get_token(self, *given, **named):
            read.append(super().get_token(*given, **named))
            return read[-1]

    parsed(Counted, r"Many plain words before \emph{one} macro and as many words after it")
    assert [token.arg for token in read if token.tok == "char"] == [
        *("Many plain words before", "one", "macro and as many words after it"),
    ]


def test_deep_nesting_and_many_dollars_are_fast():
    assert to_unicode("{" * 5_000 + r"\alpha" + "}" * 5_000)
    assert to_unicode(r"\(" * 2_000 + "$" * 2_001)


@given(st.text(alphabet=r"\${}^_~%&# abfrac12λ'`-", max_size=60))
def test_any_text_is_accepted(text):
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
