# ruff: noqa: RUF001, SIM905 - the tables hold the very letters that look like others
r"""TeX as Unicode, for titles, names, abstracts and comments (pure).

The tables hold what pylatexenc does not know, or knows otherwise than arXiv's authors mean it.

arXiv's text is half TeX: accents, formulas, `\%`, and also plain `%`, `&` and `$5` that mean
themselves. pylatexenc knows the symbols; what it gets wrong in such mixed text is kept from it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

# Private code points keep from pylatexenc what it would read as markup; none may come from outside.
UP, DOWN, OPEN, CLOSE = "\ue000", "\ue001", "\ue002", "\ue003"
OVER, OVER_END = "\ue004", "\ue005"
"""Around a fraction, until it is known what stands beside it."""
PLACES = range(0xF0000, 0xFFFFE)
"""One stands for each formula while the prose around it is read, groups and all."""
LITERALS = "%&#^_$~-"
SHIELD = {ord(letter): 0xE010 + place for place, letter in enumerate(LITERALS)}
UNSHIELD = {shield: letter for letter, shield in SHIELD.items()}
PRIVATE = re.compile("[\ue000-\ue01f\U000f0000-\U000ffffd]")
PLACE = re.compile("[\U000f0000-\U000ffffd]")

TEX = re.compile(r"[\\$~]|``|''|[_^]\{")
MARKUP = re.compile(r"[\\{}]|``|''")
MATH = re.compile(
    r"(?<!\\)\$\$(?P<display>(?:\\.|[^$\\])+)\$\$"
    r"|(?<!\\)\$(?P<inline>(?:\\.|[^$\\])+)\$"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
)
FORMULA = re.compile(r"[\\^_={}<>+]|^\s*[-(]?\s*[^\W\d_]{1,2}[\s\d)\-]*$|^\s*[-−]\s*$")
MEASURE = re.compile(r"\d[\d.,]*\s?(?:[^\W\d_]{1,3}|[°%])")
"""A number and its unit: `$6196 Å$`."""
TIE = re.compile(
    r"(?<=[^\W\d_.])~(?=\w)|(?<=[.,)}])~(?=[\w{])|(?<=\d)~(?=[^\W\d_])|~(?=\\)"
    "|(?<=[\\w.,)}])~(?=[\U000f0000-\U000ffffd])|(?<=[\U000f0000-\U000ffffd])~(?=[\\w{])"
)
SCRIPT = re.compile(rf"([{UP}{DOWN}]){OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
MACRO = re.compile(r"\\(?:([A-Za-z]+)\*?|.)")
ARGUMENT = re.compile(r"\\(?:[A-Za-z]+(?:\s*\{[^{}]*\})*|.)|.")
FUNCTIONS = r"\\(?:log|ln|exp|sin|cos|tan|max|min|sup|inf|det|dim|arg|gcd)(?![A-Za-z])"
BEFORE_NAME = re.compile(rf"(?<=[\w}})])\s*({FUNCTIONS})")
BEHIND_NAME = re.compile(rf"({FUNCTIONS})\s*(?=[A-Za-z]|\\(?!left|big)[A-Za-z])")
"""Where the name of a function meets a letter: the blank between them is lost else."""
FRACTION = re.compile(f"{OVER}([^{OVER}{OVER_END}]*){OVER_END}")
GROUP = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\|[^|]*\||⌊[^⌊⌋]*⌋|⌈[^⌈⌉]*⌉")
SCRIPTED = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")
HELD = "•"
"""Stands for what is in brackets, where it is judged what is outside of them."""
SUM = re.compile(rf"[+±∓=<>≤≥≪≫∼≈/,\s{OVER}]|(?<=.)[-−]")
ATOM = re.compile(
    rf"(?:[-−]?\d[\d.,]*|[d∂∆Δ]?(?:[^\W\d_]|∞)[\u0300-\u036f]*{HELD}?|[√∛∜]?{HELD})(?:[{UP}{DOWN}]|′)*"
)
"""What may stand below a stroke without brackets."""
BEFORE, BEHIND = f")]{CLOSE}{OVER_END}′!", f"([√∛∜{OVER}{UP}{DOWN}!"
ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}
BOTH = 2
BRACES = {"{": 1, "}": -1}
LEAST_KEPT = 0.5
DEEPEST = 20


@lru_cache(maxsize=8192)
def to_unicode(text: str) -> str:
    """`text` with its TeX as Unicode, on one line. Where that would lose words, `text` itself."""
    text = " ".join(PRIVATE.sub("", text).split())
    # `\\boldsymbolλ`: pylatexenc would take the Greek letter for a part of the macro's name.
    text = re.sub(r"(\\[A-Za-z]+)(?=[^\W\d_a-zA-Z])", r"\1 ", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ",", text)
    if not TEX.search(text) or _depth(text) > DEEPEST:
        return _dashes(text)
    plain = _dashes(_converted(text))
    letters = re.sub(r"\\[A-Za-z]+|[\\${}\s^_~]", "", text)
    return plain if len(plain) >= LEAST_KEPT * len(letters) else text


def _depth(text: str) -> int:
    """How deep braces are nested. What no author writes would only exhaust the parser's stack."""
    steps = (1 if brace == "{" else -1 for brace in re.findall(r"[{}]", text))
    return max(accumulate(steps), default=0)


def _dashes(text: str) -> str:
    """`--` between words; before an option (`--fast`) it means itself."""
    text = re.sub(r"(?<= )---(?= )", "—", re.sub(r"(?<= )--(?= )", "–", text))
    return re.sub(r"(?<=\w)--(?=\w)", "–", re.sub(r"(?<=\w)---(?=\w)", "—", text))


def _converted(text: str) -> str:
    """Prose is read whole, so that a group that holds a formula is not torn."""
    pieces, shown, end = [], {}, 0
    for place, (start, stop, body) in zip(PLACES, formulas(text), strict=False):
        pieces += [text[end:start], chr(place)]
        shown[place] = _formula(body)
        end = stop
    pieces.append(text[end:])
    plain = _prose("".join(pieces)).translate(shown).translate(UNSHIELD)
    return re.sub(r"\s+([,.;:)\]])", r"\1", " ".join(plain.split()))


def formulas(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and body of each formula. A `$` that is a price opens none."""
    place = 0
    while found := MATH.search(text, place):
        body = next(group for group in found.groups() if group is not None)
        if found["inline"] is None or _is_formula(body, text[found.end() : found.end() + 1]):
            yield found.start(), found.end(), body
            place = found.end()
        else:
            place = found.start() + 1


def outer_formulas(text: str) -> Iterator[tuple[int, int, str]]:
    """Those of the formulas that stand in no group of the prose."""
    depth = end = 0
    for start, stop, body in formulas(text):
        before = re.sub(r"\\.", "", text[end:start])
        depth += before.count("{") - before.count("}")
        end = stop
        if depth <= 0:
            yield start, stop, body


def _is_formula(body: str, after: str) -> bool:
    """False for the text between two prices (`$5 and $6`, `$5-$10`), and across a group's end."""
    steps = list(accumulate(BRACES.get(one, 0) for one in re.sub(r"\\.", "", body)))
    if min(steps, default=0) < 0:
        return False
    if FORMULA.search(body) or (MEASURE.fullmatch(body) and not after.isdigit()):
        return True
    prices = after.isdigit() or (body[:1].isdigit() and re.search(r" .*[^\W\d_]", body))
    return not (prices or body[-1:].isspace())


def _prose(text: str) -> str:
    text = re.sub(r"\\[%&#_$]|\\.|[%&#^_$~-]", _shielded, TIE.sub(" ", text))
    return _scripts(_fractions(_symbols(text))) if MARKUP.search(text) else text


def _shielded(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == "\\" and token[1] not in "%&#_$":
        return token
    return token[-1].translate(SHIELD)


def _formula(body: str) -> str:
    body = BEFORE_NAME.sub(r" \1", body.replace("~", " "))
    body = BEHIND_NAME.sub(r"\1{} ", body)
    body = re.sub(r"\\[%&#_$]|\\.|[%&#]", _shielded, body)
    shown = _scripts(_fractions(_symbols(_mark_scripts(body)).replace("'", "′")))
    # pylatexenc eats the blank behind a macro and keeps the one before it.
    return re.sub(r" ([≳≲∼≈≃≥≤≪≫×∈∝])(?=\S)", r"\1", shown)


def _scripts(shown: str) -> str:
    """Marked scripts as letters above and below, the innermost first: what holds them is plain."""
    while (changed := SCRIPT.sub(_script, shown)) != shown:
        shown = changed
    return re.sub(f"[{UP}{DOWN}{OPEN}{CLOSE}]", "", shown)


def _mark_scripts(body: str) -> str:
    """`x^{n+1}` as `x` UP OPEN `n+1` CLOSE: pylatexenc would lose the braces."""
    out, place = [], 0
    while place < len(body):
        letter = body[place]
        if letter == "\\":
            out.append(body[place : place + 2])
            place += 2
        elif letter in "^_":
            argument, place = _argument(body, place + 1)
            out.append(f"{UP if letter == '^' else DOWN}{OPEN}{_mark_scripts(argument)}{CLOSE}")
        else:
            out.append(letter)
            place += 1
    return "".join(out)


def _argument(body: str, place: int) -> tuple[str, int]:
    """The argument that starts at `place`, without its braces, and the place behind it."""
    while body[place : place + 1].isspace():
        place += 1
    if body[place : place + 1] != "{":
        found = ARGUMENT.match(body, place)
        return (found[0], found.end()) if found else ("", len(body))
    depth = 0
    for end in range(place, len(body)):
        depth += {"{": 1, "}": -1}.get(body[end], 0)
        if depth == 0:
            return body[place + 1 : end], end + 1
    return body[place + 1 :], len(body)


def _fractions(shown: str) -> str:
    """Marked fractions as `a/b`, in brackets where they would run into what is beside them."""
    while (changed := FRACTION.sub(_fraction_there, shown)) != shown:
        shown = changed
    return shown


def _fraction_there(found: re.Match[str]) -> str:
    before = found.string[: found.start()].rstrip()[-1:]
    behind = found.string[found.end() :].lstrip()[:1]
    left = bool(before) and (before.isalnum() or before in BEFORE)
    right = bool(behind) and (behind.isalnum() or behind in BEHIND)
    return f"({found[1]})" if left or right else found[1]


def _fraction(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """What stands above and below; a sum or a quotient in brackets, and below a product as well."""
    parts = [str(l2tobj.nodelist_to_text([part])).strip() for part in _arguments(node)[-2:]]
    if len(parts) < BOTH:
        return "".join(parts)
    above, below = parts
    if SUM.search(_outer(above)):
        above = f"({above})"
    if not ATOM.fullmatch(_outer(below)):
        below = f"({below})"
    return f"{OVER}{above}/{below}{OVER_END}"


def _outer(text: str) -> str:
    """The text without its scripts, and with one letter for whatever stands in brackets."""
    while (changed := SCRIPTED.sub("", text)) != text:
        text = changed
    while (changed := GROUP.sub(HELD, text)) != text:
        text = changed
    return text


def _choose(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    parts = [str(l2tobj.nodelist_to_text([part])).strip() for part in _arguments(node)]
    return f"({' choose '.join(parts)})"


def _root(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    parsed = node.nodeargd.argnlist if node.nodeargd else []
    degree, inner = (
        str(l2tobj.nodelist_to_text([part])).strip() if part is not None else ""
        for part in (parsed if len(parsed) == BOTH else (None, None))
    )
    sign = ROOTS.get(degree.strip("[]"), f"√[{degree.strip('[]')}]")
    return f"{sign}({inner})"


def _raised(mark: str) -> Callable[..., str]:
    r"""`\textsuperscript` and its like: plain where there are no such letters."""
    table = SUPERSCRIPTS if mark == UP else SUBSCRIPTS

    def shown(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
        inner = _last_argument(node, l2tobj)
        return "".join(table[one] for one in inner) if set(inner) <= table.keys() else inner

    return shown


def _measured(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """A number and its unit (siunitx)."""
    return " ".join(str(l2tobj.nodelist_to_text([part])) for part in _arguments(node)[-2:])


def _second_or_first(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    r"""`\texorpdfstring`: the words for a bookmark, or the formula where there are none."""
    parts = [str(l2tobj.nodelist_to_text([part])) for part in _arguments(node)]
    return next((part for part in reversed(parts) if part), "")


def _script(found: re.Match[str]) -> str:
    mark, inner = found[1], found[2].strip()
    table = SUPERSCRIPTS if mark == UP else SUBSCRIPTS
    if all(letter in table for letter in inner):
        return "".join(table[letter] for letter in inner)
    sign = ("^" if mark == UP else "_").translate(SHIELD)
    return f"{sign}{inner}" if inner.isalnum() or len(inner) == 1 else f"{sign}({inner})"


def _symbols(text: str) -> str:
    from pylatexenc.latexwalker import LatexWalkerError

    convert, parsed_as = _converter()
    try:
        return str(convert(text, latex_context=parsed_as, tolerant_parsing=True))
    except (LatexWalkerError, RecursionError, ValueError, LookupError):
        return MACRO.sub(lambda found: found[1] or "", text).replace("{", "").replace("}", "")


@cache
def _converter() -> tuple[Callable[..., str], object]:
    """The reader and the grammar of pylatexenc, with the macros that arXiv's text holds besides."""
    # pylatexenc has no types, hence Any.
    text: Any = import_module("pylatexenc.latex2text")
    macro: Any = import_module("pylatexenc.macrospec").std_macro
    symbols = text.get_default_latex_context_db()
    grammar: Any = import_module("pylatexenc.latexwalker").get_default_latex_context_db()
    shown = [
        *(text.MacroTextSpec(name, _last_argument) for name in TRANSPARENT),
        *(text.MacroTextSpec(name, "") for name in NOTHING | SWITCHES),
        *(text.MacroTextSpec(name, symbol) for name, symbol in SYMBOLS.items()),
        *(text.MacroTextSpec(name, _last_argument) for name in SECOND),
        *(text.MacroTextSpec(name, _fraction) for name in FRACTIONS),
        *(text.MacroTextSpec(name, _choose) for name in BINOMIALS),
        *(text.MacroTextSpec(name, _measured) for name in MEASURES),
        text.MacroTextSpec("texorpdfstring", _second_or_first),
        text.MacroTextSpec("sqrt", _root),
        text.MacroTextSpec("textsuperscript", _raised(UP)),
        text.MacroTextSpec("textsubscript", _raised(DOWN)),
        text.MacroTextSpec("unicode", _code_point),
    ]
    arguments = [(name, "{") for name in TRANSPARENT | {"unicode", *RAISED}]
    arguments += [(name, "{{") for name in FRACTIONS | BINOMIALS | {"texorpdfstring"}]
    arguments += [("sqrt", "[{"), *((name, "[{{") for name in MEASURES)]
    arguments += [(name, "[{") for name in NOTHING] + [(name, "{{") for name in SECOND]
    arguments += [(name, "") for name in SWITCHES]
    symbols.add_context_category("arxiv", prepend=True, macros=shown)
    symbols.set_unknown_macro_spec(text.MacroTextSpec("", lambda node: f"{node.macroname} "))
    grammar.add_context_category(
        "arxiv", prepend=True, macros=[macro(name, spec) for name, spec in arguments]
    )
    reader = text.LatexNodes2Text(latex_context=symbols, math_mode="text", keep_comments=True)
    return reader.latex_to_text, grammar


def _last_argument(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """What a macro wraps; nothing where the author left the argument away."""
    return str(l2tobj.nodelist_to_text(_arguments(node)[-1:]))


def _arguments(node: Any) -> list[Any]:  # noqa: ANN401 - pylatexenc has no types
    parsed = node.nodeargd.argnlist if node.nodeargd else None
    return [each for each in parsed or () if each is not None]


def _code_point(node: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    r"""`\unicode{x2014}`, as MathJax writes it."""
    digits = "".join(each.latex_verbatim() for each in _arguments(node)).strip("{}")
    try:
        return chr(int(digits.lower().removeprefix("x"), 16 if digits[:1] in "xX" else 10))
    except (ValueError, OverflowError):
        return ""
