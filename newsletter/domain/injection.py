"""Detect prompt injection: texts that address the model that reads them (pure).

No paper is dropped: a flagged paper is scored in a call of its own, and the lower score of both
passes counts. A false positive costs one call, so the patterns are wide: papers about such attacks
are flagged too.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from newsletter.domain.sanitize import UNUSUAL, strip_invisible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.model import Paper

PAPER = r"(?:paper|article|manuscript|submission|abstract|preprint|entry|work|study)"
HIGH = r"(?:10|ten|maxim\w+|highest|top|full|perfect|best|outstanding|excellent)"
MARK = r"(?:scor\w*|rating\w*|marks?|grades?|points|relevance|novelty|fields?|values?)"
JUDGE = (
    r"(?:reviewer|evaluator|grader|rater|screener|assessor|assistant|chatbot|llm|ai"
    r"|(?:language|ai)\s+model)"
)
WHOLE = r"(?:10|[1-9])(?![\d%]|[.,]\d|\s+percent)"
NUMBER = r"(?:10|9|8|ten|nine)(?!\w|\.\d)"
RELEVANCE, NOVELTY = r"(?:r|rel|relevance)", r"(?:n|nov|novelty)"
IS = r"[\"'\s]*(?:=|:|->|\bis\b|\bof\b|\s)[\"'\s]*"

KINDS = {
    "override": rf"""
        \b(?:ignore|disregard|forget|override)\b .{{0,40}}
            \b(?:instruction|prompt|above|previous|prior|rubric|criteria|rules|guideline)
        | \b(?:instruction|rule|rubric|criteria|guideline)s?\b .{{0,30}}
            \b(?:do|does|shall|should)\s+not\s+(?:apply|count|hold)\b .{{0,20}} \b{PAPER}\b
        | \bsystem\s+prompt\b
        | (?:^|[.!?:;]\s+)new\s+(?:task|instructions?)\s*: | \bstop\s+reading\b
    """,
    "scores": rf"""
        \b{RELEVANCE}{IS}{NUMBER} .{{0,12}}? \b{NOVELTY}{IS}{NUMBER}
        | \b{NOVELTY}{IS}{NUMBER} .{{0,12}}? \b{RELEVANCE}{IS}{NUMBER}
        | \b(?:relevance|novelty)\s*(?:of|:|=|is|must\s+be|should\s+be)?\s*(?:10|ten)\b
        | \b(?:ten|10)\s+out\s+of\s+(?:ten|10)\b | (?<![\d/.-])10\s*/\s*10\b
        | \b(?:ten|10)\s+(?:on|for|in)\s+(?:both|all|each|every)\b
        | \bfull\s+marks\b | \b\w{{0,20}}_score\s*[:=]\s*\d
        | \b(?:score|rating|grade)\s*[:=]\s*(?:10|100)(?![\d.%])
    """,
    "format": r"""
        <\s*/?\s*(?:paper|rubric|system|instructions?)\b
        | \bslots?\b .{0,20} \bp\d\d\b | ["']?\bp\d\d["']?\s*:\s*\{
        | ["'](?:r|n|m|relevance|novelty|score|rating|criterion)["']\s*:\s*\d
        | <\|\s*\w+\s*\|> | \[\s*/?\s*INST\s*\] | <<\s*/?\s*SYS
        | (?:^|[.!?]\s+)(?:assistant|human|system)\s*:\s
    """,
    "order": rf"""
        \b(?:give|assign|award|rate|score|return|answer|output|respond)\b .{{0,40}}
            \b(?:relevance|novelty|score|rating)\s*(?:of|:|=|is)?\s*{WHOLE}
        | \b(?:give|assign|award|grant|return|output|respond|print)\b .{{0,40}}
            \b{HIGH}\s+(?:possible\s+)?{MARK}\b
        | \b(?:mark|put|place|rank|treat|rate|score|accept|recommend|praise|consider)\s+
            (?:this|the|our|it)\b .{{0,12}} \b(?:{PAPER})?\b .{{0,30}}
            \b(?:must.read|top\s+of|perfect\s+match|{HIGH}\s+(?:possible\s+)?(?:{MARK}|of)
            |strongly|below\s+(?:nine|ten|9|10))
        | \b(?:return|output|answer\s+with)\s+(?:the\s+)?(?:maxim\w+|highest)\b
        | \bdo(?:\s+not|n['\u2019]t)\s+(?:mention|highlight|report|list|criticize|point)\b .{{0,40}}
            \b(?:negative|weakness|flaw|limitation|shortcoming)
        | \bpraise\s+(?:it|this|the\s+{PAPER})\b | \bpositive\s+review\b
        | \baccept\s+this\s+{PAPER}\b
        | \bdo\s+not\s+(?:mention|reveal|reproduce|follow)\s+(?:this|these|the\s+above)\s+
            (?:instruction|note|prompt|message)
        | \b(?:rate|score|grade|mark)\s+(?:this|the|our|it|me)\b .{{0,15}}
            (?:\bperfect\b|\bhighly\b|\b\d{{1,3}}\s*(?:/|out\s+of)\s*\d)
        | \bas\s+high\s+as\s+the\s+scale\b
        | \b(?:below|under|less\s+than)\s+(?:nine|9|ten|10)\s*[.!]
    """,
    "address": rf"""
        \b{JUDGE}s?\b .{{0,30}} \b(?:must|shall|has\s+to|have\s+to)\s+
            (?:rate|score|give|accept|recommend|assign)
        | \b(?:note|message|instructions?|attention|reminder)\s*(?:for|to|,|:)\s*
            (?:the\s+|all\s+|any\s+)?(?:\w+\s+)?{JUDGE}s?\b [^.:,]{{0,25}} [:,]
        | \bif\s+you\s+are\s+(?:an?|the)\b | \bas\s+an?\s+{JUDGE}\b .{{0,15}} \byou\b
        | \byou\s+are\s+(?:now|an?\s+(?:\w+\s+)?{JUDGE})\b | \byou\s+(?:must|have\s+to|should)\s+
            (?:now\s+)?(?:rate|score|give|accept|recommend|assign|answer|output)
        | \b(?:any|every|whichever)\s+{JUDGE}\s+(?:that\s+)?(?:reading|reads|evaluating|evaluates)\b
        | \b(?:expected|correct|required|right)\s+(?:answer|output|response|score)\s+
            (?:for|to)\s+this\s+(?:{PAPER}|one|slot)\b
    """,
    "spaced letters": r"(?<!\S)(?:[A-Za-z]\ ){9,}[A-Za-z](?!\S)",
}
PATTERNS = {
    name: re.compile(pattern, re.IGNORECASE | re.VERBOSE | re.DOTALL)
    for name, pattern in KINDS.items()
}
OTHER_SCRIPTS = re.compile(
    "(?:[\u0400-\u052f\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f"
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]\\W*){8}"
)
"""Words in Cyrillic, Hebrew, Arabic, Devanagari, Thai, Chinese, Japanese or Korean.

Greek is left out: it is mathematics. A name of up to seven letters is none.
"""
FUNCTION_WORDS = {
    "German": "der das und mit diese dieser diesem dieses nicht für eine einen einer dem den keine"
    " bitte alle ist sie auf von zu deine ihre sind wird auch nur",
    "French": "le la les des du et cet cette ces pour une dans avec vous votre est aux ne pas sur"
    " sont tous toutes qui que quelle ce ta",
    "Spanish": "el la los las lo este esta estos una por para con que del es te tu todo todos se"
    " su como más han",
    "Italian": "il la gli lo questo questa questi una con che di del della dei dai dal al alla"
    " non sono tutti tutte",
    "Portuguese": "os este esta uma por para que em não da dos das ao deles seu sua todos você",
    "Dutch": "de het een dit deze voor met niet en van geen aan alle zijn wordt ook naar",
    "Polish": "ta na nie się tego tej jest oraz do wszystkie tylko jako dla ten",
    "Turkish": "bu ve en bir için ile ver etme çok tüm gibi daha",
    "Swedish": "den det detta denna och inte för ett som alla av är till med",
    "Indonesian": "dan yang ini untuk dengan dari tidak pada semua jangan adalah sebelumnya apa",
}
LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in FUNCTION_WORDS.items():
    for _word in _words.split():
        LANGUAGES_OF.setdefault(_word, []).append(_language)
GREEK = re.compile("[\u0370-\u03ff\U0001d400-\U0001d7ff]")
"""Greek and mathematical letters."""
ET_AL = re.compile(r"\bet\.?\s+al\b")
WORD = re.compile(r"[^\W\d_]+")
WINDOW, MIN_WORDS, MIN_FOREIGN, MIN_ACCENTED = 10, 2, 3, 6
"""Of ten words in a row three are of another language, among them two different function words;
or six have letters that English has not.
"""


def injection_kinds(text: str) -> list[str]:
    """In which ways a text is addressed to the model that reads it; empty for ordinary text."""
    found = []
    if any(unicodedata.category(c) in {"Cf", "Co", "Cn"} for c in "".join(UNUSUAL.findall(text))):
        found.append("hidden characters")
    seen = strip_invisible(text)
    found += [name for name, pattern in PATTERNS.items() if pattern.search(seen)]
    if OTHER_SCRIPTS.search(seen) or _has_other_language(seen):
        found.append("another language")
    return found


@lru_cache(maxsize=8_192)
def looks_like_injection(text: str) -> bool:
    """Whether a text looks addressed to the model that reads it."""
    return bool(injection_kinds(text))


def is_suspicious(paper: Paper) -> bool:
    """Whether a paper's title or abstract looks like prompt injection."""
    return looks_like_injection(f"{paper.title}\n{paper.abstract}")


def _has_other_language(text: str) -> bool:
    """Whether a stretch of the text is in a language other than English, in Latin letters."""
    accented: list[int] = []
    function: dict[str, dict[int, str]] = {}
    for place, word in enumerate(map(str.casefold, WORD.findall(ET_AL.sub(" ", text)))):
        if not word.isascii() and not GREEK.search(word):
            accented.append(place)
        if word in LANGUAGES_OF:
            for language in LANGUAGES_OF[word]:
                function.setdefault(language, {})[place] = word
    if any(True for _ in _starts(accented, MIN_ACCENTED)):
        return True
    return any(
        len({word for place, word in own.items() if start <= place < start + WINDOW}) >= MIN_WORDS
        for own in function.values()
        if len(own) >= MIN_WORDS
        for start in _starts(sorted({*own, *accented}), MIN_FOREIGN)
    )


def _starts(places: list[int], count: int) -> Iterator[int]:
    """The first places of `count` words within a window."""
    for first, last in zip(places, places[count - 1 :], strict=False):
        if last - first < WINDOW:
            yield first
