"""Whether a sentence asks to be let go, by the words of `leave_words.py` (pure).

A sentence is looked at as the kinds of its words. It asks when every word is known, and
    it names the deed once and denies nothing       please remove me from the list
    or it denies that mail is wanted, and no deed   I do not want to receive your mails any more
So who denies the deed does not ask, nor who says that no mail comes.
"""

from __future__ import annotations

from enum import IntFlag, auto
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from newsletter.courtesy import plain
from newsletter.leave_words import LATIN
from newsletter.leave_words_east import EASTERN
from newsletter.leave_words_more import MORE

if TYPE_CHECKING:
    from newsletter.leave_words import Tongue

MISSPELT = "unsubscribe"


class Kind(IntFlag):
    LEAVE = auto()
    OUT = auto()
    NO = auto()
    WANT = auto()
    GET = auto()
    SEND = auto()
    MORE = auto()
    MAIL = auto()
    LISTED = auto()
    ME = auto()
    ASK = auto()
    SMALL = auto()


DEED = Kind.LEAVE | Kind.OUT


class Lexicon(NamedTuple):
    """Words by their first character, each with its kinds, longest first."""

    words: dict[str, tuple[tuple[str, Kind], ...]]
    spaced: bool


def asks_to_leave(said: str, *, question: bool = False) -> bool:
    """Whether `said` (made bare) is nothing but a wish to leave, in one of the languages.

    A `question` is one only as politeness has it: could you remove me?
    """
    # Who says it twice means it: unsubscribe, unsubscribe.
    words = [word for word, _ in groupby(_spelt(word) for word in said.split())]
    return any(
        _asks(kinds) and (not question or Kind.ASK in kinds)
        for lexicon in _lexicons()
        for kinds in _readings("".join(_shaped(words, spaced=lexicon.spaced)), lexicon)
    )


def _asks(kinds: Kind) -> bool:
    if kinds & DEED:
        named = Kind.LEAVE in kinds or bool(kinds & (Kind.ME | Kind.LISTED))
        return named and Kind.NO not in kinds
    if Kind.NO not in kinds or (Kind.GET in kinds and Kind.WANT not in kinds):
        return False
    things = Kind.GET | Kind.SEND | Kind.MORE | Kind.MAIL | Kind.LISTED
    return bool(kinds & (Kind.WANT | Kind.SEND | Kind.MORE)) and bool(kinds & things)


def _readings(text: str, lexicon: Lexicon) -> set[Kind]:
    """The kinds of words that make up the whole text, one set for each way to part it.

    Each (place, kinds) is gone on from once, so that the time is bounded by the text's length.
    """
    begun: dict[int, set[Kind]] = {0: {Kind(0)}}
    for at in range(len(text)):
        here = begun.pop(at, None)
        if here is None:
            continue
        for word, kind in lexicon.words.get(text[at], ()):
            if text.startswith(word, at):
                # The deed is named once: to stop an unsubscribing is something else.
                begun.setdefault(at + len(word), set()).update(
                    so_far | kind for so_far in here if not (so_far & DEED and kind & DEED)
                )
        if not begun:
            break
    return begun.get(len(text), set())


def _shaped(words: list[str], *, spaced: bool) -> list[str]:
    return [f"{word} " for word in words] if spaced else words


def _spelt(word: str) -> str:
    """The word meant, where a letter of the most frequent one is missing, doubled or swapped."""
    return MISSPELT if word in _slips() else word


@cache
def _slips() -> frozenset[str]:
    right = MISSPELT
    places = range(2, len(right))
    missing = {right[:at] + right[at + 1 :] for at in places}
    doubled = {right[:at] + right[at] + right[at:] for at in places}
    swapped = {right[: at - 1] + right[at] + right[at - 1] + right[at + 1 :] for at in places}
    return frozenset(missing | doubled | swapped)


@cache
def _lexicons() -> tuple[Lexicon, ...]:
    return tuple(_lexicon(tongue) for tongue in (*LATIN, *EASTERN, *MORE))


def _lexicon(tongue: Tongue) -> Lexicon:
    kinds: dict[str, Kind] = {}
    for kind in Kind:
        for word in getattr(tongue, str(kind.name).lower()).split():
            shaped = "".join(_shaped(plain(word.replace("_", " ")).split(), spaced=tongue.spaced))
            kinds[shaped] = kinds.get(shaped, Kind(0)) | kind
    by_start: dict[str, tuple[tuple[str, Kind], ...]] = {}
    for word, kind in kinds.items():
        by_start[word[0]] = (*by_start.get(word[0], ()), (word, kind))
    return Lexicon(by_start, tongue.spaced)
