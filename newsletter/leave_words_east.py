"""The words of `leave_words.py` for Slavic and East Asian languages."""

# ruff: noqa: RUF001 - readers write in their own scripts

from __future__ import annotations

from newsletter.leave_words import Tongue

POLISH = Tongue(
    leave="przestańcie przestać zaprzestać zaprzestanie zaprzestańcie wypisuję_się wypisz"
    " wypisać wypiszcie wypisanie wyrejestruj wyrejestrować rezygnuję rezygnacja"
    " zrezygnować rezygnacji anuluj anulować anulujcie anulowanie zakończyć wypisać_się",
    out="usuń usunąć usuńcie usunięcie wykreślić wykreślenie skreślić",
    no="nie",
    want="jestem_zainteresowany jestem_już_zainteresowany jestem_zainteresowana"
    " jestem_już_zainteresowana chcę chciałbym chciałabym życzę_sobie",
    get="otrzymywać dostawać",
    send="wysyłania przesyłania przesyłać wysyłać wysyłajcie przysyłać przysyłajcie",
    more="nic jestem_już_zainteresowany jestem_już_zainteresowana już więcej dłużej",
    mail="newsletter newslettera newsletterów wiadomości maili maile e_maili e_maile mailingu"
    " mailingowej email e_mail",
    listed="bazy_danych listy lista listę subskrypcji subskrypcję subskrypcja prenumeraty"
    " prenumeratę adres adresu bazy odbiorców subskrybentów",
    me="mnie mój mojego moją mojej",
    ask="czy_możecie czy_mogą_państwo czy_może_pan czy_może_pani",
    small="ale więc ja się mi z ze o od do tego tej tych ten te waszej waszego waszych państwa"
    " natychmiast niniejszym na",
)
CZECH = Tongue(
    leave="přestat přestaňte odhlašuji odhlašuji_se odhlásit odhlaste odhlašte odhlášení zrušit"
    " zrušte zrušení ukončit ukončete ukončení",
    out="vyškrtněte vyřadit vyřaďte vyřazení odstranit odstraňte odstranění vymazat vymažte"
    " smazat smažte vymaz",
    no="nic nemám_zájem ne nechci nepřeji_si neposílejte nezasílejte nechtěl_bych",
    want="nemám_zájem chci chtěl_bych chtěla_bych přeji_si žádám nechci nepřeji_si nechtěl_bych",
    get="dostávat odebírat",
    send="zasílat zasílání posílat posílejte neposílejte nezasílejte",
    more="nic už již dále další žádné více",
    mail="newsletter newsletteru newslettery emaily e_maily email e_mail maily mail zprávy",
    listed="odběr odběru předplatné seznamu seznam rozesílky databáze adresu adresa"
    " mailing_listu odběratelů",
    me="mě mi mne můj moji mého mou",
    ask="můžete mohli_byste mohl_byste",
    small="ale na já se si o z ze od do vašeho vaší tohoto tento tyto tuto ihned okamžitě vaše",
)
RUSSIAN = Tongue(
    leave="перестаньте перестать отписаться отписать отпишите отпиши отписка отписку отменить"
    " отмените отмена отмену прекратить прекратите остановить остановите отказаться"
    " отказываюсь отключить отключите",
    out="снять снимите удалить удалите удали исключить исключите убрать уберите вычеркните",
    no="неинтересно неинтересна не никогда",
    want="неинтересно неинтересна интересно интересна хочу хотел_бы хотела_бы желаю",
    get="получать",
    send="присылайте присылать отправляйте отправлять шлите слать высылайте присылай",
    more="ничего больше никаких далее",
    mail="письма писем письмо рассылка рассылок сообщений сообщения email e_mail имейл базы",
    listed="рассылку рассылки подписку подписки подписка списка список адрес почту",
    me="меня мой мою моего",
    ask="можете могли_бы не_могли_бы_вы",
    small="но с поэтому я мне от из на эту этой этих эти ваш вашей вашу ваши вашего вы"
    " немедленно от_вас пожалуйста мои",
)
CHINESE = Tongue(
    leave="拒收 退出 停发 取消关注 退订 退訂 取消订阅 取消訂閱 停止订阅 停止訂閱 终止订阅"
    " 退阅 取消 停止 终止 取关",
    out="删除 刪除 删掉 移除 移出 去掉 剔除 除名",
    no="不需要 不需要了 不用了 没兴趣 没有兴趣 不感兴趣 不想再 不想 不要 别 不 请勿 請勿 勿 不用",
    want="不需要 不需要了 没兴趣 没有兴趣 不感兴趣 不想再 不想 想 希望 愿意 想要 需要",
    get="收到 接收 收 看到",
    send="发了 發了 寄了 发 發 发送 發送 寄 寄送 发来 推送 发给我 發給我",
    more="没兴趣 没有兴趣 不感兴趣 再订阅了 再訂閱了 再 继续 繼續 以后 任何",
    mail="邮件 邮件了 郵件了 信了 郵件 电子邮件 電子郵件 信 通讯 服务 電郵 电邮",
    listed="订阅 訂閱 列表 名单 名單 邮箱 地址 邮件列表",
    me="我 我的",
    ask="能否 能不能 可否",
    small="谢 对 我要 要 将 將 把 从 從 给 給 给我 給我 帮我 幫我 替我 向我 帮 幫"
    " 这个 這個 这份 这些 這些 此 此类 该 本 你们 您 你們 你 的 中 里 上 里面"
    " 所有 一下 吧 掉 都 出",
    spaced=False,
)
JAPANESE = Tongue(
    leave="停止 解除 中止 退会 解約 キャンセル 取り消し 取消 止めて やめて とめて"
    " 止めたい やめたい ストップ 拒否",
    out="削除 外 外して はずして 除外 抜けたい 抹消",
    no="しません 興味がありません 興味ありません 不要 いりません 要りません 必要ありません"
    " 必要ないです 結構です 送らないで しないで",
    want="しません 興味がありません 興味ありません 不要 いりません 要りません 必要ありません"
    " 必要ないです 結構です 送らないで しないで",
    get="受信 受け取り",
    send="送信 送付",
    more="今後 もう これ以上 以後",
    mail="メールマガジン メルマガ ニュースレター メール 配信",
    listed="購読 登録 リスト 配信リスト メーリングリスト アドレス メールアドレス 名簿 講読",
    me="私 私の",
    ask="いただけますか 頂けますか もらえますか 頂けませんか いただけませんか",
    small="頂きたい ます の を は が から に も で お して ください 下さい したい"
    " です したいです します させて いただきたい 希望 をお願い お願い いたします"
    " 致します ほしい 欲しい のお手続き 手続き と 思います この これ",
    spaced=False,
)
KOREAN = Tongue(
    leave="차단 취소 해지 거부 중지 중단 해제 탈퇴 수신거부 구독취소 그만",
    out="제외 삭제 빼",
    no="마 말아주세요 관심없습니다 관심이없습니다 원하지않습니다 마세요 마십시오 말아"
    " 않습니다 않아요 않겠습니다 필요없습니다",
    want="않겠습니다 관심없습니다 관심이없습니다 원하지않습니다 싶지 원하지",
    get="받지 받고 받기 수신 받는",
    send="보내지 보내 발송 보내는",
    more="더이상 더 이상 앞으로 이제",
    mail="이메일 메일 뉴스레터 수신",
    listed="구독 메일링 리스트 메일링리스트 목록 명단 주소 메일주소",
    me="저를 저 제",
    ask="",
    small="을 를 의 은 는 이 가 에서 로 하고 싶습니다 싶어요 하겠습니다 할래요 할게요"
    " 합니다 해 해주세요 해주십시오 주세요 줘요 요 원합니다 원해요 원 요청 신청"
    " 부탁 부탁드립니다 부탁드려요 바랍니다 하려고 처리 드립니다",
    spaced=False,
)
EASTERN = (POLISH, CZECH, RUSSIAN, CHINESE, JAPANESE, KOREAN)
