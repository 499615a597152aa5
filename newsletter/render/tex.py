# ruff: noqa: RUF001 - the tables hold the very letters that look like others
r"""TeX as Unicode, for titles, names, abstracts and comments (pure).

arXiv's text is half TeX: accents, formulas, `\%`, and also plain `%`, `&` and `$5` that mean
themselves. pylatexenc knows the symbols; what it gets wrong in such mixed text is kept from it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from newsletter.render.symbols import (
    NOTHING,
    SECOND,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SWITCHES,
    SYMBOLS,
    TRANSPARENT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Private code points keep from pylatexenc what it would read as markup; none may come from outside.
UP, DOWN, OPEN, CLOSE = "\ue000", "\ue001", "\ue002", "\ue003"
LITERALS = "%&#^_$~-"
SHIELD = {ord(letter): 0xE010 + place for place, letter in enumerate(LITERALS)}
UNSHIELD = {shield: letter for letter, shield in SHIELD.items()}
PRIVATE = re.compile("[\ue000-\ue01f]")

TEX = re.compile(r"[\\$~]|``|''|[_^]\{")
MATH = re.compile(
    r"(?<!\\)\$\$(?P<display>(?:\\.|[^$\\])+)\$\$"
    r"|(?<!\\)\$(?P<inline>(?:\\.|[^$\\])+)\$"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
)
FORMULA = re.compile(r"[\\^_={}<>+]|^\s*[-(]?\s*[^\W\d_]{1,2}[\s\d)\-]*$|^\s*[-−]\s*$")
SCRIPT = re.compile(rf"([{UP}{DOWN}]){OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
MACRO = re.compile(r"\\(?:([A-Za-z]+)\*?|.)")
ARGUMENT = re.compile(r"\\(?:[A-Za-z]+(?:\s*\{[^{}]*\})*|.)|.")
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
    pieces, end = [], 0
    for start, stop, body in formulas(text):
        pieces += [_prose(text[end:start]), _formula(body)]
        end = stop
    pieces.append(_prose(text[end:]))
    plain = "".join(pieces).translate(UNSHIELD)
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


def _is_formula(body: str, after: str) -> bool:
    """False for the text between two prices (`$5 and $6`, `$5-$10`)."""
    if FORMULA.search(body):
        return True
    prices = after.isdigit() or (body[:1].isdigit() and re.search(r" .*[^\W\d_]", body))
    return not (prices or body[-1:].isspace())


def _prose(text: str) -> str:
    if not TEX.search(text):
        return text
    text = re.sub(r"(?<=[^\W\d_.])~(?=\w)|(?<=[.,])~(?=\w)|~(?=\\)", " ", text)
    return _symbols(re.sub(r"\\[%&#_$]|\\.|[%&#^_$~-]", _shielded, text))


def _shielded(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == "\\" and token[1] not in "%&#_$":
        return token
    return token[-1].translate(SHIELD)


def _formula(body: str) -> str:
    body = re.sub(r"\\[%&#_$]|\\.|[%&#]", _shielded, body.replace("~", " "))
    shown = _symbols(_mark_scripts(body)).replace("'", "′")
    # The innermost scripts come first, so that what holds them sees plain text.
    while (changed := SCRIPT.sub(_script, shown)) != shown:
        shown = changed
    # pylatexenc eats the blank behind a macro and keeps the one before it.
    shown = re.sub(r" ([≳≲∼≈≃≥≤≪≫×∈∝])(?=\S)", r"\1", shown)
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
        text.MacroTextSpec("unicode", _code_point),
    ]
    arguments = [(name, "{") for name in TRANSPARENT | {"unicode"}]
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
