"""An answered mail -> what it asks for (pure).

What a reader wrote is found by where our own mail begins, in any language: at a quoted line, at a
line with one of our addresses that ends in a colon, at a block of mail headers. A command counts
only when it is the whole first line; whatever else may mean leaving goes to a person.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.courtesy import is_closing, is_courtesy, plain
from newsletter.phrases import DENIAL, STEMS, WEAK, Wish, may_be_asked, wish_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.incoming import Incoming

LINES = 80
SHORT = 160
WRAPPED = 3


class Kind(StrEnum):
    """What becomes of a mail that came in."""

    WISH = "wish"
    """A clear command: it is done at once."""
    REVIEW = "review"
    """May ask to leave: a person decides, and the sender is told how to do it himself."""
    OTHER = "other"
    """A letter to the operator."""
    AUTOMATIC = "automatic"
    """An absence notice or another machine: neither obeyed nor answered."""
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    """A feedback report (RFC 5965): it counts as leaving."""


@dataclass(frozen=True, slots=True)
class Reply:
    kind: Kind
    wish: Wish | None = None
    text: str = ""


AUTOMATIC_SUBJECTS = re.compile(
    r"(?:auto|automatic reply|automatische antwort|automatisch antwoord|autosvar|automatiskt svar"
    r"|out of (?:the )?office|abwesen[a-z]*|reponse automatique|absence|absent du bureau"
    r"|respuesta automatica|fuera de la oficina|resposta automatica|fora do escritorio"
    r"|risposta automatica|fuori sede|fuori ufficio|afwezig|franvaro|odpowiedz automatyczna"
    r"|automaticka odpoved|nepritomnost|автоматическии ответ|автоответ"
    r"|自动回复|自動回覆|自動返信|不在通知|자동 회신|자동 응답|부재중|undeliverable|delivery status"
    r"|mail delivery failed|returned mail|failure notice)\b|自动回复|自動回覆|自動返信|자동"
)
MACHINES = re.compile(r"(?i)(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)[@+=-]")
HEADER_LINE = re.compile(
    r"(?i)[*_ ]*(?:from|von|de|da|van|från|fra|od|от|发件人|寄件者|寄件人|差出人|送信者|보낸 ?사람)"
    r"[*_ ]*[:：]"  # noqa: RUF001 - the wide colon is what those mails have
)
RULE = re.compile(r"[-_=─—]{10,}|-{2,}\s?\S.{0,60}-{2,}")
CLAUSE = re.compile(r"[.!?;,。！？；，、]+\s*")  # noqa: RUF001 - as they are written
SENTENCE = re.compile(r"[^.!?。！？]*[.!?。！？]*\s*")  # noqa: RUF001 - as they are written
SIGNATURE = re.compile(r"(?:--|—|__)\s*")
FORWARDED = re.compile(r"(?i)\s*(?:re|aw|antw|sv|fwd?|wg|tr|rv|回复|答复|返信|회신)\s*[:：]")  # noqa: RUF001


def understand(
    mail: Incoming, envelope_from: str, ours: Sequence[str], *, leaving: bool = False
) -> Reply:
    """What a mail asks for. `ours` are our addresses and hosts, which mark where we are quoted.

    `leaving`: it came to the address that any mail at all means leaving by, where mail programs
    write by themselves; there only a bounce is not obeyed.
    """
    if mail.content_type == "multipart/report" and mail.report_type == "feedback-report":
        return Reply(Kind.COMPLAINT)
    if _is_bounce(mail, envelope_from):
        return Reply(Kind.BOUNCE)
    if leaving:
        return Reply(Kind.WISH, Wish.UNSUBSCRIBE)
    if _is_automatic(mail, ours):
        return Reply(Kind.AUTOMATIC)
    return decide(mail.text, mail.header("subject"), ours)


def decide(text: str, subject: str, ours: Sequence[str]) -> Reply:
    """What new text and subject ask for."""
    lines = _unwrapped(new_lines(text, ours))
    said = "\n".join(lines)
    first = next((line for line in lines if not is_courtesy(line)), "")
    wish, rest = _asked(first)
    if wish and not _is_doubtful([rest, *lines[lines.index(first) + 1 :]]):
        return Reply(Kind.WISH, wish, said)
    by_subject = None if FORWARDED.match(subject) or _asks(subject) else wish_of(subject)
    if by_subject and not is_courtesy(subject) and not (wish or _may_leave(said)):
        return Reply(Kind.WISH, by_subject, said)
    return Reply(Kind.REVIEW if wish or _may_leave(said) else Kind.OTHER, None, said)


def _asked(line: str) -> tuple[Wish | None, str]:
    """The wish of a line, and what follows it there besides thanks, regards and a name."""
    if wish := _wish(line):
        return wish, ""
    first, *others = [one for one in SENTENCE.findall(line) if one] or [""]
    if wish := _wish(first):
        return wish, " ".join(one for one in others if not is_closing(one))
    clauses = [one for one in CLAUSE.split(line) if not is_closing(one)]
    wishes = {wish_of(one) for one in clauses}
    alike = len(wishes) == 1 and not _asks(line)
    return (wishes.pop(), "") if alike else (None, "")


def _wish(sentence: str) -> Wish | None:
    """A question is a wish only where politeness alone makes it one."""
    return None if _asks(sentence) and not may_be_asked(sentence) else wish_of(sentence)


def _unwrapped(lines: Sequence[str]) -> list[str]:
    """A line that a mail program broke in the middle of a sentence, whole again."""
    whole: list[str] = []
    for line in lines:
        before = whole[-1] if whole else ""
        goes_on = before and before[-1].isalnum() and line[:1].islower()
        if goes_on and not is_closing(line) and not is_courtesy(before):
            whole[-1] = f"{before} {line}"
        else:
            whole.append(line)
    return whole


def _asks(text: str) -> bool:
    return "?" in unicodedata.normalize("NFKC", text) or "\u061f" in text


def new_lines(text: str, ours: Sequence[str]) -> list[str]:
    """What the writer added: above our mail, or below it where nothing stands above."""
    lines = [line.strip() for line in text.splitlines()[:LINES]]
    above = _until_quoted(lines, ours)
    if any(line and not is_courtesy(line) for line in above):
        return above
    start = next((n for n, line in enumerate(lines) if line.startswith(">")), None)
    if start is None:
        return above
    below = [line for line in lines[start:] if line and not line.startswith(">")]
    return [*above, *_until_quoted(below, ours)]


def _until_quoted(lines: Sequence[str], ours: Sequence[str]) -> list[str]:
    kept = []
    for number, line in enumerate(lines):
        if line.startswith(">") or RULE.fullmatch(line) or SIGNATURE.fullmatch(line):
            break
        if _starts_our_mail(lines[number : number + WRAPPED], ours):
            break
        kept.append(line)
    return kept


def _starts_our_mail(lines: Sequence[str], ours: Sequence[str]) -> bool:
    """`On Tuesday arXiv digest <us@ours> wrote:`, on up to three lines, or a block of headers."""
    if HEADER_LINE.match(lines[0]) and _names(" ".join(lines[:2]), ours):
        return True
    for length in range(1, len(lines) + 1):
        if not lines[length - 1]:
            return False
        joined = " ".join(lines[:length])
        if joined.rstrip(" *").endswith((":", "：")) and _names(joined, ours):  # noqa: RUF001
            return True
    return False


def _names(text: str, ours: Sequence[str]) -> bool:
    lowered = text.lower()
    return any(one.lower() in lowered for one in ours if one)


def _is_doubtful(rest: Sequence[str]) -> bool:
    """What follows a command denies it, asks, or goes on about something else."""
    said = " ".join(rest)
    return _asks(said) or bool(DENIAL.search(plain(said)))


def _may_leave(said: str) -> bool:
    text = plain(said)
    return bool(STEMS.search(text) or (len(text) <= SHORT and WEAK.search(text)))


def is_absence_note(mail: Incoming) -> bool:
    """Whether a machine answered for a reader who is away."""
    automatic = mail.header("auto-submitted").split(";")[0].strip().lower()
    return automatic not in {"", "no"} or bool(
        AUTOMATIC_SUBJECTS.match(plain(mail.header("subject")))
    )


def _is_bounce(mail: Incoming, envelope_from: str) -> bool:
    return mail.content_type == "multipart/report" or envelope_from.strip() in {"", "<>"}


def _is_automatic(mail: Incoming, ours: Sequence[str]) -> bool:
    """By RFC 3834 and what is seen besides; `X-Auto-Response-Suppress` alone proves nothing."""
    if mail.header("auto-submitted").split(";")[0].strip().lower() not in {"", "no"}:
        return True
    if mail.header("precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}:
        return True
    if any(name.startswith("list-") for name in mail.headers):
        return True
    if {"x-autoreply", "x-autorespond", "x-digest-loop"} & mail.headers.keys():
        return True
    author = mail.header("from")
    if MACHINES.search(author) or _names(author, [one for one in ours if "@" in one]):
        return True
    return bool(AUTOMATIC_SUBJECTS.match(plain(mail.header("subject"))))
