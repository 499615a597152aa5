"""What readers write when they want something, in fourteen languages.

A phrase is compared whole, after `plain` made both sides alike: no accents, no punctuation, no
politeness. So a phrase inside a sentence is no command.
"""

from __future__ import annotations

import re
from enum import StrEnum

from newsletter.courtesy import bare, plain

LONGEST = 120


class Wish(StrEnum):
    UNSUBSCRIBE = "unsubscribe"
    PAUSE = "pause"
    RESUME = "resume"
    HELP = "help"


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


_LIST_EN = "(from/off) (this/the/your/all) (mailing/email/arxiv/daily) (list/newsletter/digest)"
_ABO_DE = "(mich) (bitte) (von/vom/aus/den/das) (diesem/dem/der/dieser) (newsletter/liste/abo)"


def _joined(*groups: str) -> str:
    """One of each group in order; a group ending in `|` may be left out."""
    choices = (f"(?:{'|'.join(map(plain, group.split('|')))})" for group in groups)
    return " ?".join(choices)


_LEAVE_EAST = "|".join(
    (
        _joined(
            "我想要|我想|我要|",
            "帮我|幫我|给我|將我|将我|",
            "退订|退訂|取消订阅|取消訂閱|停止订阅|停止訂閱",
            "这个|这份|本|该|此|",
            "邮件|郵件|列表|通讯|订阅|訂閱|",
            "吧|了|一下|",
        ),
        _joined(
            "请|",
            "不要再|不想再|别再|不再",
            "给我|收到|接收|",
            "发|发送|",
            "邮件|郵件|",
            "给我|",
            "了|",
        ),
        _joined(
            "メールマガジン|メルマガ|ニュースレター|メール|",
            "の|",
            "配信|購読|登録|受信",
            "を|",
            "停止|解除|中止|キャンセル",
            "して|したいです|したい|です|",
        ),
        _joined(
            "이메일|메일|뉴스레터|",
            "의|을|를|",
            "수신|구독",
            "을|를|",
            "거부|취소|해지|중지|중단",
            "하고 싶습니다|하고 싶어요|하겠습니다|할래요|요|",
        ),
        _joined("이메일|메일", "을|를|", "그만 보내", "주세요|줘요|줘|"),
    )
)
LEAVE_EAST = re.compile(_LEAVE_EAST)
COMMANDS: dict[Wish, re.Pattern[str]] = {
    Wish.UNSUBSCRIBE: _pattern(
        # English
        f"unsubscribe (me/my_email/my_address/us) {_LIST_EN}",
        f"unsub/unsubcribe/unsuscribe/un-subscribe (me) {_LIST_EN}",
        f"(i) want/wish/would_like/'d_like/need to unsubscribe/opt_out/be_removed {_LIST_EN}",
        f"remove (me/my_email/my_address/my_email_address) {_LIST_EN}",
        f"take me/my_email/my_address off {_LIST_EN}",
        f"opt/sign (me) out (of) {_LIST_EN}",
        "delete me/my_email/my_address from this/the/your (mailing) list",
        "stop (it)",
        "stop (sending/emailing/mailing) (me) (these/the/your/any/all) (more) emails/mail/mails",
        "stop emailing/mailing/sending me",
        "stop (this/the/these) newsletter/digest/emails/subscription",
        "cancel (my/the/this) (subscription/newsletter/emails)",
        "end (my/the/this) (subscription)",
        "no more emails/mails/newsletters",
        "quit",
        "take/remove my name/my_email/my_address off/from (your/this/the) (mailing) list",
        "(i) no longer wish/want to receive (these/your/any/this) (more) emails/mails/newsletter",
        "(i) do_not/don_t wish/want (to) (receive) (these/your/any/this) (more) emails/mails",
        "stop sending/mailing (me) these/this/those/that (emails/mails/newsletter)",
        "sign me off",
        # German
        f"abmelden/abbestellen/austragen/kündigen/abmeldung {_ABO_DE}",
        "newsletter/abo/abonnement (bitte) abbestellen/abmelden/kündigen/beenden/stornieren",
        "(den/das/diesen/meinen) newsletter/abo/abonnement (bitte) abbestellen/kündigen/abmelden",
        "(bitte) melden/tragen sie mich (bitte) ab/aus (vom/von_diesem) (newsletter)",
        "(bitte) melde/trage mich (bitte) ab/aus",
        "mich (bitte) abmelden/austragen/abmelden/löschen",
        "(bitte) nehmen sie mich aus dem/ihrem verteiler",
        "ich möchte (mich) (den) (newsletter) abmelden/abbestellen/austragen",
        "ich möchte mich (vom/von_diesem) newsletter abmelden",
        "(ich) (möchte/will) keine (weiteren) mails/e-mails/newsletter (mehr) (erhalten/bekommen)",
        "(mich) aus dem/ihrem verteiler nehmen/löschen/streichen/entfernen",
        "streichen/löschen/entfernen/nehmen sie mich von/aus der/dem/ihrer/ihrem liste/verteiler",
        "abbestellung",
        # Dutch
        "afmelden/uitschrijven/opzeggen/afmelding/uitschrijving (voor/van) (deze/de) (nieuwsbrief)",
        "(ik) wil (mij/me) afmelden/uitschrijven (voor/van) (deze/de) (nieuwsbrief)",
        "(gelieve) schrijf/meld mij/me uit/af (voor/van) (deze/de) (nieuwsbrief)",
        "mij/me afmelden/uitschrijven",
        "stop (de/deze) nieuwsbrief/mails/e-mails",
        "geen (e-)mails/mails meer",
        "(wilt/kunt) u/je mij/me uitschrijven/afmelden (van/uit) (de/deze) (lijst/nieuwsbrief)",
        "(gelieve) mij/me uit/af te schrijven/melden",
        "(ik) wil geen mail/mails/e-mails meer (ontvangen)",
        # Swedish
        "avregistrera/avprenumerera/avsluta/avanmäl (mig) (från) (listan/nyhetsbrevet/denna_lista)",
        "avsluta/säg_upp (min) prenumeration/prenumerationen",
        "ta bort mig (från) (listan/nyhetsbrevet)",
        "jag vill avregistrera/avanmäla mig",
        "jag vill avprenumerera/avsluta (prenumerationen)",
        "inga fler mejl/mail",
        "(jag) vill avsluta/säga_upp (min) prenumeration/prenumerationen",
        "(jag) vill inte ha/få fler mejl/mail",
        # French
        "(se/me/vous) désabonner/désinscrire (moi) (de) (cette/la) (liste/newsletter)",
        "désabonnez/désinscrivez moi (de) (cette/la/votre) (liste/newsletter)",
        "désabonne/désinscris moi",
        "(me) désabonnement/désinscription",
        "je veux/souhaite/voudrais/désire me désabonner/désinscrire (de) (cette/la) (liste)",
        "retirez/supprimez -moi (de) (cette/la/votre) (liste)",
        "annuler/résilier (mon/l') abonnement",
        "arrêtez/arrêter (les/ces) (mails/emails/envois)",
        "plus de mails/emails",
        "(veuillez/pouvez-vous/de) me désabonner/désinscrire/retirer (de) (cette/la/votre) (liste)",
        "je ne souhaite/veux/désire plus recevoir (ces/vos/de/les) (mails/emails/messages)",
        # Spanish
        "(dar/darme/darse) (me) (de) baja (de/del) (esta/la) (lista/boletín/suscripción)",
        "(deme/dame/denme) de baja (de) (esta/la) (lista)",
        "quiero/deseo/quisiera/solicito darme/la de/baja (baja/de_esta_lista/del_boletín)",
        "cancelar (mi/la) (suscripción)",
        "cancelen/cancele/cancela mi suscripción",
        "desuscribir/desuscribirme/desuscríbeme/desuscribirse (de) (esta) (lista)",
        "no más correos/emails",
        "eliminar/elimíneme/bórrame/bórreme (me) (de) (esta/la) (lista)",
        "(quiero/deseo/quisiera) cancelar (mi/la) suscripción",
        "no quiero/deseo recibir más (correos/emails/mensajes)",
        "elimínenme/elimíname/bórrenme/quítenme/quíteme/quítame de (la/esta/su) lista",
        # Portuguese
        "descadastrar/descadastre/descadastrar-me/cancelar (me) (minha/a) (inscrição/assinatura)",
        "cancele/cancelem (a) minha inscrição/assinatura",
        "quero/desejo/gostaria_de cancelar (a) (minha) (inscrição/assinatura)",
        "quero (me) descadastrar",
        "remover/remova/retire/retirar (me/meu_email) (da/desta) (lista)",
        "anular/cancelar (a) subscrição",
        "sair (da/desta) lista",
        "(quero/desejo/gostaria_de) sair (da/desta) lista",
        "me remova/remover/retire/tire (da/desta) (lista)",
        "não quero/desejo (mais) receber (mais) (emails/mensagens)",
        # Italian
        "disiscrivimi/disiscrivetemi (da/dalla) (questa) (lista/newsletter)",
        "cancellami/cancellatemi (da/dalla) (questa) (lista/newsletter)",
        "disiscrivermi/disiscriversi/disiscrivi/disiscrizione/cancellarmi/cancellazione",
        "annulla/annullare/cancella/cancellare (la/mia) (mia) iscrizione",
        "voglio/vorrei/desidero disiscrivermi/cancellarmi (da/dalla) (questa) (lista/newsletter)",
        "rimuovimi/rimuovetemi/toglimi/toglietemi (da/dalla) (questa) (lista/newsletter)",
        "basta mail/email",
        "(vi/la) (prego) (di) cancellarmi/rimuovermi/disiscrivermi (da/dalla) (questa) (lista)",
        "non voglio/desidero/vorrei più ricevere (queste/altre) (mail/email)",
        # Polish
        "(mnie) wypisz/wypisać/wypiszcie/wyrejestruj/usuń (mnie) (z) (tej) (listy/newslettera)",
        "rezygnuję/rezygnacja (z) (subskrypcji/newslettera/prenumeraty)",
        "anuluj/anulować (moją) (subskrypcję/prenumeratę)",
        "chcę się wypisać (z) (tej) (listy/newslettera)",
        "chcę zrezygnować (z) (subskrypcji/newslettera)",
        "(o) wypisanie/usunięcie (mnie) (z) (tej) (listy/newslettera)",
        "nie chcę (już/więcej) otrzymywać (więcej) (wiadomości/maili)",
        # Czech
        "odhlásit/odhlaste/odhlašte/odhlásit_se (mě/odběr/se) (z) (odběru/newsletteru)",
        "zrušit/zrušte/ukončit (můj) odběr/předplatné (newsletteru)",
        "chci se odhlásit (z) (odběru)",
        "chci zrušit odběr",
        "zrušit/zrušte mi/můj odběr",
        "nechci/nepřeji_si (už/dále) dostávat (další) (emaily/e-maily)",
        # Russian
        "отписаться/отписать/отписка/отпишите/отпиши (меня) (от) (этой) (рассылки)",
        "отменить/отмените/прекратить/прекратите/остановить (мою/эту) (подписку/рассылку)",
        "хочу/хотел_бы/хотела_бы отписаться (от) (рассылки/этой_рассылки)",
        "удалите меня из (этого) списка/рассылки",
        "(больше) не присылайте (мне) (больше) (письма/писем/рассылку)",
        "не хочу (больше) получать (эти/ваши) (письма/рассылку)",
        # Chinese
        "退订/退訂/取消订阅/取消訂閱/取消訂閲/退阅/停止订阅/停止訂閱 (邮件/郵件/本邮件)",
        "我要退订/我要退訂/我想退订/我想退訂/我要取消订阅/我想取消订阅/我要取消訂閱/我想取消訂閱",
        "帮我退订/幫我退訂/将我退订/把我退订/不再订阅/不要再发了/不要再发邮件/别再发邮件了",
        # Japanese
        "配信停止/配信解除/購読停止/購読解除/登録解除/購読中止/配信中止/退会/解除/停止",
        "配信を停止/購読を停止/購読を解除/登録を解除/メール配信停止/メール配信を停止/メールの配信停止",
        "配信停止したい/購読をやめたい/配信を止めて/配信不要/メール不要",
        # Korean
        "수신거부/수신_거부/구독취소/구독_취소/구독해지/구독_해지/수신해지/탈퇴/해지/구독중지/구독_중지",
        "구독을_취소/구독을_해지/수신을_거부/메일_수신거부/이메일_수신거부",
    ),
    Wish.PAUSE: _pattern(
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
    ),
    Wish.RESUME: _pattern(
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
    ),
    Wish.HELP: _pattern(
        "help (me)",
        "info/commands/options/settings/preferences",
        "hilfe/einstellungen",
        "hulp/hjälp/aide/ayuda/ajuda/aiuto/pomoc/pomoct/nápověda/помощь/справка",
        "帮助/幫助/ヘルプ/使い方/도움말/도움",
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
""".replace("\n", "")
STEMS = re.compile("|".join(re.escape(plain(stem)) for stem in _STEMS.split("|")))
"""Where one of these occurs a person may want to leave, without our being sure of it."""
_WEAK = """
stop|cancel|remove|quit|leave|receive|mails|emails|list|erhalten|bekommen|streich|losch|liste
|recevoir|recibir|receber|ricevere|lista|rimuov|rimuover|elimin|quit[ae]|ontvangen|lijst|listan
|otrzymyw|listy|dostavat|получать|присыл|письма|список|邮件|郵件|发了|メール|메일|보내|그만
""".replace("\n", "")
WEAK = re.compile(r"(?:^| )(?:" + _WEAK + ")|邮件|郵件|メール|메일")
"""Words that in a short mail make it worth a second look; a long one may well contain them."""
DENIAL = re.compile(
    r"\b(?:not|don t|dont|never|but|however|instead|actually|wait|keep|except|unless|nicht|aber"
    r"|kein|niet|maar|inte|ne|pas|mais|pero|nao|mas|non|ma|nie|ale|не|но)\b|\?"
)


def wish_of(line: str) -> Wish | None:
    """What a line asks for, when it is a command and nothing more."""
    said = bare(line[:LONGEST]) + " "
    if LEAVE_EAST.fullmatch(said.strip()):
        return Wish.UNSUBSCRIBE
    found = (wish for wish, pattern in COMMANDS.items() if pattern.fullmatch(said))
    return next(found, None)
