"""Normalize text: no accents, no punctuation, no pleasantries, in 27 languages (pure)."""

from __future__ import annotations

import re
import unicodedata
from functools import cache


def plain(text: str) -> str:
    """Lower case, without accents, punctuation, symbols and invisible characters."""
    # The Turkish i without a dot is a letter of its own, whose capital is everybody's I.
    decomposed = unicodedata.normalize("NFKD", text).casefold().replace("\u0131", "i")
    kept = []
    for character in decomposed:
        category = unicodedata.category(character)
        if category[0] in "LN":
            kept.append(character)
        elif category[0] in "ZPS" or character in "\t\n\r":
            kept.append(" ")
    return unicodedata.normalize("NFKC", " ".join("".join(kept).split()))


@cache
def phrases(text: str) -> tuple[str, ...]:
    """The entries of a vocabulary, normalized. Spaces part them; `_` stands for a space in one."""
    return tuple(plain(entry.replace("_", " ")) for entry in text.split())


# Words around a command that change nothing. Longer ones stand before those they contain.
_POLITE = """
please|pls|plz|kindly|thank you very much|thank you|thanks a lot|thanks|thx|many thanks|cheers
|hi there|hi|hello|hey|dear all|dear team|dear sir or madam|good morning|regards|best regards|best
|kind regards|team|sirs|now|immediately|asap|sincerely|yours sincerely|yours truly|yours
|bitte|vielen dank|danke schon|danke|guten tag|guten morgen|guten abend|hallo
|liebes team|sehr geehrte damen und herren|liebe gruße
|mit freundlichen grußen|mfg|viele gruße|liebe grusse|viele grusse
|mit freundlichen grussen|gruße|grusse|gruß|gruss
|alstublieft|aub|graag|alvast bedankt|bedankt
|groeten|groetjes|dank u|dank je|hoi|goedemorgen|goedemiddag|beste
|met vriendelijke groet
|tack sa mycket|tack|snalla|vanligen|hej|halsningar|mvh
|bonsoir|s il vous plait|s il te plait|svp|stp|merci beaucoup|merci d avance|merci|bonjour
|cordialement
|por favor|muchas gracias|gracias|hola|buenos dias|buenas tardes|buenas noches|estimados
|un saludo|saludos
|por gentileza|obrigado|obrigada|ola|bom dia|boa tarde|boa noite|atenciosamente|att
|per favore|per cortesia|grazie mille|grazie|buongiorno|buonasera|salve|ciao|cordiali saluti
|prosze|poprosze|dziekuje|dzien dobry|z powazaniem|witam|pozdrawiam
|prosim|dekuji|dobry den|s pozdravem|diky
|пожалуиста|спасибо|здравствуите|добрыи день|добрыи вечер|прошу|\u0441 уважением
|mange takk|takk|tak|vær sa snill|vennligst|hilsen|med vennlig hilsen|hei
|kiitos|kiitoksia|ystavallisin terveisin|terveisin|terve|moi|olkaa hyva
|дуже дякую|дякую|будь ласка|добрии день|вітаю|\u0437 повагою
|lutfen|tesekkurler|tesekkur ederim|merhaba|iyi gunler|saygilarimla
|koszonom|koszonettel|kerem|szepen|legyenek szivesek|jo napot|udvozlettel|tisztelettel
|va rog frumos|va rog|multumesc|buna ziua|cu stima
|παρακαλω|ευχαριστω|καλημερα|γεια σας
|בבקשה|תודה רבה|תודה|אנא|נא|שלום
|شكرا لكم|شكرا|من فضلك|من فضلكم|الرجاء|رجاء|ارجو|يرجى|مرحبا|السلام عليكم|تحياتي
|vui long|lam on|xin cam on|cam on|xin chao|xin|chao
|terima kasih|tolong|mohon|silakan|selamat pagi|selamat siang|halo
""".replace("\n", "")
_POLITE += "|" + "|".join(map(plain, ("कृपया", "बहुत धन्यवाद", "धन्यवाद", "नमस्ते", "शुक्रिया")))
POLITE = re.compile(rf"\b(?:{_POLITE})\b")
_EAST = """
请您|请帮我|请给我|请|請您|請幫我|請|谢谢|謝謝|您好|你好|麻烦|麻煩
|をお願いいたします|をお願い致します|をお願いします|お願いいたします|お願い致します|お願いします
|をお願いしたいです|してください|して下さい|を希望します|希望|ありがとうございます|こんにちは
|해 주시기 바랍니다|해주시기 바랍니다|해 주세요|해주세요|해 주십시오|해주십시오
|부탁드립니다|부탁드려요|부탁합니다
|합니다|할게요|감사합니다|안녕하세요
|ขอบคุณมาก|ขอบคุณครับ|ขอบคุณค่ะ|ขอบคุณ|กรุณา|โปรด|สวัสดีครับ|สวัสดีค่ะ|สวัสดี|ครับ|ค่ะ
""".replace("\n", "")


EAST = re.compile("|".join(plain(word) for word in _EAST.split("|") if word))


GREETING = re.compile(
    r"(?:dear|hi|hello|hey|hallo|lieber?|liebes|sehr geehrter?|beste|geachte|hej|bonjour|chere?"
    r"|madame|hola|estimad[oa]s?|ola|prezad[oa]s?|carom?|ciao|gentile|buongiorno|salve|czesc"
    r"|szanown[iy]|dzien dobry|dobry den|vazen[iy]|здравствуите|уважаем\w+|добрыи день)\b"
)
MAX_GREETING_WORDS = 6
MAX_GREETED_WORDS = 4


def is_pleasantry(line: str) -> bool:
    """A greeting or thanks alone: what is asked for stands on another line."""
    return not strip_pleasantries(line) or _is_greeting(line)


def is_closing(sentence: str) -> bool:
    """Thanks or regards, and perhaps a name after them."""
    said = plain(sentence)
    begins = POLITE.match(said) or EAST.match(said)
    return is_pleasantry(sentence) or (
        begins is not None and len(strip_pleasantries(sentence).split()) <= MAX_GREETED_WORDS
    )


def _is_greeting(line: str) -> bool:
    """`Dear arXiv digest team,`"""
    said = plain(line)
    short = len(said.split()) <= MAX_GREETING_WORDS
    return short and line.rstrip().endswith((",", "!", ":")) and bool(GREETING.match(said))


def strip_pleasantries(line: str) -> str:
    said = " ".join(POLITE.sub(" ", plain(line)).split())
    return " ".join(EAST.sub(" ", said).split())
