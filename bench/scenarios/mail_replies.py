"""Replies: how many commands are done, and how many replies that are none would be acted on.

Each sentence is put into each layout, as if a mail program had sent it. The layouts are ours
(`tests/data/replies/layouts.txt`) and, where it is present, the public corpus beside the project.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.votes import Vote
from newsletter.inbound.commands import Command, PaperVote
from newsletter.inbound.intents import Intent
from newsletter.inbound.mime import parse_mail
from newsletter.inbound.reply_parser import ReplyKind, parse_reply
from tests.fakes.mail import SENDER
from tests.fakes.replies import DIGEST, OURS, US, WISHES, message, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
WRITTEN = ROOT / "tests" / "data" / "replies"
CORPUS = ROOT.parent / "shared" / "corpus" / "reply-layouts.json"
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
LONG = 300
"""Lines of a long digest: more than any limit that a reply may have met."""


class Layout(NamedTuple):
    """What a mail program makes of a reply; `{SAID}` stands for what its writer wrote."""

    name: str
    body: str
    html: bool = False

    def mail(self, said: str) -> bytes:
        filled = self.body.replace("{SAID}", said.replace("\n", "<br>") if self.html else said)
        return message(filled, html=self.html)


@dataclass
class Measured:
    """`outcomes` of wishes to leave by kind; the lists name the layout and the sentence."""

    outcomes: Counter[str] = field(default_factory=Counter)
    unclear: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    undone: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def wishes(self) -> int:
        return self.outcomes.total()

    @property
    def done(self) -> float:
        return self.outcomes["done"] / self.wishes

    def __str__(self) -> str:
        return (
            f"{self.wishes} wishes: done {self.done:.1%}, in review "
            f"{self.outcomes['review'] / self.wishes:.1%}, lost {len(self.lost)}; "
            f"{self.unclear} sentences that are no wish: unsubscribed {len(self.wrong)}"
        )


def own_layouts() -> list[Layout]:
    text = (WRITTEN / "layouts.txt").read_text(encoding="utf-8")
    values = {
        "{US}": US,
        "{ADDR}": SENDER.email,
        "{Q}": quoted(DIGEST),
        "{LONGQ}": quoted(long_digest()),
        "{D}": DIGEST,
        "{HD}": DIGEST.replace("\n", "<br>"),
    }
    layouts = []
    for block in re.split(r"(?m)^@@", text)[1:]:
        head, _, body = block.partition("\n")
        for name, value in values.items():
            body = body.replace(name, value)
        html, _, name = head.rpartition(" ")
        layouts.append(Layout(name.strip(), body, html == "html"))
    return layouts


def long_digest() -> str:
    return "\n".join(f"{number}. A paper about cold stars" for number in range(LONG)) + DIGEST


def corpus_layouts() -> list[Layout]:
    """Those of other people's parsers, with our address as the first that they name."""
    if not CORPUS.exists():
        return []
    return [
        Layout(
            f"{one['source']}/{one['name']}",
            f"{one['before']}{{SAID}}{ADDRESS.sub(SENDER.email, one['quoted'], count=1)}",
        )
        for one in json.loads(CORPUS.read_text(encoding="utf-8"))
    ]


def unclear() -> list[str]:
    """Negations, questions, third persons and partial wishes: none of them may be obeyed."""
    lines = (WRITTEN / "unclear.tsv").read_text(encoding="utf-8").splitlines()
    return [line.partition("\t")[2].replace("\\n", "\n") for line in lines]


def measure(layouts: Iterable[Layout], every: int = 1) -> Measured:
    """`every`: of the sentences that are no wish each layout meets one in so many."""
    found = Measured()
    no_wishes = unclear()
    for number, layout in enumerate(layouts):
        for said in WISHES:
            outcome = outcome_of(layout, said)
            found.outcomes[outcome] += 1
            if outcome == "review":
                found.undone.append((layout.name, said))
            elif outcome != "done":
                found.lost.append((layout.name, said))
        for said in no_wishes[number % every :: every]:
            found.unclear += 1
            if outcome_of(layout, said) == "done":
                found.wrong.append((layout.name, said))
    return found


COMMANDS = {
    "pause 2 weeks": Command(Intent.PAUSE, days=14),
    "Bitte pausieren für 3 Tage": Command(Intent.PAUSE, days=3),
    "resume": Command(Intent.RESUME),
    "weekly, please": Command(Intent.WEEKLY),
    "hebdomadaire": Command(Intent.WEEKLY),
    "daily": Command(Intent.DAILY),
    "help": Command(Intent.HELP),
    "+3 -7": Command(Intent.VOTE, votes=(PaperVote("3", Vote.MORE), PaperVote("7", Vote.LESS))),
    "more like 3": Command(Intent.VOTE, votes=(PaperVote("3", Vote.MORE),)),
    "weniger wie 7": Command(Intent.VOTE, votes=(PaperVote("7", Vote.LESS),)),
    "why not 2509.12345?": Command(Intent.WHY, paper="2509.12345"),
    "unsubscribe all": Command(Intent.UNSUBSCRIBE_ALL),
}


@dataclass
class MeasuredCommands:
    """`undone` and `wrong` name the layout and the sentence."""

    done: int = 0
    undone: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        asked = self.done + len(self.undone) + len(self.wrong)
        return (
            f"{asked} commands: done {self.done / asked:.1%}, in review {len(self.undone)}, "
            f"another one done {len(self.wrong)}"
        )


def measure_commands(layouts: Iterable[Layout]) -> MeasuredCommands:
    found = MeasuredCommands()
    for layout in layouts:
        for said, command in COMMANDS.items():
            reply = parse_reply(parse_mail(layout.mail(said)), "ann@example.com", OURS)
            if reply.command == command:
                found.done += 1
            else:
                (found.wrong if reply.command else found.undone).append((layout.name, said))
    return found


def acted_on_real_replies() -> tuple[list[str], int]:
    """Real replies of the public corpus that would be acted on, none of which is to us; and all."""
    if not CORPUS.exists():
        return [], 0
    replies = json.loads(CORPUS.read_text(encoding="utf-8"))
    mails = [f"{one['before']}{one['reply']}{one['quoted']}" for one in replies]
    acted = [
        text
        for text in mails
        if parse_reply(parse_mail(message(text)), "ann@example.com", OURS).command
    ]
    return acted, len(mails)


def outcome_of(layout: Layout, said: str) -> str:
    reply = parse_reply(parse_mail(layout.mail(said)), "ann@example.com", OURS)
    if reply.kind is ReplyKind.COMMAND:
        return "done" if reply.intent is Intent.UNSUBSCRIBE else str(reply.intent)
    return str(reply.kind)


def main() -> None:
    for name, layouts in (("our layouts", own_layouts()), ("public layouts", corpus_layouts())):
        if layouts:
            print(f"replies, {len(layouts)} {name}: {measure(layouts)}")
            print(f"replies, {len(layouts)} {name}: {measure_commands(layouts)}")
        else:
            print(f"replies, {name}: left out, {CORPUS.name} is not there")
    acted, replies = acted_on_real_replies()
    print(f"replies, {replies} real ones that ask for nothing: acted on {len(acted)}")
