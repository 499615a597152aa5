# ruff: noqa: RUF001 - readers write in their own scripts
"""Words of the commands besides unsubscribing, in 27 languages: spans of time, votes, why not.

`inbound/commands.py` combines them. `_` joins words; text is compared without accents and
punctuation.
"""

from __future__ import annotations

from typing import NamedTuple

DAY, WEEK, MONTH = 1, 7, 30

UNITS: dict[int, str] = {
    DAY: "day days tag tage tagen dag dagen dagar dager dage jour jours día días dia dias giorno"
    " giorni dzień dni den dny dní dnů день дня дней дні днів päivä päivää päiväksi gün nap napra"
    " zi zile ημέρα ημέρες μέρα μέρες יום ימים يوم أيام ngày วัน hari दिन 天 日間 日 일",
    WEEK: "week weeks woche wochen weken vecka veckor uke uker uge uger semaine semaines semana"
    " semanas settimana settimane tydzień tygodnie tygodni týden týdny týdnů неделя неделю недели"
    " недель тиждень тижні тижнів viikko viikkoa viikoksi hafta hét hétre săptămână săptămâni"
    " εβδομάδα εβδομάδες שבוע שבועות أسبوع أسابيع tuần สัปดาห์ อาทิตย์ minggu हफ्ता हफ्ते सप्ताह"
    " 个星期 個星期 星期 週間 周 週 주일 주",
    MONTH: "month months monat monate monaten maand maanden månad månader måned måneder mois mes"
    " meses mês mese mesi miesiąc miesiące miesięcy měsíc měsíce měsíců месяц месяца месяцев"
    " місяць місяці місяців kuukausi kuukautta kuukaudeksi ay hónap hónapra lună luni μήνα μήνες"
    " חודש חודשים شهر أشهر tháng เดือน bulan महीना महीने 个月 個月 か月 ヶ月 カ月 ヵ月 개월 달",
}
NUMBERS: dict[int, str] = {
    1: "a an one ein eine einen één een en ett et un une una um uma uno jeden jedną jednu один одну"
    " yksi bir egy o một satu 一 한",
    2: "two zwei twee två to deux dos dois duas due dwa dva dvě два две дві kaksi iki két kettő"
    " două δύο hai dua 两 兩 二 두",
    3: "three drei drie tre trois tres três trzy tři три kolme üç három trei τρεις ba tiga 三 세",
    4: "four vier fyra fire quatre cuatro quatro quattro cztery čtyři четыре чотири neljä dört négy"
    " patru τέσσερις bốn empat 四 네",
}
FOR = (
    "for_the_next for für_die_nächsten für voor_de_komende voor i_kommande i på pour_les_prochaines"
    " pour pendant durante por para per na на για pentru timp_de selama trong के_लिए için ajaksi"
    " למשך ל לשבוע لمدة le 동안 เป็นเวลา"
)
"""Words that introduce a span of time, or follow it."""

ALL = (
    "all everything all_lists allem allen alles alle alla alt tout tous toutes todo todos todas"
    " tudo tutto tutti tutte wszystko wszystkie wszystkich všechno všechny všech все всё всех всі"
    " усі всіх усіх kaikki kaikista kaikilta kaiken tümü tümünü tümünden hepsi hepsini hepsinden"
    " mindet mindegyik mindegyiket mindegyikről mindent minden tot toate toți όλα όλες όλων הכל"
    " כולם الكل الجميع جميع tất_cả semua semuanya सभी सब 모두 전부"
)
"""Words that make a wish to leave one for every rubric."""
ALL_UNSPACED = "全部 所有 すべて 全て ทั้งหมด"

WHY = (
    "why warum wieso waarom varför hvorfor pourquoi por_qué por_que perché dlaczego czemu proč"
    " почему чому miksi neden niçin miért de_ce γιατί למה מדוע لماذا tại_sao vì_sao ทำไม mengapa"
    " kenapa क्यों 为什么 為什麼 为何 なぜ どうして 왜"
)
WHY_NOT = (
    "why_not warum_nicht wieso_nicht waarom_niet varför_inte hvorfor_ikke pourquoi_pas por_qué_no"
    " por_que_não perché_no perché_non dlaczego_nie proč_ne почему_не почему_нет чому_не чому_ні"
    " miksi_ei neden_yok neden_değil miért_nem de_ce_nu γιατί_όχι למה_לא מדוע_לא لماذا_لا"
    " لماذا_ليس tại_sao_không vì_sao_không ทำไมไม่ mengapa_tidak kenapa_tidak क्यों_नहीं"
    " 为什么没有 为什么不 為什麼沒有 為什麼不 为何没有 なぜない 왜_안"
)
WHY_AROUND = (
    "is isn_t was wasn_t were weren_t not paper the arxiv included picked selected listed there"
    " here missing absent in it digest list issue today"
)
"""English words that may stand around the paper's id: why was 2509.12345 not included?"""


class VoteWords(NamedTuple):
    """The words of one language: more, less, `like` (alike, such, of), and what changes nothing."""

    more: str
    less: str
    like: str
    small: str


VOTES = (
    VoteWords(
        "more",
        "less fewer",
        "like such_as similar",
        "papers paper ones and to the also me show give send i d want would",
    ),
    VoteWords("mehr", "weniger", "wie so_wie ähnlich", "bitte artikel paper nr nummer und von"),
    VoteWords("meer", "minder", "zoals als", "graag artikelen artikel nr nummer en"),
    VoteWords("mer fler", "mindre färre", "som liknande", "artiklar artikel nr nummer och"),
    VoteWords("mer mere flere", "mindre færre", "som lignende", "artikler artikel nr og"),
    VoteWords(
        "plus davantage", "moins", "comme similaires", "d articles article de numéro n et le"
    ),
    VoteWords("más", "menos", "como similares", "artículos artículo número n y del el a"),
    VoteWords("mais", "menos", "como similares", "artigos artigo número n e o a ao"),
    VoteWords("più", "meno", "come simili", "articoli articolo numero n e il a"),
    VoteWords("więcej", "mniej", "jak takich_jak podobnych", "artykułów nr numer i do"),
    VoteWords("více víc", "méně míň", "jako takových_jako podobných", "článků č číslo a"),
    VoteWords("больше побольше", "меньше поменьше", "как таких_как похожих", "статей номер и на"),
    VoteWords("більше", "менше", "як таких_як схожих", "статей номер і на"),
    VoteWords("lisää enemmän", "vähemmän", "kuten kaltaisia", "artikkeleita nro ja"),
    VoteWords("daha_fazla", "daha_az", "gibi", "makale numara ve"),
    VoteWords("több többet", "kevesebb kevesebbet", "mint hasonló", "cikk cikket olyan olyat és a"),
    VoteWords("mai_multe mai_mult", "mai_puține mai_puțin", "ca precum", "articole articol și"),
    VoteWords("περισσότερα", "λιγότερα", "σαν όπως", "άρθρα το και"),
    VoteWords("עוד יותר", "פחות", "כמו", "מאמרים"),
    VoteWords("المزيد أكثر مزيد", "أقل", "مثل", "من و"),
    VoteWords("thêm nhiều_hơn", "ít_hơn bớt", "như giống", "bài và"),
    VoteWords("lebih_banyak", "lebih_sedikit kurangi", "seperti", "makalah nomor dan"),
    VoteWords("और अधिक ज्यादा", "कम", "जैसे जैसा", "पेपर शोधपत्र"),
    VoteWords("더", "덜", "같은 비슷한", "번 논문 것 과 와 거 을 를 주세요"),
    VoteWords(
        "更多 多一些 多点 多一点 多",
        "更少 少一些 少点 少一点 少",
        "像 类似 類似 同 和",
        "这样的 這樣的 的 论文 論文 第 篇 请",
    ),
    VoteWords(
        "もっと 増やして",
        "もっと少なく 減らして 少なく",
        "のような みたいな に似た",
        "論文 もの を は 番 と して",
    ),
    VoteWords("เพิ่ม มากขึ้น", "น้อยลง ลด", "แบบ เหมือน", "บทความ ที่ และ"),
)
