# ruff: noqa: RUF001, SIM905 - the tables contain letters that look alike
r"""Converts TeX to Unicode in titles, names, abstracts and comments (pure).

arXiv's text mixes TeX (accents, formulas, `\%`) with plain `%`, `&` and `$5`. pylatexenc
(https://pylatexenc.readthedocs.io) converts the symbols. The tables below add macros that it does
not know or reads differently from arXiv's authors; plain characters are protected from it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache, partial
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

# Macros of which only the argument is shown, without the style.
STYLES = frozenset(
    """
    texttt textsf textsc textrm textnormal textup textmd mathrm mathsf mathtt mathit mathnormal
    operatorname text mbox hbox underline overline emph textit textbf textsl enquote mathbf
    boldsymbol pmb bm bold widetilde widehat overrightarrow ensuremath uline url boxed dot ddot
    mathring utilde centering num si unit ang
    """.split()
)
# Macros that are removed with their argument, and switches, which have none.
REMOVED = frozenset(
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
SECOND_ARGUMENT = ("href", "textcolor", "colorbox", "fcolorbox", "raisebox")
FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"})
BINOMIALS = frozenset({"binom", "tbinom", "dbinom"})
# A number and its unit (siunitx).
QUANTITIES = frozenset({"SI", "qty"})
TEXT_SCRIPTS = ("textsuperscript", "textsubscript")
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

# Private code points stand for characters that pylatexenc would read as markup. They are removed
# from the input first.
UP, DOWN, OPEN, CLOSE = "\ue000", "\ue001", "\ue002", "\ue003"
FRACTION_START, FRACTION_END = "\ue004", "\ue005"
"""Around a fraction until its neighbours are known."""
FORMULA_MARKS = range(0xF0000, 0xFFFFE)
"""Placeholders of formulas while the prose around them is converted."""
LITERALS = "%&#^_$~-"
PROTECTED = {ord(letter): 0xE010 + index for index, letter in enumerate(LITERALS)}
UNPROTECTED = {code: letter for letter, code in PROTECTED.items()}
PRIVATE = re.compile("[\ue000-\ue01f\U000f0000-\U000ffffd]")

TEX = re.compile(r"[\\$~]|``|''|[_^]\{")
MARKUP = re.compile(r"[\\{}]|``|''")
MATH = re.compile(
    r"(?<!\\)\$\$(?P<display>(?:\\.|[^$\\])+)\$\$"
    r"|(?<!\\)\$(?P<inline>(?:\\.|[^$\\])+)\$"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
)
FORMULA = re.compile(r"[\\^_={}<>+]|^\s*[-(]?\s*[^\W\d_]{1,2}[\s\d)\-]*$|^\s*[-−]\s*$")
QUANTITY = re.compile(r"\d[\d.,]*\s?(?:[^\W\d_]{1,3}|[°%])")
"""A number and its unit: `$6196 Å$`."""
TIE = re.compile(
    r"(?<=[^\W\d_.])~(?=\w)|(?<=[.,)}])~(?=[\w{])|(?<=\d)~(?=[^\W\d_])|~(?=\\)"
    "|(?<=[\\w.,)}])~(?=[\U000f0000-\U000ffffd])|(?<=[\U000f0000-\U000ffffd])~(?=[\\w{])"
)
SCRIPT = re.compile(rf"([{UP}{DOWN}]){OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
MACRO = re.compile(r"\\(?:([A-Za-z]+)\*?|.)")
ARGUMENT = re.compile(r"\\(?:[A-Za-z]+(?:\s*\{[^{}]*\})*|.)|.")
WORDS = re.compile(r"( *)([^\W_]+(?: [^\W_]+)*)")
"""Letters, digits and single blanks between them, none of which means anything to TeX."""
FUNCTIONS = r"\\(?:log|ln|exp|sin|cos|tan|max|min|sup|inf|det|dim|arg|gcd)(?![A-Za-z])"
SPACE_BEFORE_FUNCTION = re.compile(rf"(?<=[\w}})])\s*({FUNCTIONS})")
SPACE_AFTER_FUNCTION = re.compile(rf"({FUNCTIONS})\s*(?=[A-Za-z]|\\(?!left|big)[A-Za-z])")
"""Between a function name and a letter, where pylatexenc would lose the blank."""
FRACTION = re.compile(f"{FRACTION_START}([^{FRACTION_START}{FRACTION_END}]*){FRACTION_END}")
GROUP = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\|[^|]*\||⌊[^⌊⌋]*⌋|⌈[^⌈⌉]*⌉")
SCRIPTED = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")
GROUP_MARK = "•"
"""Stands for a group in brackets while the text outside it is examined."""
SUM = re.compile(rf"[+±∓=<>≤≥≪≫∼≈/,\s{FRACTION_START}]|(?<=.)[-−]")
ATOM = re.compile(
    rf"(?:[-−]?\d[\d.,]*|[d∂∆Δ]?(?:[^\W\d_]|∞)[\u0300-\u036f]*{GROUP_MARK}?|[√∛∜]?{GROUP_MARK})(?:[{UP}{DOWN}]|′)*"
)
"""A denominator that needs no brackets."""
BRACKET_AFTER, BRACKET_BEFORE = f")]{CLOSE}{FRACTION_END}′!", f"([√∛∜{FRACTION_START}{UP}{DOWN}!"
ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}
BOTH = 2
BRACES = {"{": 1, "}": -1}
MIN_KEPT_SHARE = 0.5
MAX_DEPTH = 20


@lru_cache(maxsize=8192)
def to_unicode(text: str) -> str:
    """`text` with its TeX as Unicode, on one line; unchanged if the conversion would lose words."""
    text = " ".join(PRIVATE.sub("", text).split())
    # `\\boldsymbolλ`: pylatexenc would read the Greek letter as part of the macro name.
    if "\\" in text:
        text = re.sub(r"(\\[A-Za-z]+)(?=[^\W\d_a-zA-Z])", r"\1 ", text)
    if "{,}" in text:
        text = re.sub(r"(?<=\d)\{,\}(?=\d)", ",", text)
    if not TEX.search(text) or _depth(text) > MAX_DEPTH:
        return _dashes(text)
    plain = _dashes(_converted(text))
    letters = re.sub(r"\\[A-Za-z]+|[\\${}\s^_~]", "", text)
    return plain if len(plain) >= MIN_KEPT_SHARE * len(letters) else text


def _depth(text: str) -> int:
    """How deep braces are nested. Very deep nesting would exhaust the parser's stack."""
    steps = (1 if brace == "{" else -1 for brace in re.findall(r"[{}]", text))
    return max(accumulate(steps), default=0)


def _dashes(text: str) -> str:
    """`--` and `---` between words as dashes; an option (`--fast`) stays."""
    if "--" not in text:
        return text
    text = re.sub(r"(?<= )---(?= )", "—", re.sub(r"(?<= )--(?= )", "–", text))
    return re.sub(r"(?<=\w)--(?=\w)", "–", re.sub(r"(?<=\w)---(?=\w)", "—", text))


def _converted(text: str) -> str:
    """The prose is converted in one piece, because a group may contain a formula."""
    parts, converted, end = [], {}, 0
    for mark, (start, stop, body) in zip(FORMULA_MARKS, formulas(text), strict=False):
        parts += [text[end:start], chr(mark)]
        converted[mark] = _formula(body)
        end = stop
    parts.append(text[end:])
    plain = _prose("".join(parts)).translate(converted).translate(UNPROTECTED)
    return re.sub(r"\s+([,.;:)\]])", r"\1", " ".join(plain.split()))


def formulas(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and body of each formula. The `$` of a price starts none."""
    position = 0
    while found := MATH.search(text, position):
        body = next(group for group in found.groups() if group is not None)
        if found["inline"] is None or _is_formula(body, text[found.end() : found.end() + 1]):
            yield found.start(), found.end(), body
            position = found.end()
        else:
            position = found.start() + 1


def outer_formulas(text: str) -> Iterator[tuple[int, int, str]]:
    """The formulas outside of any `{...}` group of the prose."""
    depth = end = 0
    for start, stop, body in formulas(text):
        before = re.sub(r"\\.", "", text[end:start])
        depth += before.count("{") - before.count("}")
        end = stop
        if depth <= 0:
            yield start, stop, body


def _is_formula(body: str, after: str) -> bool:
    """False between two prices (`$5 and $6`, `$5-$10`) and across the end of a group."""
    steps = list(accumulate(BRACES.get(one, 0) for one in re.sub(r"\\.", "", body)))
    if min(steps, default=0) < 0:
        return False
    if FORMULA.search(body) or (QUANTITY.fullmatch(body) and not after.isdigit()):
        return True
    prices = after.isdigit() or (body[:1].isdigit() and re.search(r" .*[^\W\d_]", body))
    return not (prices or body[-1:].isspace())


def _prose(text: str) -> str:
    text = re.sub(r"\\[%&#_$]|\\.|[%&#^_$~-]", _protect, TIE.sub(" ", text))
    return _scripts(_fractions(_symbols(text))) if MARKUP.search(text) else text


def _protect(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == "\\" and token[1] not in "%&#_$":
        return token
    return token[-1].translate(PROTECTED)


def _formula(body: str) -> str:
    body = SPACE_BEFORE_FUNCTION.sub(r" \1", body.replace("~", " "))
    body = SPACE_AFTER_FUNCTION.sub(r"\1{} ", body)
    body = re.sub(r"\\[%&#_$]|\\.|[%&#]", _protect, body)
    shown = _scripts(_fractions(_symbols(_mark_scripts(body)).replace("'", "′")))
    # pylatexenc removes the blank after a macro and keeps the one before it.
    return re.sub(r" ([≳≲∼≈≃≥≤≪≫×∈∝])(?=\S)", r"\1", shown)


def _scripts(shown: str) -> str:
    """Marked scripts as superscript and subscript letters, the innermost first."""
    while (changed := SCRIPT.sub(_script, shown)) != shown:
        shown = changed
    return re.sub(f"[{UP}{DOWN}{OPEN}{CLOSE}]", "", shown)


def _mark_scripts(body: str) -> str:
    """`x^{n+1}` as `x` UP OPEN `n+1` CLOSE: pylatexenc would lose the braces."""
    parts, position = [], 0
    while position < len(body):
        letter = body[position]
        if letter == "\\":
            parts.append(body[position : position + 2])
            position += 2
        elif letter in "^_":
            argument, position = _argument(body, position + 1)
            parts.append(f"{UP if letter == '^' else DOWN}{OPEN}{_mark_scripts(argument)}{CLOSE}")
        else:
            parts.append(letter)
            position += 1
    return "".join(parts)


def _argument(body: str, position: int) -> tuple[str, int]:
    """The argument at `position`, without its braces, and the position after it."""
    while body[position : position + 1].isspace():
        position += 1
    if body[position : position + 1] != "{":
        found = ARGUMENT.match(body, position)
        return (found[0], found.end()) if found else ("", len(body))
    depth = 0
    for end in range(position, len(body)):
        depth += {"{": 1, "}": -1}.get(body[end], 0)
        if depth == 0:
            return body[position + 1 : end], end + 1
    return body[position + 1 :], len(body)


def _fractions(shown: str) -> str:
    """Marked fractions as `a/b`, in brackets where their neighbours would change the meaning."""
    while (changed := FRACTION.sub(_fraction_in_context, shown)) != shown:
        shown = changed
    return shown


def _fraction_in_context(found: re.Match[str]) -> str:
    before = found.string[: found.start()].rstrip()[-1:]
    after = found.string[found.end() :].lstrip()[:1]
    left = bool(before) and (before.isalnum() or before in BRACKET_AFTER)
    right = bool(after) and (after.isalnum() or after in BRACKET_BEFORE)
    return f"({found[1]})" if left or right else found[1]


def _fraction(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """`a/b`; a sum or quotient in brackets, in the denominator a product as well."""
    parts = [str(l2tobj.nodelist_to_text([part])).strip() for part in _arguments(node)[-2:]]
    if len(parts) < BOTH:
        return "".join(parts)
    numerator, denominator = parts
    if SUM.search(_outer(numerator)):
        numerator = f"({numerator})"
    if not ATOM.fullmatch(_outer(denominator)):
        denominator = f"({denominator})"
    return f"{FRACTION_START}{numerator}/{denominator}{FRACTION_END}"


def _outer(text: str) -> str:
    """The text without its scripts, and with one character for each group in brackets."""
    while (changed := SCRIPTED.sub("", text)) != text:
        text = changed
    while (changed := GROUP.sub(GROUP_MARK, text)) != text:
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


def _text_script(mark: str) -> Callable[..., str]:
    r"""`\textsuperscript` and `\textsubscript`; plain if Unicode lacks a letter."""
    table = SUPERSCRIPTS if mark == UP else SUBSCRIPTS

    def shown(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
        inner = _last_argument(node, l2tobj)
        return "".join(table[one] for one in inner) if set(inner) <= table.keys() else inner

    return shown


def _quantity(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """A number and its unit (siunitx)."""
    return " ".join(str(l2tobj.nodelist_to_text([part])) for part in _arguments(node)[-2:])


def _second_or_first(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    r"""`\texorpdfstring`: the second argument (plain text), or the first if it is empty."""
    parts = [str(l2tobj.nodelist_to_text([part])) for part in _arguments(node)]
    return next((part for part in reversed(parts) if part), "")


def _script(found: re.Match[str]) -> str:
    mark, inner = found[1], found[2].strip()
    table = SUPERSCRIPTS if mark == UP else SUBSCRIPTS
    if all(letter in table for letter in inner):
        return "".join(table[letter] for letter in inner)
    sign = ("^" if mark == UP else "_").translate(PROTECTED)
    return f"{sign}{inner}" if inner.isalnum() or len(inner) == 1 else f"{sign}({inner})"


def _symbols(text: str) -> str:
    from pylatexenc.latexwalker import LatexWalkerError

    convert, walker = _converter()
    try:
        return str(convert(walker(text).get_latex_nodes()[0]))
    except (LatexWalkerError, RecursionError, ValueError, LookupError):
        return MACRO.sub(lambda found: found[1] or "", text).replace("{", "").replace("}", "")


@cache
def _converter() -> tuple[Callable[..., str], Callable[..., Any]]:
    """Pylatexenc's converter of nodes and its parser, both with the macros of the tables above."""
    # pylatexenc has no types, hence Any.
    text: Any = import_module("pylatexenc.latex2text")
    macro: Any = import_module("pylatexenc.macrospec").std_macro
    symbols = text.get_default_latex_context_db()
    walker: Any = import_module("pylatexenc.latexwalker")
    grammar: Any = walker.get_default_latex_context_db()
    shown = [
        *(text.MacroTextSpec(name, _last_argument) for name in STYLES),
        *(text.MacroTextSpec(name, "") for name in REMOVED | SWITCHES),
        *(text.MacroTextSpec(name, symbol) for name, symbol in SYMBOLS.items()),
        *(text.MacroTextSpec(name, _last_argument) for name in SECOND_ARGUMENT),
        *(text.MacroTextSpec(name, _fraction) for name in FRACTIONS),
        *(text.MacroTextSpec(name, _choose) for name in BINOMIALS),
        *(text.MacroTextSpec(name, _quantity) for name in QUANTITIES),
        text.MacroTextSpec("texorpdfstring", _second_or_first),
        text.MacroTextSpec("sqrt", _root),
        text.MacroTextSpec("textsuperscript", _text_script(UP)),
        text.MacroTextSpec("textsubscript", _text_script(DOWN)),
        text.MacroTextSpec("unicode", _code_point),
    ]
    arguments = [(name, "{") for name in STYLES | {"unicode", *TEXT_SCRIPTS}]
    arguments += [(name, "{{") for name in FRACTIONS | BINOMIALS | {"texorpdfstring"}]
    arguments += [("sqrt", "[{"), *((name, "[{{") for name in QUANTITIES)]
    arguments += [(name, "[{") for name in REMOVED] + [(name, "{{") for name in SECOND_ARGUMENT]
    arguments += [(name, "") for name in SWITCHES]
    symbols.add_context_category("arxiv", prepend=True, macros=shown)
    symbols.set_unknown_macro_spec(text.MacroTextSpec("", lambda node: f"{node.macroname} "))
    grammar.add_context_category(
        "arxiv", prepend=True, macros=[macro(name, spec) for name, spec in arguments]
    )
    reader = text.LatexNodes2Text(latex_context=symbols, math_mode="text", keep_comments=True)
    return reader.nodelist_to_text, partial(
        word_walker(walker), latex_context=grammar, tolerant_parsing=True
    )


def word_walker(walker: Any) -> Any:  # noqa: ANN401 - pylatexenc has no types
    """The parser of pylatexenc's module `latexwalker`, which reads plain words as one token.

    Its own makes a token of each letter, and compares it with every special sign. An argument
    without braces is one letter, and read as before.
    """

    class WordWalker(walker.LatexWalker):  # type: ignore[misc]
        def get_token(self, pos: int, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
            # How nodes outside of arguments are read: they are joined to one run of text.
            in_text = "parsing_state" in named and "environments" not in named
            if in_text and (words := WORDS.match(self.s, pos)):
                text, begin = words[2], words.start(2)
                return walker.LatexToken("char", text, begin, len(text), pre_space=words[1])
            return super().get_token(pos, *given, **named)

    return WordWalker


def _last_argument(node: Any, l2tobj: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    """The argument of a macro; empty if it is missing."""
    return str(l2tobj.nodelist_to_text(_arguments(node)[-1:]))


def _arguments(node: Any) -> list[Any]:  # noqa: ANN401 - pylatexenc has no types
    parsed = node.nodeargd.argnlist if node.nodeargd else None
    return [each for each in parsed or () if each is not None]


def _code_point(node: Any) -> str:  # noqa: ANN401 - pylatexenc has no types
    r"""`\unicode{x2014}`, a macro of MathJax."""
    digits = "".join(each.latex_verbatim() for each in _arguments(node)).strip("{}")
    try:
        return chr(int(digits.lower().removeprefix("x"), 16 if digits[:1] in "xX" else 10))
    except (ValueError, OverflowError):
        return ""
