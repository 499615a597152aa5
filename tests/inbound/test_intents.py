"""Case 15: what readers write, in sentences nobody had in view when the words were chosen.

`clear.tsv` and `unclear.tsv` hold a language and a reply a line, `\\n` for a new line. They were
written in rounds, each before the words were widened for the one before it (docs/delivery.md).
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.inbound.intents import Intent, asks_to_unsubscribe, parse_intent
from newsletter.inbound.mime import parse_mail
from newsletter.inbound.normalize import is_closing, is_pleasantry, strip_pleasantries
from newsletter.inbound.reply_parser import ParsedReply, parse_reply
from tests.fakes.replies import OURS, TONGUES, html_shapes, message, shapes

WRITTEN = Path(__file__).parents[1] / "data" / "replies"
BY_CODE = {tongue.code: tongue for tongue in TONGUES}


def written(name: str) -> list[tuple[str, str]]:
    lines = (WRITTEN / name).read_text(encoding="utf-8").splitlines()
    rows = [line.partition("\t") for line in lines]
    return [(code, said.replace("\\n", "\n")) for code, _, said in rows]


WORDS = ["please", "unsubscribe", "not", "remove", "me", "mail", "no", "want", "more"]
CLEAR, UNCLEAR = written("clear.tsv"), written("unclear.tsv")


def understood(number: int, code: str, said: str) -> ParsedReply:
    """The reply as one of the mail programs sends it, each in turn."""
    tongue = BY_CODE[code]
    sent = [(text, False) for _, text in shapes(tongue, said)]
    sent += [(text, True) for _, text in html_shapes(tongue, said)]
    text, html = sent[number % len(sent)]
    return parse_reply(parse_mail(message(text, html=html)), "ann@example.com", OURS)


def test_15_at_most_two_in_a_hundred_clear_ones_go_to_a_person():
    missed = [
        said
        for number, (code, said) in enumerate(CLEAR)
        if understood(number, code, said).intent is not Intent.UNSUBSCRIBE
    ]
    assert len(CLEAR) >= 400
    assert {code for code, _ in CLEAR} == set(BY_CODE)
    assert len(missed) <= 0.02 * len(CLEAR), missed


@pytest.mark.parametrize("code", BY_CODE)
def test_15_nobody_leaves_who_did_not_ask(code: str):
    mine = [(number, said) for number, (other, said) in enumerate(UNCLEAR) if other == code]
    assert mine
    obeyed = [
        said for number, said in mine if understood(number, code, said).intent is Intent.UNSUBSCRIBE
    ]
    assert obeyed == []


@pytest.mark.parametrize("stranger", ["colleague", "bob@example.org", "cs.CL", "why", "tomorrow"])
def test_15_one_word_more_makes_it_no_command(stranger: str):
    asked = [said for _, said in CLEAR if asks_to_unsubscribe(strip_pleasantries(said))]
    assert len(asked) > 200
    assert not [
        said for said in asked if asks_to_unsubscribe(strip_pleasantries(f"{said} {stranger}"))
    ]


@given(
    st.lists(
        st.sampled_from(
            ["please", "unsubscribe", "not", "remove", "me", "mail", "no", "want", "more"]
        )
    )
)
def test_15_who_denies_the_deed_does_not_ask(words: list[str]):
    if {"not", "no"} & set(words) and {"unsubscribe", "remove"} & set(words):
        assert not asks_to_unsubscribe(strip_pleasantries(" ".join(words)))


@pytest.mark.parametrize("said", ["unsubscibe", "unsubsribe", "unsubscribbe", "unsubcsribe"])
def test_15_a_slip_of_the_pen_is_understood(said: str):
    assert asks_to_unsubscribe(said)


@pytest.mark.parametrize("said", ["subscribe", "resubscribe", "unsubscribed", "unsubscriber"])
def test_15_a_word_that_is_another_is_not_taken_for_a_slip(said: str):
    assert not asks_to_unsubscribe(said)


def test_15_a_long_sentence_is_not_judged_by_its_beginning():
    said = "please unsubscribe me from your mailing list " + "immediately and right away " * 4
    assert parse_intent("please unsubscribe me from your mailing list") is Intent.UNSUBSCRIBE
    assert parse_intent(said + "but only on the day my colleague Bob comes back") is None


@pytest.mark.parametrize("word", ["unsubscribe ", "to from of my ", "的", "を", "un"])
def test_16_no_sentence_takes_long(word: str):
    started = time.thread_time()
    asks_to_unsubscribe(word * 2000)
    assert time.thread_time() - started < 4


def test_a_greeting_and_a_closing_are_told_from_a_request():
    assert is_pleasantry("Dear arXiv digest team,")
    assert is_closing("Kind regards, Dr. Jane Miller")
    assert is_closing("Danke und Gruß, Peter")
    assert not is_pleasantry("Hi, remove Bob")
    assert not is_closing("Please keep my colleague Bob on it")


def test_15_i_do_not_want_any_is_no_wish_to_leave() -> None:
    """Who denies wanting must also say what: a mail, a list, or that something comes or goes on."""
    for said in ("i do not want any", "i do not want", "do not want to", "no", "no please"):
        assert not asks_to_unsubscribe(said), said
    for said in ("i do not want any more mails", "i do not want any emails", "no more emails"):
        assert asks_to_unsubscribe(said), said


def test_15_who_gets_none_and_wants_some_does_not_ask_to_leave() -> None:
    assert not asks_to_unsubscribe("i do not get any mails")
    assert not asks_to_unsubscribe("i want more mails")
    assert not asks_to_unsubscribe("send more mails")
    assert asks_to_unsubscribe("i do not want to get mails")
    assert asks_to_unsubscribe("do not send mails")


@pytest.mark.parametrize("said", ["unsubscribe no more", "no more unsubscribe", "remove no more"])
def test_15_no_more_denies_the_deed(said: str) -> None:
    assert not asks_to_unsubscribe(said)


def test_15_to_remove_says_whom_or_from_what() -> None:
    assert not asks_to_unsubscribe("remove")
    assert asks_to_unsubscribe("remove me")
    assert asks_to_unsubscribe("remove from the list")


def test_15_a_question_asks_only_by_politeness() -> None:
    assert asks_to_unsubscribe("could you remove me", question=True)
    assert asks_to_unsubscribe("remove me")
    assert not asks_to_unsubscribe("remove me", question=True)


@pytest.mark.parametrize("at", range(2, len("unsubscribe")))
def test_15_each_slip_behind_the_first_two_letters_is_understood(at: int) -> None:
    right = "unsubscribe"
    assert asks_to_unsubscribe(right[:at] + right[at + 1 :])
    assert asks_to_unsubscribe(right[:at] + right[at] + right[at:])
    assert asks_to_unsubscribe(right[: at - 1] + right[at] + right[at - 1] + right[at + 1 :])


@pytest.mark.parametrize("said", ["nsubscribe", "usubscribe", "uunsubscribe", "nusubscribe"])
def test_15_a_slip_in_the_first_two_letters_is_not(said: str) -> None:
    assert not asks_to_unsubscribe(said)


def test_15_who_says_it_twice_means_it() -> None:
    assert asks_to_unsubscribe("unsubscribe unsubscribe")
    assert asks_to_unsubscribe("unsubscribe unsubscribe unsubscribe")
    assert not asks_to_unsubscribe("unsubscribe me unsubscribe")
