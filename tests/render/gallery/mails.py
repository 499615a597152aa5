"""Every email in every state as files, with an overview page.

`python -m tests.render.gallery.mails FOLDER`
"""

from __future__ import annotations

import dataclasses
import sys
from html import escape
from pathlib import Path

from newsletter.domain.mail import Format
from newsletter.domain.model import Coverage, DayKind, Digest, Outcome, Pick, Score, Usage
from newsletter.render import RenderedReader, Renderer
from tests.render.gallery.issues import (
    CORPUS,
    MAILS,
    NAV,
    READER,
    RUBRIC,
    SITE,
    USAGE,
    corpus_picks,
    digest,
    many,
    near_miss,
    news,
    paper,
    pick,
)

HOSTILE = "<script>alert(1)</script></mj-text></td> {{ 7*7 }} \u202eevil\u202c \x07 \"'& 100 %"
HEBREW = "למידה עמוקה של ייצוגים דלילים ברשתות נוירונים"
ARABIC = "تعلم عميق للشبكات العصبية"
State = tuple[Digest, Format, int | None]


ABSTRACT = (
    "Large language models keep growing, and so does the cost of serving them on the machines that "
    "most laboratories can afford. Earlier work reduces this cost by pruning or by quantization, "
    "but both lose accuracy on long inputs, and neither changes how much of the network is used "
    "for one word. In this paper, we propose a sparse mixture of experts in which each layer "
    "chooses its experts by a small router that is trained together with them. The router looks "
    "at the whole sentence, so that neighbouring words share their experts and memory is read "
    "once. We prove that its load stays balanced without an auxiliary loss, and we show on eleven "
    "benchmarks of language and code that it halves the cost of inference at equal accuracy. "
    "Ablations show that most of the gain comes from sharing experts between neighbours. We also "
    "measure what the router learns: experts follow the syntax of a sentence in the first layers "
    "and its subject in the last ones, which explains why a router that sees one word at a time "
    "has to spread related words over many experts. The method needs no change of the tokenizer or "
    "of the training data, and it can be added to a model that has been trained before."
)
REASON = (
    "Model architecture: a sparse mixture of experts whose router sees the whole sentence, "
    "with a proof that its load stays balanced and measurements on eleven benchmarks."
)


def typical_pick(number: int) -> Pick:
    """As long as the recorded papers are on average: without them the gallery looks like a day."""
    title = f"Part {number} of a sparse mixture of experts whose router reads the whole sentence"
    chosen = pick(number, title=title, abstract=ABSTRACT)
    assert chosen.score
    score = dataclasses.replace(chosen.score, comment=REASON)
    return dataclasses.replace(chosen, score=score)


def picks(count: int) -> tuple[Pick, ...]:
    """Papers of a real day if the corpus is available, else invented ones."""
    if not count:
        return ()
    real = corpus_picks("2025-09-23") if CORPUS.exists() else tuple(map(typical_pick, range(1, 49)))
    return many(real, count)


def local(count: int) -> Digest:
    ranked = tuple(
        Pick(each.paper, Score(each.paper.id, "local", None, None, similarity=0.61 - place / 80))
        for place, each in enumerate(picks(count))
    )
    return digest(ranked, judged=False, usage=())


def untrusted_digest() -> Digest:
    """A digest with hostile text in every field."""
    hostile = paper(7, title=HOSTILE, authors=(HOSTILE, HOSTILE), abstract=HOSTILE * 40)
    long = paper(8, title="W" * 100_000, authors=("W" * 100_000,), abstract="W" * 100_000)
    score = Score(hostile.id, "m", 9, 8, comment=HOSTILE)
    rubric = dataclasses.replace(RUBRIC, title=HOSTILE, categories=(HOSTILE,))
    both = (
        Pick(hostile, score, followed=HOSTILE),
        Pick(long, dataclasses.replace(score, comment="W" * 999)),
    )
    return digest(both, rubric=rubric, near_misses=(near_miss(),), prompt=HOSTILE)


def right_to_left() -> Digest:
    names = ("יוסף כהן", "فاطمة الزهراء", "Ada Lovelace")
    return digest(tuple(pick(n, title=t, authors=names) for n, t in enumerate((HEBREW, ARABIC), 1)))


def marked() -> Digest:
    """Spreads, a followed author, a note, a late arrival, an unread paper, two models."""
    noted = paper(
        1,
        comment="Accepted at NeurIPS 2025; code: https://github.com/ada/sparse",
        abstract="We propose a sparse one. Data: http://data.example.org/sparse.",
        journal_ref="J. Sparse Models 1 (2025)",
        doi="10.1000/sparse.1",
    )
    score = Score("2509.00001", "m", 8, 7, comment="Compression: ternary weights.")
    disputed = dataclasses.replace(score, relevance_spread=(7, 9), novelty_spread=(6, 8))
    return digest(
        (
            Pick(noted, disputed, followed="Ada Lovelace", late=True),
            Pick(paper(2), score),
            Pick(paper(3), None, followed="Charles Babbage"),
        ),
        near_misses=tuple(near_miss(900 + n) for n in range(5)),
        usage=(USAGE, Usage("claude-haiku-5-5", 9_000, 800, 0, 0, 9_000_000, 4_000_000, 2_000_000)),
        coverage=Coverage(
            announced=430,
            outcomes={
                Outcome.SCORED: 400,
                Outcome.REFUSED: 1,
                Outcome.FAILED: 2,
                Outcome.UNSCORED_BUDGET: 20,
                Outcome.EXCLUDED: 7,
            },
            by_category={"cs.LG": 300, "cs.AI": 210},
            late=12,
            unread=tuple(f"2509.{n:05d}" for n in range(23)),
        ),
    )


def long_names() -> Digest:
    names = tuple(f"Maximiliane-Friederike Oberhuber-Łukasiewicz {n}" for n in range(395))
    title = "Supercalifragilisticexpialidocious" * 3 + " and a title that goes on for long" * 8
    return digest(tuple(pick(n, title=title, authors=names) for n in range(1, 4)))


def states() -> dict[str, State]:
    near = tuple(near_miss(900 + n) for n in range(5))
    sized = {f"picks-{n:03d}": digest(picks(n), near_misses=near) for n in (1, 20, 48, 180, 400)}
    sized["picks-048"] = dataclasses.replace(sized["picks-048"], **news(10))
    days = {
        "day-nothing-met": digest((), near_misses=near),
        "day-nothing-announced": digest((), kind=DayKind.NOTHING_ANNOUNCED, coverage=Coverage(0)),
        "day-batch-late": digest((), kind=DayKind.BATCH_LATE, coverage=Coverage(0), usage=()),
        "day-scoring-failed": digest((), kind=DayKind.SCORING_FAILED, usage=()),
        "ranked-locally": local(20),
        "hostile": untrusted_digest(),
        "right-to-left": right_to_left(),
        "marked": marked(),
        "long-names": long_names(),
        "news": digest(picks(5), near_misses=near, **news(2)),
        "news-nothing-met": digest((), near_misses=near, **news(1)),
        "news-400": digest(picks(400), near_misses=near, **news(40)),
        "news-hostile": digest(picks(2), **news(2, said=HOSTILE, title=HOSTILE, doi=HOSTILE)),
    }
    found: dict[str, State] = {
        name: (issue, Format.FULL, None) for name, issue in {**sized, **days}.items()
    }
    found["format-brief"] = (digest(picks(48)), Format.BRIEF, None)
    found["format-titles"] = (digest(picks(48)), Format.TITLES, None)
    found["at-most-20"] = (digest(picks(48)), Format.FULL, 20)
    return found


def names() -> list[str]:
    return [*states(), *(f"mail-{name}" for name in MAILS)]


READERS: dict[str, RenderedReader] = {
    "hostile": dataclasses.replace(READER, name=HOSTILE),
    "long-names": dataclasses.replace(READER, name="Maximiliane " * 40),
}


def render(name: str, found: dict[str, State]) -> tuple[str, str, str]:
    """Subject, HTML and text of the mail of that name; `found` is what `states` returned."""
    renderer = Renderer(SITE)
    if name not in found:
        mail = name.removeprefix("mail-")
        return renderer.mail(mail, **MAILS[mail])
    issue, fmt, most = found[name]
    copy = renderer.digest(issue, NAV, fmt, most)
    return copy.subject, *copy.for_reader(READERS.get(name, READER))


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    found = states()
    for name in names():
        subject, html, text = render(name, found)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        pictures = "".join(
            f'<a href="{name}-{width}-{scheme}.png"><img loading="lazy" alt="{width} px, {scheme}" '
            f'src="{name}-{width}-{scheme}.png" height="300"></a> '
            for width in (375, 700)
            for scheme in ("light", "dark")
        )
        rows.append(
            f'<h2 id="{name}">{name}</h2><p>{escape(subject)}<br>{len(html.encode()):,} bytes · '
            f'<a href="{name}.html">HTML</a> · <a href="{name}.txt">text</a></p><p>{pictures}</p>'
        )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Gallery</title>'
    page = head + "".join(rows)
    (folder / "index.html").write_text(page, encoding="utf-8")
    print(f"{len(rows)} mails in {folder}; open {folder / 'index.html'}")  # noqa: T201 - a command


if __name__ == "__main__":
    write(Path(sys.argv[1]))
