# ruff: noqa: RUF001 - readers write in their own scripts
"""Recognize commands without arguments (unsubscribe, pause, weekly, help, ...) (pure).

Unsubscribe is recognized by the kinds of a sentence's words (`inbound/vocabulary.py`). A sentence
asks to unsubscribe when every word is known, and
    it names the action once and denies nothing    please remove me from the list
    or it denies only that mail is wanted          I do not want to receive your mails any more
So a denied action is no command, nor is a complaint that no mail arrives.

The other commands are whole phrases, compared after `plain` removed accents and punctuation.
"""

from __future__ import annotations

import re
from enum import IntFlag, StrEnum, auto
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from newsletter.inbound.normalize import phrases, plain, strip_pleasantries
from newsletter.inbound.vocabulary import EASTERN, LATIN
from newsletter.inbound.vocabulary_commands import ALL, ALL_UNSPACED
from newsletter.inbound.vocabulary_plain import MORE

if TYPE_CHECKING:
    from newsletter.inbound.vocabulary import Vocabulary

MISSPELT = "unsubscribe"


class IntentWord(IntFlag):
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


ACTION = IntentWord.LEAVE | IntentWord.OUT


class Lexicon(NamedTuple):
    """Words by their first character, each with its kinds, longest first."""

    words: dict[str, tuple[tuple[str, IntentWord], ...]]
    spaced: bool


def asks_to_unsubscribe(said: str, *, question: bool = False, action: bool = False) -> bool:
    """Whether `said` is nothing but a request to unsubscribe. Pleasantries are already removed.

    A `question` counts only in a polite form: could you remove me? With `action` the request must
    name what to do, and not only what is not wanted.
    """
    # A repeated request counts once: unsubscribe, unsubscribe.
    words = [word for word, _ in groupby(_correct_spelling(word) for word in said.split())]
    return any(
        _asks(kinds)
        and (not question or IntentWord.ASK in kinds)
        and (not action or kinds & ACTION)
        for lexicon in _lexicons()
        for kinds in _readings("".join(_joined(words, spaced=lexicon.spaced)), lexicon)
    )


def _asks_to_leave_all(said: str, *, question: bool = False) -> bool:
    """A request to unsubscribe with a word for all lists or everything."""
    rest = " ".join(_all_words().sub(" ", said).split())
    return rest != said and asks_to_unsubscribe(rest, question=question, action=True)


@cache
def _all_words() -> re.Pattern[str]:
    spaced, unspaced = (
        "|".join(sorted(phrases(words), key=len)[::-1]) for words in (ALL, ALL_UNSPACED)
    )
    return re.compile(rf"\b(?:{spaced})\b|{unspaced}")


def _asks(kinds: IntentWord) -> bool:
    if kinds & ACTION:
        named = IntentWord.LEAVE in kinds or bool(kinds & (IntentWord.ME | IntentWord.LISTED))
        return named and IntentWord.NO not in kinds
    if IntentWord.NO not in kinds or (IntentWord.GET in kinds and IntentWord.WANT not in kinds):
        return False
    things = (
        IntentWord.GET | IntentWord.SEND | IntentWord.MORE | IntentWord.MAIL | IntentWord.LISTED
    )
    return bool(kinds & (IntentWord.WANT | IntentWord.SEND | IntentWord.MORE)) and bool(
        kinds & things
    )


def _readings(text: str, lexicon: Lexicon) -> set[IntentWord]:
    """The kinds of words that make up the whole text, one set for each way to part it.

    Each (place, kinds) is expanded once, so the text's length bounds the time.
    """
    begun: dict[int, set[IntentWord]] = {0: {IntentWord(0)}}
    for at in range(len(text)):
        here = begun.pop(at, None)
        if here is None:
            continue
        for word, kind in lexicon.words.get(text[at], ()):
            if text.startswith(word, at):
                # The action is named once: "stop unsubscribing me" means something else.
                begun.setdefault(at + len(word), set()).update(
                    so_far | kind for so_far in here if not (so_far & ACTION and kind & ACTION)
                )
        if not begun:
            break
    return begun.get(len(text), set())


def _joined(words: list[str], *, spaced: bool) -> list[str]:
    return [f"{word} " for word in words] if spaced else words


def _correct_spelling(word: str) -> str:
    """The word meant, where a letter of the most frequent one is missing, doubled or swapped."""
    return MISSPELT if word in _misspellings() else word


@cache
def _misspellings() -> frozenset[str]:
    right = MISSPELT
    places = range(2, len(right))
    missing = {right[:at] + right[at + 1 :] for at in places}
    doubled = {right[:at] + right[at] + right[at:] for at in places}
    swapped = {right[: at - 1] + right[at] + right[at - 1] + right[at + 1 :] for at in places}
    return frozenset(missing | doubled | swapped)


@cache
def _lexicons() -> tuple[Lexicon, ...]:
    return tuple(_lexicon(vocabulary) for vocabulary in (*LATIN, *EASTERN, *MORE))


def _lexicon(vocabulary: Vocabulary) -> Lexicon:
    kinds: dict[str, IntentWord] = {}
    for kind in IntentWord:
        for word in getattr(vocabulary, str(kind.name).lower()).split():
            shaped = "".join(
                _joined(plain(word.replace("_", " ")).split(), spaced=vocabulary.spaced)
            )
            kinds[shaped] = kinds.get(shaped, IntentWord(0)) | kind
    by_start: dict[str, tuple[tuple[str, IntentWord], ...]] = {}
    for word, kind in kinds.items():
        by_start[word[0]] = (*by_start.get(word[0], ()), (word, kind))
    return Lexicon(by_start, vocabulary.spaced)


MAX_LENGTH = 200


class Intent(StrEnum):
    UNSUBSCRIBE = "unsubscribe"
    UNSUBSCRIBE_ALL = "unsubscribe all"
    WEEKLY = "weekly"
    DAILY = "daily"
    VOTE = "vote"
    WHY = "why"
    """What became of a paper, and why it was not picked."""
    PAUSE = "pause"
    RESUME = "resume"
    HELP = "help"
    ERASE = "erase"
    """Delete my data: the reader is offered the page that does it."""


def _pattern(*templates: str) -> re.Pattern[str]:
    """Of `a (b) c/d` templates: brackets may be left out, slashes choose, `_` joins words.

    Each word is tried at one place only, so that no text makes the search slow.
    """
    made = "|".join("".join(map(_word, template.split())) for template in templates)
    return re.compile(f"(?:{made})")


def _word(word: str) -> str:
    options = [plain(option.replace("_", " ")) for option in word.strip("()").split("/")]
    choice = "|".join(sorted(options, key=len, reverse=True))
    return f"(?:(?:{choice}) )?" if word.startswith("(") else f"(?:{choice}) "


COMMANDS: dict[Intent, re.Pattern[str]] = {
    Intent.UNSUBSCRIBE: _pattern("remove"),
    Intent.PAUSE: _pattern(
        "pause/hold/suspend (me/my/the/this) (subscription/newsletter/digest/emails/mail)",
        "pausieren/pause/unterbrechen (machen)",
        "pauzeren/pauzeer",
        "pausa/pausar/pausare/pausa_prenumerationen/pausar_suscripción",
        "suspendre/pause/mettre_en_pause",
        "suspender/metti_in_pausa/sospendi/sospendere",
        "wstrzymaj/pauza/zawieś",
        "pozastavit/pauza",
        "пауза/приостановить/приостановите",
        "暂停/暫停/暂停订阅/暫停訂閱/一時停止/配信一時停止/일시중지/일시_중지/일시정지",
        "sett_på_pause/sæt_på_pause/tauko/keskeytä/призупинити/призупиніть/duraklat/ara_ver/szünet",
        "szüneteltetés/pauză/suspendă/παύση/השהה/השהיה/הפסקה/إيقاف_مؤقت/أوقف_مؤقتا/tạm_dừng",
        "tạm_ngừng/หยุดชั่วคราว/พัก/jeda/tunda/विराम",
    ),
    Intent.RESUME: _pattern(
        "resume/unpause/continue/restart (my/the/this) (subscription/newsletter/digest/emails)",
        "resubscribe/subscribe (me)",
        "fortsetzen/wieder_anmelden/weiter",
        "hervatten/hervat",
        "återuppta/fortsätt",
        "reprendre/réabonner/me_réabonner",
        "reanudar/retomar/reativar/reactivar/riprendi/riprendere/riattiva",
        "wznów/wznowić/obnovit/pokračovat",
        "возобновить/продолжить/возобновите",
        "恢复/恢復/恢复订阅/恢復訂閱/重新订阅/再開/配信再開/재개/다시_시작",
        "gjenoppta/genoptag/fortsett/fortsæt/jatka/відновити/відновіть/продовжити/devam/devam_et",
        "folytatás/folytasd/reia/continuă/συνέχεια/המשך/חדש/استئناف/استمر/tiếp_tục/ดำเนินการต่อ",
        "lanjutkan/जारी_रखें",
    ),
    Intent.WEEKLY: _pattern(
        "(make/switch/change/send) (it/me) (to) weekly (digest/newsletter/emails/mail)",
        "(only) (send_it) once_a_week/every_week",
        "wöchentlich/einmal_pro_woche/einmal_in_der_woche/jede_woche/wekelijks/eens_per_week",
        "veckovis/varje_vecka/en_gång_i_veckan/ukentlig/ukentlige/hver_uke/ugentlig/ugentligt",
        "hver_uge/hebdomadaire/chaque_semaine/une_fois_par_semaine/toutes_les_semaines/semanal",
        "semanalmente/una_vez_por_semana/una_vez_a_la_semana/cada_semana/uma_vez_por_semana",
        "settimanale/settimanalmente/una_volta_a_settimana/ogni_settimana/co_tydzień/tygodniowo",
        "raz_w_tygodniu/cotygodniowo/týdně/jednou_týdně/každý_týden/еженедельно/раз_в_неделю",
        "каждую_неделю/щотижня/щотижнево/раз_на_тиждень/viikoittain/kerran_viikossa/haftalık",
        "haftada_bir/her_hafta/hetente/hetente_egyszer/heti/săptămânal/o_dată_pe_săptămână",
        "εβδομαδιαία/εβδομαδιαίως/κάθε_εβδομάδα/μία_φορά_την_εβδομάδα/שבועי/פעם_בשבוע/כל_שבוע",
        "أسبوعيا/أسبوعي/مرة_في_الأسبوع/كل_أسبوع/hàng_tuần/hằng_tuần/mỗi_tuần/รายสัปดาห์",
        "ทุกสัปดาห์/สัปดาห์ละครั้ง/mingguan/setiap_minggu/seminggu_sekali/साप्ताहिक/हर_हफ्ते",
        "每周/每週/每周一次/每週一次/毎週/週1回/週一回/매주/주_1회/일주일에_한_번",
    ),
    Intent.DAILY: _pattern(
        "(make/switch/change/send) (it/me) (to) daily (digest/newsletter/emails/mail)",
        "(send_it) every_day/once_a_day",
        "täglich/jeden_tag/dagelijks/elke_dag/dagligen/varje_dag/daglig/dagligt/hver_dag/quotidien",
        "quotidiennement/tous_les_jours/chaque_jour/diario/diariamente/cada_día/todos_los_días",
        "diário/todos_os_dias/cada_dia/quotidiano/quotidianamente/giornaliero/ogni_giorno",
        "codziennie/denně/každý_den/ежедневно/каждый_день/щодня/щоденно/кожен_день/päivittäin",
        "joka_päivä/günlük/her_gün/naponta/minden_nap/zilnic/în_fiecare_zi/καθημερινά/κάθε_μέρα",
        "יומי/כל_יום/يوميا/يومي/كل_يوم/hàng_ngày/hằng_ngày/mỗi_ngày/รายวัน/ทุกวัน/harian",
        "setiap_hari/दैनिक/रोज़/हर_दिन/每天/每日/毎日/매일",
    ),
    Intent.ERASE: _pattern(
        "(i/we) (want/would_like/ask/request) (you) (to) delete/erase/remove (all) (of) my"
        " (personal) data/information/details",
        "delete/erase everything (you) (know/have/store) (about/of) (me)",
        "forget_me/right_to_be_forgotten/gdpr_erasure_request/gdpr_deletion_request",
        "(ich) (möchte) löschen_sie/lösche/löscht (alle) meine (personenbezogenen) daten",
        "(alle) meine (personenbezogenen) daten löschen",
        "verwijder/wis (al) mijn gegevens",
        "radera/ta_bort (alla) mina (personliga) uppgifter",
        "supprimez/supprimer/effacez/effacer (toutes) mes données (personnelles)",
        "borren/borrar/eliminen/eliminar (todos) mis datos (personales)",
        "apaguem/apagar/excluam/excluir (todos) (os) meus dados (pessoais)",
        "cancellate/cancellare/eliminate/eliminare (tutti) i_miei_dati (personali)",
        "usuńcie/usuń/usunąć moje dane (osobowe)",
        "vymažte/smažte moje (osobní) údaje",
        "удалите мои (персональные) данные",
    ),
    Intent.HELP: _pattern(
        "help (me)",
        "info/commands/options/settings/preferences",
        "hilfe/einstellungen",
        "hulp/hjälp/aide/ayuda/ajuda/aiuto/pomoc/pomoct/nápověda/помощь/справка",
        "帮助/幫助/ヘルプ/使い方/도움말/도움",
        "hjelp/hjælp/ohje/apua/допомога/довідка/yardım/segítség/súgó/ajutor/βοήθεια/עזרה/مساعدة",
        "trợ_giúp/ช่วยเหลือ/bantuan/सहायता/मदद",
    ),
}

_STEMS = """
unsub|unsusc|opt out|opted out|remove me|take me off|remove my|my subscription|stop sending
|stop emailing|no longer|sign me off|mailing list|stop these|stop this|leave the list
|abmeld|abbestell|austrag|kündig|verteiler|afmeld|uitschrij|opzeg|nieuwsbrief|schrijf me uit
|avregistr|avprenum|prenumer|avanmäl|désabonn|désinscri|abonnement|dar de baja|darme|de baja
|suscripci|desuscri|descadastr|inscrição|assinatura|subscrição|disiscri|iscrizione|cancellami
|wypis|rezygn|subskryp|odhlás|odběr|отпис|отпиш|подписк|рассылк
|退订|退訂|订阅|訂閱|配信|購読|解除|수신거부|수신 거부|구독|해지
|meld meg|avmeld|afmeld|frameld|nyhetsbrev|peruut|tilau|uutiskirj
|postituslist|відпис|підписк|розсилк
|abonel|bülten|listeden|leiratkoz|iratkoztass|hírlev|levelezőlist|dezabon|abonament
|διαγρ|απεγγρ|εγγραφή|הסר|הסיר|רשימת|מינוי|الاشتراك|اشتراك|القائمة|hủy đăng|đăng ký|danh sách
|ยกเลิก|สมาชิก|berlangganan|langganan|सदस्यता|सब्सक्राइब
""".replace("\n", "")
STEMS = re.compile("|".join(re.escape(plain(stem)) for stem in _STEMS.split("|")))
"""Where one of these occurs a person may want to leave, without our being sure of it."""
_WEAK = """
stop|cancel|remove|quit|leave|receive|mails|emails|list|erhalten|bekommen|streich|losch|liste
|recevoir|recibir|receber|ricevere|lista|rimuov|rimuover|elimin|quit[ae]|ontvangen|lijst|listan
|otrzymyw|listy|newsletter|seznam|entfern|mailing|mejl|nyhetsbrev|wiadomosc|maili|baz[ay]|dostavat|получать|присыл|письма|список|邮件|郵件|发了|メール|메일|보내|그만
""".replace("\n", "")
WEAK = re.compile(r"(?:^| )(?:" + _WEAK + ")|邮件|郵件|メール|메일")
"""Words that in a short mail make it worth a second look; a long one may well contain them."""
DENIAL = re.compile(
    r"\b(?:not|don t|dont|never|but|however|instead|actually|wait|keep|except|unless|nicht|aber"
    r"|kein|niet|maar|inte|ne|pas|mais|pero|nao|mas|non|ma|nie|ale|не|но|only|nur|sondern|doch"
    r"|alleen|bara|seulement|sauf|solo|salvo|apenas|tranne|tylko|jen|krome|только|кроме"
    r"|ikke|men|bare|ei|ala|alkaa|mutta|vain|але|тільки|крім|degil|ama|fakat|sadece|haric|nem|csak"
    r"|hanem|kiveve|nu|dar|doar|decat|δεν|μη|μην|αλλα|μονο|εκτος|לא|אל|אבל|רק|לא|لا|لكن|فقط"
    r"|khong|dung|nhung|chi|tidak|jangan|tapi|hanya|kecuali)\b|\?|ไม|อยา|แต|नह|मत|लकन"
    r"|但是|不过|不過|只是|ただし|しかし|でも|하지만|그런데|말고"
)


def parse_intent(line: str) -> Intent | None:
    """What a line asks for, when it is a command and nothing more."""
    if len(line) > MAX_LENGTH:
        return None
    said = strip_pleasantries(line)
    if _asks_to_leave_all(said):
        return Intent.UNSUBSCRIBE_ALL
    if asks_to_unsubscribe(said):
        return Intent.UNSUBSCRIBE
    found = (intent for intent, pattern in COMMANDS.items() if pattern.fullmatch(f"{said} "))
    return next(found, None)


def is_polite_request(line: str) -> bool:
    """Whether a line is a command though it ends in a question mark: could you remove me?"""
    said = strip_pleasantries(line[: MAX_LENGTH + 1])
    return len(line) <= MAX_LENGTH and (
        asks_to_unsubscribe(said, question=True) or _asks_to_leave_all(said, question=True)
    )
