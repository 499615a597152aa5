"""What readers write back: in fourteen languages, as their mail programs write it."""

# ruff: noqa: RUF001 - readers write in their own scripts

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING

from tests.fakes.mail import LINKS, SENDER, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

US = f"{SENDER.name} <{SENDER.email}>"
OURS = [SENDER.email, LINKS.reply_host, LINKS.host]
TO = LINKS.reply_address(reader().id)
FOOTER = (
    "You get this because you asked for it. To leave, follow this link or reply with the single\n"
    "word unsubscribe: https://digest.example.org/unsubscribe/abc\nExample Lab, 1 Street, Town"
)
DIGEST = f"arXiv digest, 23 September 2025\n1. Cold stars\nRelevance 9, novelty 8\n\n{FOOTER}"


@dataclass(frozen=True)
class Tongue:
    """Two ways to ask, a signature, and how Gmail, Apple and Outlook introduce a quotation."""

    code: str
    asks: tuple[str, str]
    signature: str
    gmail: str
    apple: str
    outlook: tuple[str, str, str, str]
    away: str


TONGUES = [
    Tongue(
        "en",
        ("Unsubscribe", "Please remove me from this list, thanks!"),
        "Sent from my iPhone",
        f"On Tue, 23 Sept 2025 at 07:00, {US} wrote:",
        f"On 23 Sep 2025, at 07:00, {US} wrote:",
        ("From", "Sent", "To", "Subject"),
        "Out of office: back on Monday",
    ),
    Tongue(
        "de",
        ("Abmelden", "Bitte den Newsletter abbestellen. Vielen Dank!"),
        "Von meinem iPhone gesendet",
        f"Am Di., 23. Sept. 2025 um 07:00 Uhr schrieb {US}:",
        f"Am 23.09.2025 um 07:00 schrieb {US}:",
        ("Von", "Gesendet", "An", "Betreff"),
        "Abwesenheitsnotiz: Urlaub",
    ),
    Tongue(
        "nl",
        ("Afmelden", "Graag uitschrijven, bedankt"),
        "Verstuurd vanaf mijn iPhone",
        f"Op di 23 sep 2025 om 07:00 schreef {US}:",
        f"Op 23 sep 2025, om 07:00 heeft {US} het volgende geschreven:",
        ("Van", "Verzonden", "Aan", "Onderwerp"),
        "Automatisch antwoord: vakantie",
    ),
    Tongue(
        "sv",
        ("Avregistrera", "Avsluta prenumerationen, tack!"),
        "Skickat från min iPhone",
        f"Den tis 23 sep. 2025 kl 07:00 skrev {US}:",
        f"23 sep. 2025 kl. 07:00 skrev {US}:",
        ("Från", "Skickat", "Till", "Ämne"),
        "Autosvar: semester",
    ),
    Tongue(
        "fr",
        ("Désabonner", "Je souhaite me désabonner, s'il vous plaît."),
        "Envoyé de mon iPhone",
        f"Le mar. 23 sept. 2025 à 07:00, {US} a écrit :",
        f"Le 23 sept. 2025 à 07:00, {US} a écrit :",
        ("De", "Envoyé", "À", "Objet"),
        "Réponse automatique : absence",
    ),
    Tongue(
        "es",
        ("Baja", "Por favor, quiero darme de baja."),
        "Enviado desde mi iPhone",
        f"El mar, 23 sept 2025 a las 7:00, {US} escribió:",
        f"El 23 sept 2025, a las 7:00, {US} escribió:",
        ("De", "Enviado", "Para", "Asunto"),
        "Respuesta automática: vacaciones",
    ),
    Tongue(
        "pt",
        ("Descadastrar", "Por favor, cancelar minha inscrição. Obrigada!"),
        "Enviado do meu iPhone",
        f"Em ter., 23 de set. de 2025 às 07:00, {US} escreveu:",
        f"Em 23 de set. de 2025, à(s) 07:00, {US} escreveu:",
        ("De", "Enviado", "Para", "Assunto"),
        "Resposta automática: férias",
    ),
    Tongue(
        "it",
        ("Disiscrivimi", "Vorrei cancellarmi dalla lista, grazie"),
        "Inviato da iPhone",
        f"Il giorno mar 23 set 2025 alle ore 07:00 {US} ha scritto:",
        f"Il giorno 23 set 2025, alle ore 07:00, {US} ha scritto:",
        ("Da", "Inviato", "A", "Oggetto"),
        "Fuori sede: torno lunedì",
    ),
    Tongue(
        "pl",
        ("Wypisz", "Proszę mnie wypisać z listy"),
        "Wysłane z iPhone'a",
        f"wt., 23 wrz 2025 o 07:00 {US} napisał(a):",
        f"Wiadomość napisana przez {US} w dniu 23 wrz 2025, o godz. 07:00:",
        ("Od", "Wysłano", "Do", "Temat"),
        "Odpowiedź automatyczna: urlop",
    ),
    Tongue(
        "cs",
        ("Odhlásit", "Prosím zrušte odběr. Děkuji"),
        "Odesláno z iPhonu",
        f"út 23. 9. 2025 v 7:00 odesílatel {US} napsal:",
        f"23. 9. 2025 v 7:00, {US}:",
        ("Od", "Odesláno", "Komu", "Předmět"),
        "Automatická odpověď: dovolená",
    ),
    Tongue(
        "ru",
        ("Отписаться", "Пожалуйста, отпишите меня от рассылки."),
        "Отправлено с iPhone",
        f"вт, 23 сент. 2025 г. в 07:00, {US}:",
        f"23 сент. 2025 г., в 07:00, {US} написал(а):",
        ("От", "Отправлено", "Кому", "Тема"),
        "Автоматический ответ: отпуск",
    ),
    Tongue(
        "zh",
        ("退订", "请取消订阅，谢谢"),
        "发自我的iPhone",
        f"{US} 于2025年9月23日周二 07:00写道：",
        f"在 2025年9月23日，07:00，{US} 写道：",
        ("发件人", "发送时间", "收件人", "主题"),
        "自动回复: 休假",
    ),
    Tongue(
        "ja",
        ("配信停止", "購読解除をお願いします。"),
        "iPhoneから送信",
        f"2025年9月23日(火) 7:00 {US}:",
        f"2025/09/23 7:00、{US}のメール:",
        ("差出人", "送信日時", "宛先", "件名"),
        "自動返信: 休暇",
    ),
    Tongue(
        "ko",
        ("수신거부", "구독 취소 부탁드립니다."),
        "나의 iPhone에서 보냄",
        f"2025년 9월 23일 (화) 오전 7:00, {US}님이 작성:",
        f"2025. 9. 23. 오전 7:00, {US} 작성:",
        ("보낸 사람", "보낸 날짜", "받는 사람", "제목"),
        "자동 회신: 휴가",
    ),
]
CHARSETS = {
    "ja": "iso-2022-jp",
    "zh": "gb18030",
    "ko": "euc-kr",
    "ru": "koi8-r",
    "pl": "iso-8859-2",
}


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def wrapped(line: str) -> str:
    """An attribution broken before the address, as Gmail does."""
    return line.replace(" <", "\n<")


def header_block(tongue: Tongue) -> str:
    sender, sent, to, about = tongue.outlook
    return f"{sender}: {US}\n{sent}: 23.09.2025 07:00\n{to}: Ann\n{about}: arXiv digest\n\n{DIGEST}"


def shapes(tongue: Tongue, said: str) -> Iterator[tuple[str, str]]:
    """(name, text) of one reply as different mail programs send it."""
    top = f"{said}\n\n"
    yield "alone", said
    yield "phone", f"{said}\n\n{tongue.signature}\n"
    yield "gmail", f"{top}{tongue.gmail}\n\n{quoted(DIGEST)}\n"
    yield "wrapped", f"{top}{wrapped(tongue.gmail)}\n\n{quoted(DIGEST)}\n"
    yield "apple", f"{top}{tongue.signature}\n\n{tongue.apple}\n\n{quoted(DIGEST)}"
    yield "unquoted", f"{top}{tongue.apple}\n\n{DIGEST}"
    yield "outlook", f"{top}{'_' * 32}\n{header_block(tongue)}"
    yield "outlook without rule", f"{top}{header_block(tongue)}"
    yield "bottom", f"{tongue.gmail}\n{quoted(DIGEST)}\n\n{said}\n"
    yield "signed", f"{said}\n\n-- \nAnn Example\nhttps://ann.example\n"
    yield "pasted footer", f"{top}{tongue.gmail}\n{FOOTER}"


def html_shapes(tongue: Tongue, said: str) -> Iterator[tuple[str, str]]:
    page = DIGEST.replace("\n", "<br>")
    yield (
        "gmail html",
        (
            f'<div dir="ltr">{said}</div><br><div class="gmail_quote"><div class="gmail_attr">'
            f"{tongue.gmail.replace('<', '&lt;')}</div><blockquote>{page}</blockquote></div>"
        ),
    )
    yield (
        "outlook html",
        (
            f"<html><head><style>p{{margin:0}}</style></head><body><p>{said}<o:p></o:p></p>"
            f'<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">{page}</div></body></html>'
        ),
    )


def message(
    text: str, *, subject: str = "Re: arXiv digest", html: bool = False, **headers: str
) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Ann <ann@example.com>"
    mail["To"] = TO
    mail["Subject"] = subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text, subtype="html" if html else "plain")
    return mail.as_bytes()


def encoded(text: str, charset: str, encoding: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "ann@example.com"
    mail["Subject"] = "Re: arXiv digest"
    mail.set_content(text, charset=charset, cte=encoding)
    return mail.as_bytes()


# Plain wishes to leave, in every language that is understood.
WISHES = [
    *(said for tongue in TONGUES for said in tongue.asks),
    "un-subscribe",
    "Please un subscribe me.",
    "Hi,\n\nI no longer wish to receive these emails.\n\nBest,\nTom",
    "Could you please remove me from this list? Thank you.",
    "Meld meg av",
    "Jeg ønsker å melde meg av nyhetsbrevet, takk.",
    "Peruuta tilaus",
    "Poistakaa minut listalta, kiitos.",
    "Відписатися",
    "Будь ласка, відпишіть мене від розсилки.",
    "Aboneliğimi iptal et",
    "Lütfen beni listeden çıkarın. Teşekkürler.",
    "Leiratkozás",
    "Kérem, töröljenek a listáról.",
    "Dezabonare",
    "Vă rog să mă dezabonați.",
    "Διαγραφή",
    "Παρακαλώ διαγράψτε με από τη λίστα.",
    "הסר",
    "אנא הסירו אותי מרשימת התפוצה, תודה.",
    "إلغاء الاشتراك",
    "أرجو إلغاء اشتراكي، شكرا",
    "Hủy đăng ký",
    "Vui lòng hủy đăng ký cho tôi, cảm ơn.",
    "ยกเลิกการสมัคร",
    "กรุณายกเลิกการรับข่าวสาร ขอบคุณครับ",
    "Berhenti berlangganan",
    "Tolong hapus saya dari daftar ini, terima kasih.",
    "सदस्यता समाप्त करें",
    "कृपया मुझे इस सूची से हटा दें, धन्यवाद",
]


# Found by asking how else it may be put, after the phrases had been written.
PUT_OTHERWISE = [
    "Please take my name off your mailing list.",
    "Kindly remove my email from your list",
    "unsubscribe me please!",
    "I no longer wish to receive these emails.",
    "Please stop sending these",
    "UNSUBSCRIBE ME NOW",
    "Bitte melden Sie mich ab.",
    "Ich möchte den Newsletter abbestellen.",
    "Newsletter abbestellen",
    "Bitte aus dem Verteiler nehmen",
    "Bitte streichen Sie mich von der Liste",
    "Veuillez me désabonner",
    "Merci de me désinscrire de cette liste",
    "désabonnez-moi svp",
    "Je ne souhaite plus recevoir ces mails",
    "Denme de baja por favor",
    "Quiero cancelar mi suscripción",
    "No deseo recibir más correos",
    "Por favor elimínenme de la lista",
    "Quero sair da lista",
    "Por favor me remova da lista",
    "Não quero mais receber",
    "Vi prego di cancellarmi dalla lista",
    "Non voglio più ricevere queste mail",
    "Disiscrizione",
    "Wilt u mij uitschrijven",
    "Gelieve mij uit te schrijven",
    "schrijf me uit aub",
    "Ta bort mig från listan tack",
    "Avregistrera mig",
    "Vill avsluta prenumerationen",
    "Proszę o wypisanie z listy",
    "Rezygnuję z newslettera",
    "wypiszcie mnie",
    "Prosím odhlaste mě",
    "Chci se odhlásit z odběru",
    "zrušte mi odběr",
    "Прошу отписать",
    "отпишите меня",
    "Больше не присылайте",
    "我想退订这个邮件",
    "请帮我取消订阅",
    "不要再发邮件给我",
    "配信を停止してください",
    "メールの配信を停止して下さい",
    "購読を解除したいです",
    "구독을 취소하고 싶습니다",
    "메일 그만 보내주세요",
    "수신거부 부탁드려요",
    "End",
    "cancel",
    "Quit.",
    "I wish to opt out.",
    "Remove",
    "Please unsubscribe",
    "please unsubscribe me from your arxiv newsletter",
    "pls unsub",
    "Sign me off",
    "unsubscribe from this list please",
    "Delete me from your list",
    "bitte löschen Sie mich aus dem Verteiler",
    "Abmeldung",
    "abbestellung",
    "Ich möchte keine E-Mails mehr erhalten",
    "stop newsletter",
]
