"""A rubric as the fields of a form: read, checked field by field, written as Markdown (pure).

Markdown -> form -> Markdown keeps the rubric and its fingerprint. What a field holds stays in that
field: the text of a criterion is indented, so that a heading or a number in it starts nothing, and
`faults_of` reads the written Markdown back and compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from newsletter.domain.categories import by_name, is_known, nearest
from newsletter.domain.model import Criterion, Rubric
from newsletter.domain.sanitize import FORBIDDEN
from newsletter.rubrics.file import (
    DEFAULT_SCORING,
    FIELDS,
    ITEM,
    MAX_CHARACTERS,
    RubricError,
    parse,
    parse_draft,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_CRITERIA = 30
"""More make a rubric that its author no longer oversees, and that costs more for each paper."""
MAX_CRITERION_TITLE = 200
MAX_CATEGORIES = 60
"""All of computer science are 40. Finding what each misspelt one may mean takes a millisecond."""
EMPTY_ROWS = 2
"""Rows for criteria on an empty form."""
NO_TITLE = "…"
"""Stands for the missing title of a criterion in a draft."""
DEFAULT_CUT_OFF = "7"
RELEVANT, IRRELEVANT = "- Relevant: ", "- Irrelevant: "
RELEVANCE_WORDS = {
    1: "everything",
    2: "almost everything",
    3: "the same field",
    4: "shares methods or words with a criterion",
    5: "touches a criterion",
    6: "bears on a criterion",
    7: "meets a criterion in substance",
    8: "clearly meets a criterion",
    9: "is about exactly a criterion",
    10: "only perfect matches",
}
NOVELTY_WORDS = {
    1: "everything, surveys too",
    2: "almost everything",
    3: "small variations",
    4: "modest steps",
    5: "sound steps on known paths",
    6: "useful steps",
    7: "real advances",
    8: "strong advances",
    9: "new directions",
    10: "only breakthroughs",
}
LISTS = {"exclude": "Words to exclude", "authors": "Authors"}
"""Fields with one entry a line."""
ORDER = (
    *("title", "categories", "criteria", "criterion", "relevance", "novelty", "max_papers"),
    *("exclude", "authors", "preface", "keywords", "scoring", "public"),
)
"""The fields from the top of the form to its end; `criterion` has a number after it."""
READ_DIFFERENTLY = (
    "would be read differently from how it is written; use plain sentences, without marks such as "
    "** or a number with a full stop at the start of a line"
)


@dataclass(frozen=True, slots=True)
class CriterionFields:
    """One criterion. `more` is text that is neither what is relevant nor what is not."""

    title: str = ""
    relevant: str = ""
    irrelevant: str = ""
    more: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.title or self.relevant or self.irrelevant or self.more)

    @property
    def body(self) -> str:
        """The Markdown below the title."""
        parts = [
            _item(RELEVANT, self.relevant) if self.relevant else "",
            _item(IRRELEVANT, self.irrelevant) if self.irrelevant else "",
            self.more,
        ]
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class RubricForm:
    """The fields as entered. `exclude` and `authors` have one entry a line.

    An empty `scoring` is the general scale, an empty `max_papers` no limit.
    """

    title: str = ""
    categories: tuple[str, ...] = ()
    criteria: tuple[CriterionFields, ...] = ()
    relevance: str = DEFAULT_CUT_OFF
    novelty: str = DEFAULT_CUT_OFF
    exclude: str = ""
    authors: str = ""
    max_papers: str = ""
    preface: str = ""
    scoring: str = ""
    keywords: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True)
class FormFault:
    """What is wrong with a field: `title`, `criteria`, `criterion-2`, ...

    `missing`: nothing is wrong with what is there; a draft can be kept without it.
    """

    field: str
    message: str
    missing: bool = False


def read_fields(entered: Mapping[str, Sequence[str]]) -> RubricForm:
    """The form in the fields of a request, in which `category` and `criterion_*` are repeated."""

    def first(name: str, default: str = "") -> str:
        return _text(next(iter(entered.get(name, ())), default))

    columns = [entered.get(f"criterion_{one.name}", ()) for one in fields(CriterionFields)]
    rows = (
        CriterionFields(_one_line(title), *(_unindented(text) for text in texts))
        for title, *texts in zip_longest(*columns, fillvalue="")
    )
    return RubricForm(
        title=" ".join(first("title").split()),
        categories=_categories(entered.get("category", ())),
        criteria=tuple(rows),
        relevance=_one_line(first("relevance", DEFAULT_CUT_OFF)),
        novelty=_one_line(first("novelty", DEFAULT_CUT_OFF)),
        exclude=first("exclude"),
        authors=first("authors"),
        max_papers=_one_line(first("max_papers")),
        preface=first("preface"),
        scoring=first("scoring"),
        keywords=first("keywords"),
        public=bool(first("public")),
    )


def form_of(rubric: Rubric) -> RubricForm:
    """The fields of a rubric."""
    return RubricForm(
        title=rubric.title,
        categories=rubric.categories,
        criteria=tuple(_criterion_fields(one) for one in rubric.criteria),
        relevance=str(rubric.relevance),
        novelty=str(rubric.novelty),
        exclude="\n".join(rubric.exclude),
        authors="\n".join(rubric.authors),
        max_papers=str(rubric.max_papers or ""),
        preface=rubric.preface,
        scoring="" if rubric.scoring == DEFAULT_SCORING else rubric.scoring,
        keywords=rubric.keywords,
        public=rubric.public,
    )


def form_of_text(text: str) -> RubricForm:
    """The fields of a rubric's Markdown, also of an unfinished draft."""
    return form_of(parse_draft(text, "draft"))


def rearranged(form: RubricForm, action: str) -> RubricForm:
    """The form after a button was pressed: `add`, or `up`, `down`, `remove` and a row's number."""
    rows = list(form.criteria)
    verb, _, number = action.partition("-")
    if verb == "add" and len(rows) < MAX_CRITERIA:
        rows.append(CriterionFields())
    elif number.isdecimal() and 1 <= int(number[:4]) <= len(rows):
        at = int(number) - 1
        if verb == "remove":
            del rows[at]
        elif verb in ("up", "down"):
            to = max(0, min(at + (1 if verb == "down" else -1), len(rows) - 1))
            rows.insert(to, rows.pop(at))
    return replace(form, criteria=tuple(rows))


def with_empty_rows(form: RubricForm) -> RubricForm:
    """The form with rows to write criteria into, where it has none."""
    return form if form.criteria else replace(form, criteria=(CriterionFields(),) * EMPTY_ROWS)


def entries_of(form: RubricForm, name: str) -> tuple[str, ...]:
    """The entries of a field that has one a line."""
    lines = (" ".join(line.split()) for line in getattr(form, name).split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line))


def markdown(form: RubricForm) -> str:
    """The text of a rubric file. Empty rows are left out."""
    front = [
        f"title: {_quoted(form.title)}",
        f"categories: [{', '.join(n if is_known(n) else _quoted(n) for n in form.categories)}]",
        f"relevance: {form.relevance}",
        f"novelty: {form.novelty}",
    ]
    lists = {name: ", ".join(map(_quoted, entries_of(form, name))) for name in LISTS}
    front += [f"{name}: [{entries}]" for name, entries in lists.items() if entries]
    if form.max_papers:
        front.append(f"max_papers: {form.max_papers}")
    if form.public:
        front.append("public: true")
    parts = ["\n".join(["---", *front, "---"]), "## Criteria"]
    parts += [form.preface] if form.preface else []
    rows = [one for one in form.criteria if not one.is_empty]
    parts += ["\n".join(_numbered(number, one) for number, one in enumerate(rows, 1))]
    for heading, text in (("Scoring", form.scoring), ("Keywords", form.keywords)):
        parts += [f"## {heading}", text] if text else []
    return "\n\n".join(part for part in parts if part) + "\n"


def faults_of(form: RubricForm) -> tuple[FormFault, ...]:
    """What is wrong with the form, in the order of its fields; nothing if it can be used."""
    found = [
        *_character_faults(form),
        *_field_faults(form),
        *_criteria_faults(form),
        *_block_faults(form),
    ]
    if not found:
        found = list(_reading_faults(form))
    first = {one.field: one for one in reversed(found)}
    return tuple(sorted(first.values(), key=lambda one: _place(one.field)))


def _place(field: str) -> tuple[int, int]:
    """Where a field stands on the page."""
    name, _, number = field.partition("-")
    return (ORDER.index(name), int(number or 0))


def _character_faults(form: RubricForm) -> Iterator[FormFault]:
    """Characters that are never meant, and the start of a comment, which would hide text."""
    for name, text in _texts(form):
        if unseen := FORBIDDEN.search(text):
            before = text[max(0, unseen.start() - 20) : unseen.start()].strip()
            place = f"after “{before}”" if before else "at the beginning"
            code = f"U+{ord(unseen[0]):04X}"
            yield FormFault(name, f"had an invisible character ({code}) {place}; look at it again")
        elif "<!--" in text:
            yield FormFault(name, "has <!--, which begins a hidden comment; leave it out")


def _texts(form: RubricForm) -> Iterator[tuple[str, str]]:
    """Each text of the form with the name of its field."""
    yield "title", form.title
    yield from (("categories", name) for name in form.categories)
    for number, one in enumerate(form.criteria, 1):
        for text in (one.title, one.relevant, one.irrelevant, one.more):
            yield f"criterion-{number}", text
    for name in ("exclude", "authors", "preface", "scoring", "keywords"):
        yield name, getattr(form, name)


def _field_faults(form: RubricForm) -> Iterator[FormFault]:
    if not form.title:
        yield FormFault("title", "missing; say in a few words what you want to read", missing=True)
    if not form.categories:
        yield FormFault("categories", "missing; choose at least one", missing=True)
    if len(form.categories) > MAX_CATEGORIES:
        yield FormFault("categories", f"more than {MAX_CATEGORIES}; choose fewer")
    elif unknown := [name for name in form.categories if not is_known(name)]:
        yield FormFault("categories", _unknown_category(unknown[0]))
    values = {
        "title": form.title or "-",
        "relevance": _number(form.relevance),
        "novelty": _number(form.novelty),
        "max_papers": _number(form.max_papers) if form.max_papers else None,
    }
    for name, value in values.items():
        try:
            FIELDS[name](value)
        except ValueError as error:
            yield FormFault(name, str(error))


def _unknown_category(name: str) -> str:
    named = by_name(name)
    near = " or ".join((named or nearest(name))[:4])
    hint = f"did you mean {near}?" if near else "write it like cs.LG or hep-th"
    name = name if len(name) <= 40 else f"{name[:40]}…"  # noqa: PLR2004 - of a message
    if len(named) > 1:
        return f"“{name}” is the name of several: {near}"
    return f"“{name}” is no arXiv category; {hint}"


def _criteria_faults(form: RubricForm) -> Iterator[FormFault]:
    used = [one for one in form.criteria if not one.is_empty]
    if not used:
        yield FormFault("criteria", "missing; write at least one", missing=True)
    if len(used) > MAX_CRITERIA:
        advice = "join those that belong together, or make a second rubric"
        message = f"{len(used)}; a rubric has at most {MAX_CRITERIA}: {advice}"
        yield FormFault("criteria", message)
    for number, one in enumerate(form.criteria, 1):
        if one.is_empty:
            continue
        if not one.title:
            message = "no title; name it in a few words"
            yield FormFault(f"criterion-{number}", message, missing=True)
        elif len(one.title) > MAX_CRITERION_TITLE:
            message = f"a title of {len(one.title)} characters; use at most"
            yield FormFault(f"criterion-{number}", f"{message} {MAX_CRITERION_TITLE}")
    if (length := len(markdown(form))) > MAX_CHARACTERS:
        message = f"the whole rubric has {length:,} characters; it may have {MAX_CHARACTERS:,}"
        yield FormFault("criteria", message)


def _block_faults(form: RubricForm) -> Iterator[FormFault]:
    """Lines that would begin a section or a criterion of their own."""
    for name in ("preface", "scoring", "keywords"):
        for line in getattr(form, name).split("\n"):
            if re.match(r"##?\s", line):
                yield FormFault(name, f"has a heading, “{line[:40]}”; leave out the # signs")
            elif name == "preface" and ITEM.fullmatch(line):
                yield FormFault(name, f"has a criterion, “{line[:40]}”; give it a row of its own")


def _reading_faults(form: RubricForm) -> Iterator[FormFault]:
    """Compare the form with the rubric that its Markdown is read as."""
    wanted = _rubric_of(form)
    try:
        read = parse(markdown(form), wanted.slug, "form")
    except RubricError as error:
        reasons = "; ".join(one.partition(": ")[2] for one in error.faults)
        yield FormFault("criteria", f"cannot be read: {reasons}")
        return
    for one in fields(Rubric):
        if getattr(read, one.name) == getattr(wanted, one.name):
            continue
        if one.name != "criteria":
            yield FormFault(one.name, READ_DIFFERENTLY)
            continue
        numbers = [n for n, row in enumerate(form.criteria, 1) if not row.is_empty]
        pairs = zip_longest(numbers, read.criteria, wanted.criteria)
        number = next(n for n, got, given in pairs if got != given)
        yield FormFault(f"criterion-{number}" if number else "criteria", READ_DIFFERENTLY)


def _rubric_of(form: RubricForm) -> Rubric:
    """The rubric that a form without faults says."""
    rows = [one for one in form.criteria if not one.is_empty]
    return Rubric(
        slug="form",
        title=form.title,
        categories=form.categories,
        criteria=tuple(Criterion(n, one.title, one.body) for n, one in enumerate(rows, 1)),
        preface=form.preface,
        scoring=form.scoring or DEFAULT_SCORING,
        keywords=form.keywords,
        relevance=int(form.relevance),
        novelty=int(form.novelty),
        exclude=entries_of(form, "exclude"),
        authors=entries_of(form, "authors"),
        max_papers=int(form.max_papers) if form.max_papers else None,
        public=form.public,
    )


def _criterion_fields(one: Criterion) -> CriterionFields:
    """The fields whose body is exactly the criterion's; else all of it is `more`."""
    title = "" if one.title == NO_TITLE else one.title
    lines = one.body.split("\n")
    relevant, irrelevant = _taken(lines, RELEVANT), _taken(lines, IRRELEVANT)
    split = CriterionFields(title, relevant, irrelevant, "\n".join(lines))
    return split if split.body == one.body else CriterionFields(title, more=one.body)


def _taken(lines: list[str], label: str) -> str:
    """Take the item with this label, and its indented lines, from the beginning of `lines`."""
    if not lines or not lines[0].startswith(label):
        return ""
    taken = [lines.pop(0).removeprefix(label)]
    while lines and (lines[0].startswith("  ") or (not lines[0] and len(lines) > 1)):
        taken.append(lines.pop(0)[2:])
    return "\n".join(taken)


def _item(label: str, text: str) -> str:
    return label + _indented(text, 2)


def _indented(text: str, spaces: int) -> str:
    """`text` with its second line and those below moved right; empty lines stay empty."""
    first, *others = text.split("\n")
    return "\n".join([first, *(" " * spaces + line if line else "" for line in others)])


def _numbered(number: int, one: CriterionFields) -> str:
    title = f"{number}. {one.title or NO_TITLE}"
    return f"{title}\n   {_indented(one.body, 3)}" if one.body else title


def _categories(entered: Sequence[str]) -> tuple[str, ...]:
    """Codes as arXiv writes them, where a code or the whole name of one category was entered."""
    codes: list[str] = []
    for text in (_one_line(_text(one)) for one in entered):
        if len(codes) > MAX_CATEGORIES:
            break
        if text and not is_known(text):
            same = [code for code in nearest(text) if code.casefold() == text.casefold()]
            found = same or by_name(text)
            codes.append(found[0] if len(found) == 1 else text)
        elif text:
            codes.append(text)
    return tuple(dict.fromkeys(codes))


def _text(value: str) -> str:
    """`value` with the line ends of a rubric file, and no space at line ends and around it."""
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _unindented(value: str) -> str:
    return "\n".join(line.expandtabs(4).rstrip() for line in _text(value).split("\n"))


def _one_line(value: str) -> str:
    return " ".join(_text(value).split("\n")).strip()


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else text


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar on one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", " ")
    return f'"{escaped}"'
