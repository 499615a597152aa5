# ruff: noqa: RUF001, SIM905 - the tables hold the very letters that look like others
"""What pylatexenc does not know, or knows otherwise than arXiv's authors mean it."""

from __future__ import annotations

SUPERSCRIPTS = dict(
    zip(
        "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδεθιφχ",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᵋᶿᶥᵠᵡ",
        strict=True,
    )
) | {
    " ": "",
    "∘": "°",
    "'": "′",
    "′": "′",
    "⋆": "*",
    "*": "*",
    "∗": "*",
    "†": "†",
    "⊤": "ᵀ",
    "∞": "^∞",
}
SUBSCRIPTS = dict(
    zip(
        "0123456789+-−=()aehijklmnoprstuvxβγρφχ",
        "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ",
        strict=True,
    )
) | {" ": "", "⊙": "⊙", "☉": "☉", "∗": "*", "⋆": "*"}

# Macros whose argument is shown as it is: their styling has no Unicode worth the trouble.
TRANSPARENT = frozenset(
    """
    texttt textsf textsc textrm textnormal textup textmd mathrm mathsf mathtt mathit mathnormal
    operatorname text mbox hbox underline overline emph textit textbf textsl enquote mathbf
    boldsymbol pmb bm bold widetilde widehat overrightarrow ensuremath uline url boxed dot ddot
    mathring utilde centering num si unit ang
    """.split()
)
# Macros that vanish with their argument, and switches that have none.
NOTHING = frozenset(
    """
    cite citep citet citealt citealp citeauthor citeyear label footnote thanks vspace hspace
    color mkern phantom vphantom hphantom bibliography
    """.split()
)
SWITCHES = frozenset(
    """
    left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm
    Bigm biggm rm it bf sc sf tt em small large Large tiny
    normalsize scriptsize footnotesize scriptstyle textstyle displaystyle limits nolimits
    LARGE huge Huge itshape bfseries scshape xspace cal noindent newline protect nonumber middle
    """.split()
)
# Macros of which the second argument is the text.
SECOND = ("href", "textcolor", "colorbox", "fcolorbox", "raisebox")
FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"})
BINOMIALS = frozenset({"binom", "tbinom", "dbinom"})
# A number and its unit.
MEASURES = frozenset({"SI", "qty"})
RAISED = ("textsuperscript", "textsubscript")
SYMBOLS = {
    "odot": "⊙", "sun": "☉", "deg": "°", "degree": "°", "celsius": "℃", "arcsec": "″",
    "arcmin": "′", "lesssim": "≲", "gtrsim": "≳", "leqslant": "⩽", "geqslant": "⩾", "Bbb": "",
    "slash": "/",
    "AA": "Å", "angstrom": "Å", "textdegree": "°", "micron": "μm", "dag": "†", "ddag": "‡",
    "eg": "e.g.", "ie": "i.e.", "etal": "et al.", "sim": "∼", "lt": "<", "gt": ">", "dots": "…",
    "ldots": "…", "cdots": "⋯", "textasciitilde": "~", "textbackslash": "", "textquoteright": "’",
    "textquotesingle": "'", "quad": " ", "qquad": " ", "star": "⋆", "ast": "∗", "prime": "′",
    "pmod": "mod ", "bmod": "mod", "textless": "<", "textgreater": ">", "textendash": "–",
    "textemdash": "—", "texttimes": "×", "textmu": "μ", "mu": "μ", "top": "⊤", "circ": "∘",
    "implies": "⟹", "iff": "⟺", "textregistered": "®", "texttrademark": "™", "copyright": "©",
    "hbar": "ℏ", "perp": "⊥", "parallel": "∥", "land": "∧", "lor": "∨", "lnot": "¬",
    "triangleq": "≜", "coloneqq": "≔", "blacksquare": "■", "checkmark": "✓", "ell": "ℓ",
    "colon": ":", "neg": "¬", "pounds": "£", "lambdabar": "ƛ", "eps": "ε", "fdg": "°.",
}  # fmt: skip
