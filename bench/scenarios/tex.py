"""What is left of TeX in real titles, author names and abstracts once they are shown, by kind.

Run by `make bench-tex` over the papers of the shared corpus. A kind counts fields, not places.
Nobody knows a macro that an author defined in the paper itself: its name is what is left.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness.report import arguments
from newsletter.render.tex import formulas, to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
MACRO = re.compile(r"\\([A-Za-z]{3,})")
FRACTION = re.compile(r"\\[dtc]?frac\s*\{(?:[^{}]|\{[^{}]*\})*[+-](?:[^{}]|\{[^{}]*\})*\}")
BESIDE = re.compile(
    r"[\w}]\s*\\[dtc]?frac(?![a-z])"
    r"|\\[dtc]?frac\s*(?:\{(?:[^{}]|\{[^{}]*\})*\}){2}\s*(?:[\w({]|\\(?:alpha|beta|log|sqrt|mathrm))"
)
ROOT = re.compile(r"\\sqrt\s*\[")
KINDS = {
    "a dollar sign that is no price": re.compile(r"(?<!\d)\$(?!\d)"),
    "a backslash": re.compile(r"\\"),
    "an empty or single brace": re.compile(r"\{\}|\{[^{}]*$|^[^{}]*\}"),
    "a tie": re.compile(r"(?<=[\w.,)])~(?=[A-Za-z])"),
    "a private code point": re.compile("[\ue000-\uf8ff\U000f0000-\U000fffff]"),
}


def fields(corpus: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each title, author name and abstract, every text once."""
    seen: set[str] = set()
    for path in sorted(corpus.glob("papers-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                paper = json.loads(line)
                texts = [("title", paper["title"]), ("abstract", paper["abstract"])]
                texts += [("author", name) for name in paper["authors"]]
                for kind, text in texts:
                    if text not in seen:
                        seen.add(text)
                        yield kind, text


def residue(text: str) -> set[str]:
    """The kinds of what is left in one field."""
    shown = to_unicode(text)
    found = {kind for kind, pattern in KINDS.items() if pattern.search(shown)}
    words = set(re.findall(r"[A-Za-z]+", shown))
    plain = set(re.findall(r"[A-Za-z]+", MACRO.sub(" ", text)))
    named = {name for name in MACRO.findall(text) if name in words - plain}
    if any(not SAME.fullmatch(name) for name in named):
        found.add("the name of a macro")
    for _, _, body in formulas(text):
        formula = to_unicode(f"${body}$")
        if FRACTION.search(body) and "(" not in formula:
            found.add("a sum divided without brackets")
        if BESIDE.search(body) and "(" not in formula:
            found.add("a fraction that runs into what is beside it")
        if ROOT.search(body) and not re.search(r"√\[|∛|∜", formula):
            found.add("a root without its degree")
    return found


SAME = re.compile(
    "log|ln|exp|sin|cos|tan|max|min|sup|inf|lim|arg|argmax|argmin|det|dim|ker|deg|gcd|Pr|tanh|sinh|"
    "cosh|arctan|arcsin|arccos|bmod|mod|pmod|hom|mid"
)
"""Macros that are shown as their name."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--show", type=int, default=0, help="so many examples of each kind")
    given = parser.parse_args()
    if not given.corpus.exists():
        print(f"bench-tex is skipped: {given.corpus} is absent")
        return 0
    counts: Counter[str] = Counter()
    tex = 0
    found: dict[str, list[str]] = defaultdict(list)
    for kind, text in fields(given.corpus):
        counts[kind] += 1
        tex += bool(re.search(r"[\\$~]", text))
        for name in sorted(residue(text)):
            found[name].append(text)
    print(", ".join(f"{number:,} {kind}s" for kind, number in sorted(counts.items())), end="")
    print(f"; {tex:,} with TeX")
    for name, texts in sorted(found.items(), key=lambda one: -len(one[1])):
        print(f"{len(texts):6,}  {name}")
        for text in texts[: given.show]:
            print(f"        {text}\n     -> {to_unicode(text)}")
    print(f"{sum(map(len, found.values())):6,}  in all")
    return 0
