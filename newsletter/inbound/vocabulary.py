# ruff: noqa: RUF001 - readers write in their own scripts
"""Words of requests to unsubscribe, by their meaning, in 27 languages.

A sentence with a word that is not listed is no command: a person reads it. So sentences about
another person, a paper, a reason, a condition or the past are never obeyed. `inbound/intents.py`
combines the words. `_` joins words; text is compared without accents and punctuation.
"""

from __future__ import annotations

from typing import NamedTuple


class Vocabulary(NamedTuple):
    """The words of one language by kind. Only wishes, in the first and second person.

    `leave`   unsubscribe, stop, cancel: the action
    `out`     remove, delete: the action if a person (`me`) or a list (`listed`) is named too
    `no`      negation; `want` wishing; `get` receiving; `send` sending; `more` any longer, others
    `mail`    what is sent; `listed` what one is on
    `ask`     could you: a sentence with it may end in a question mark
    `small`   words that change nothing
    """

    leave: str
    out: str
    no: str
    want: str
    get: str
    send: str
    more: str
    mail: str
    listed: str
    me: str
    ask: str
    small: str
    spaced: bool = True
    """Whether words are parted by spaces."""


ENGLISH = Vocabulary(
    leave="want_off out_of discontinue please_stop unsubscribe unsub un_subscribe be_unsubscribed"
    " be_un_subscribed get_unsubscribed take_me_off take_my_name_off take_me_out take_my_email_off"
    " take_my_address_off opt_out opt_me_out be_opted_out sign_me_off sign_me_out cancel"
    " terminate stop quit end cease leave_the_list leave_this_list leave_your_list",
    out="remove be_removed delete be_deleted erase be_taken_off",
    no="not_interested no not don_t dont do_not never no_longer",
    want="love rather want wish would_like d_like would_prefer prefer interested",
    get="receive get receiving have getting",
    send="send sending mailing emailing write_to writing_to email_me mail_me e_mail_me emailing_me",
    more="no_longer not_interested more any_more anymore any_longer again further no_further",
    mail="emails e_mails mails messages newsletter newsletters digest digests mailings these"
    " this email_newsletter email_digest",
    listed="be_on be_subscribed be_part_of being_on database contact_list contacts"
    " subscriber_list subscribers records recipients recipient_list system list lists"
    " mailing_list mailing_lists email_list email_lists distribution_list subscription"
    " subscriptions address email_address e_mail_address my_email my_e_mail my_name",
    me="me us myself my my_email my_address",
    ask="can_you could_you would_you will_you",
    small="being then ok okay but so just_please sorry inbox your_system the_following i m am"
    " to from of off the a your all any this these those such that it them in future"
    " right_away today from_now_on with_immediate_effect as_soon_as_possible permanently"
    " completely altogether d arxiv daily from_you hereby be asking_to writing_to_ask",
)
GERMAN = Vocabulary(
    leave="aufhören kündigen_sie beenden_sie stornieren_sie stoppen_sie abbestelle raus_aus_dem"
    " raus_aus stellen_sie_den_versand_ein stellen_sie_die_zusendung_ein abmelden"
    " abzumelden abmeldung abbestellen abzubestellen abbestellung austragen auszutragen"
    " austragung kündigen kündige kündigung nehmen_sie_mich nehmt_mich nimm_mich"
    " ausgetragen_werden abgemeldet_werden stornieren beenden stoppen einstellen"
    " melden_sie_mich melde_mich meldet_mich tragen_sie_mich trage_mich tragt_mich"
    " trag_mich meld_mich bestelle_ich",
    out="löschen_sie entfernen_sie streichen_sie nehmen_sie streichung löschen löschung"
    " gelöscht_werden entfernen entfernung entfernt_werden streichen gestrichen_werden"
    " herausnehmen rausnehmen nehmen herausgenommen_werden lösche_mich löscht_mich"
    " entferne_mich entfernt_mich streiche_mich streicht_mich",
    no="kein_interesse habe_kein_interesse nicht kein keine keinen nie nichts",
    want="kein_interesse habe_kein_interesse möchte will wünsche würde_gern würde_gerne wollen",
    get="stehen erhalten bekommen haben empfangen beziehen zu_erhalten zu_bekommen lesen",
    send="anschreiben kontaktieren schreiben senden schicken senden_sie schicken_sie zusenden"
    " zuschicken sendet schickt schick zu_senden zu_schicken mailen",
    more="kein_interesse habe_kein_interesse mehr weitere weiteren weiterhin länger künftig"
    " zukünftig",
    mail="newsletter newsletters mails mail e_mails e_mail emails email nachrichten",
    listed="versand zusendung abonnentenliste newsletterverteiler kontaktliste newsletterliste"
    " mailliste emailliste e_mail_liste empfängerliste verteiler mailverteiler"
    " emailverteiler e_mail_verteiler liste mailingliste mailing_liste abo abonnement"
    " adresse e_mail_adresse mailadresse emailadresse verteilerliste datenbank",
    me="mich meine meinen mein sie_mich uns",
    ask="können_sie könnten_sie würden_sie kannst_du könntest_du würdest_du könnt_ihr könntet_ihr",
    small="aber auf_der auf_dieser auf_i darum nun bitte_um ich mir meiner den dem der die das"
    " des diesem dieser diesen dieses diese von vom aus für zu um ihrem ihrer ihren ihr"
    " ihre eurem eurer euren euer eure ab heraus raus ab_sofort sofort hiermit gern gerne"
    " in_zukunft von_ihnen wieder",
)
DUTCH = Vocabulary(
    leave="opzeggen_van zeg_ik_mijn_abonnement_op afbestellen annuleer hou_op_met afmelden"
    " uitschrijven af_te_melden uit_te_schrijven afmelding uitschrijving opzeggen"
    " op_te_zeggen opzegging stopzetten beëindigen annuleren schrijf_mij_uit"
    " uitgeschreven_worden afgemeld_worden stop stoppen schrijf_me_uit meld_me_af"
    " meld_mij_af schrijf_me_dan_uit",
    out="verwijderen verwijder verwijderd_worden te_verwijderen afhalen halen haal",
    no="heb_geen_interesse niet geen nooit",
    want="heb_geen_interesse interesse geïnteresseerd wil wens zou_graag zou_willen wil_graag"
    " wensen",
    get="staan ontvangen krijgen hebben te_ontvangen te_krijgen",
    send="sturen mailen stuur te_sturen zenden versturen toesturen",
    more="meer langer verder",
    mail="nieuwsbrief nieuwsbrieven mails mail e_mails e_mail emails email berichten",
    listed="maillijst e_maillijst adressenlijst adressenbestand nieuwsbrieflijst mailbestand"
    " lijst mailinglijst mailinglist verzendlijst abonnement inschrijving adres mailadres"
    " e_mailadres emailadres bestand",
    me="me mij mijn ons",
    ask="kunt_u kan_je kun_je wilt_u wil_je zou_u zou_je kunnen_jullie willen_jullie"
    " zouden_jullie kan_u",
    small="maar op_de op_deze op_uw ben in ik de het een deze dit die uw jullie je jouw van"
    " voor uit af met om hierbij gelieve aan alle direct per_direct in_de_toekomst te u"
    " van_u graag willen eruit zou",
)
SWEDISH = Vocabulary(
    leave="avbeställ avbeställa avregistrera avregistreras avprenumerera avanmäl avanmäla"
    " avanmälan avsluta säg_upp säga_upp bli_avregistrerad stoppa sluta avregistrering",
    out="ta_bort tas_bort bli_borttagen stryk radera",
    no="ej inte inga ingen aldrig",
    want="intresserad vill önskar skulle_vilja",
    get="prenumerera ha få prenumerera_på",
    send="skicka mejla maila",
    more="fler längre mer några",
    mail="mejl mail mejlen e_post epost nyhetsbrev nyhetsbrevet nyhetsbreven utskick",
    listed="abonnemang stå_på mejllista maillista e_postlista e_postlistan epostlista"
    " epostlistan utskickslistan utskickslista listan lista sändlistan sändlista"
    " maillistan mejllistan prenumeration prenumerationen adress e_postadress epostadress"
    " mejladress",
    me="mig min mitt",
    ask="kan_ni kan_du skulle_ni kunde_ni skulle_du",
    small="jag men är av er ert era från ur på denna detta dessa den de det här till gärna att"
    " och omedelbart från_er hädanefter",
)
FRENCH = Vocabulary(
    leave="désabonner désabonnez désabonne désabonnement désinscrire désinscrivez désinscris"
    " désinscription être_désabonné être_désabonnée être_désinscrit être_désinscrite"
    " annuler annulez résilier résiliez résiliation arrêter arrêtez arrêtez_de arrêter_de"
    " cesser cessez stop stopper",
    out="retirer retirez retire supprimer supprimez supprime enlever enlevez enlève effacer"
    " radier rayer rayez être_retiré être_retirée être_supprimé quitter sortir",
    no="ne n pas jamais",
    want="ai_plus_besoin suis_plus_intéressé suis_plus_intéressée veux voudrais souhaite"
    " désire souhaiterais aimerais demande",
    get="être_contacté recevoir",
    send="envoyer envoyez écrire envoi envois",
    more="rien ai_plus_besoin suis_plus_intéressé suis_plus_intéressée plus davantage",
    mail="mails mail emails email e_mails e_mail messages courriels courriel courrier"
    " newsletter newsletters lettre lettres lettre_d_information",
    listed="être_abonné être_abonnée être_inscrit être_inscrite être_sur faire_partie base"
    " base_de_données fichier liste_d_envoi liste listes liste_de_diffusion abonnement"
    " adresse inscription mailing_list",
    me="me moi m mon ma nous",
    ask="pouvez_vous pourriez_vous peux_tu pourrais_tu est_il_possible_de",
    small="prie vous_prie vous_demande mais donc vouloir dorénavant je se mes de du des d la le"
    " les l cette ces ce cet votre vos ta ton à a veuillez bien par dès_maintenant"
    " immédiatement désormais à_l_avenir de_votre_part en diffusion vous y",
)
SPANISH = Vocabulary(
    leave="darse_de_baja desuscriba desuscriban desinscribir desinscribirme desapuntarme"
    " desapúntame desapúntenme salir baja dar_de_baja darme_de_baja desuscribir"
    " desuscribirme desuscríbeme desuscríbanme desuscribirse cancelar cancelen cancele"
    " cancela cancelación anular anulen eliminarme elimínenme elimíneme elimíname borrarme"
    " bórrenme bórreme bórrame quitarme quítenme quíteme quítame retirarme sacarme"
    " sáquenme dejen_de deje_de dejar_de ser_dado_de_baja ser_dada_de_baja salirme",
    out="retiren retire retíreme retírenme saquen saque sáqueme quiten quite quita elimina"
    " eliminar eliminen elimine borrar borren quitar remover ser_eliminado ser_eliminada",
    no="no_me_interesa no_me_interesan no nunca ni",
    want="no_me_interesa no_me_interesan quiero deseo quisiera me_gustaría querría solicito"
    " pido necesito",
    get="recibir recibiendo seguir_recibiendo",
    send="recibirlos enviar enviarme envíen envíe enviando mandar mandarme manden mande"
    " mandando escriban envíenme",
    more="nada no_me_interesa no_me_interesan más ya",
    mail="correos correo emails email e_mails e_mail mails mensajes boletín boletines"
    " newsletter correo_electrónico correos_electrónicos",
    listed="estar_en seguir_en estar_suscrito estar_suscrita base_de_datos base lista listas"
    " suscripción dirección lista_de_correo lista_de_distribución lista_de_difusión"
    " inscripción",
    me="me mi mis",
    ask="pueden puede podrían podría puedes podrías me_pueden",
    small="darse pero así_que yo la las los el lo de del a al esta este estos estas su sus"
    " vuestra vuestro que den denme deme dame dadme por_la_presente inmediatamente por les le"
    " dar distribución en darme",
)
PORTUGUESE = Vocabulary(
    leave="desinscrição descadastrar_me desvincular sair descadastrar descadastre descadastrem"
    " descadastramento desinscrever desinscrevam desinscrever_me cancelar cancele cancelem"
    " cancelamento anular anulem parem pare parar descadastro",
    out="tirem_me remover remova removam remoção retirar retire retirem tirar tire tirem"
    " excluir exclua excluam eliminar ser_removido ser_removida ser_retirado ser_excluído",
    no="não nunca",
    want="tenho_interesse tenho_mais_interesse quero desejo gostaria gostava queria solicito"
    " peço preciso",
    get="receber recebendo",
    send="enviar enviem envie mandar mandem mande enviando",
    more="nada tenho_mais_interesse mais",
    mail="emails email e_mails e_mail mensagens newsletter boletim correio",
    listed="fazer_parte estar_nesta base_de_dados base lista listas inscrição assinatura"
    " subscrição endereço nome lista_de_emails cadastro",
    me="me meu minha",
    ask="podem pode poderiam poderia podes",
    small="mas então eu o a os as de da do desta deste dessa desse esta este esses estes essa"
    " vossa vosso sua seu suas seus que favor imediatamente nenhum para por em",
)
ITALIAN = Vocabulary(
    leave="uscire disiscrivimi disiscrivetemi disiscrivermi disiscriversi disiscrivere"
    " disiscrizione cancellami cancellatemi cancellarmi cancellazione cancellare cancella"
    " cancellate annulla annullare annullate annullamento rimuovimi rimuovetemi rimuovermi"
    " toglimi toglietemi togliermi eliminatemi eliminarmi essere_cancellato"
    " essere_cancellata essere_disiscritto essere_disiscritta disdire disdetta stop"
    " smettete_di smettere_di",
    out="rimuovere rimuovete rimozione togliete togliere eliminare eliminate essere_rimosso"
    " essere_rimossa essere_tolto essere_tolta",
    no="basta non mai",
    want="sono_più_interessato sono_più_interessata interessa voglio vorrei desidero chiedo"
    " richiedo",
    get="ricevere",
    send="inviate mandate inviare inviatemi mandare mandatemi inviarmi mandarmi scrivermi"
    " spedirmi spedire",
    more="niente nulla sono_più_interessato sono_più_interessata più altre basta",
    mail="mail email e_mail newsletter messaggi posta",
    listed="essere_iscritto essere_iscritta far_parte database elenco lista liste mailing_list"
    " iscrizione abbonamento sottoscrizione indirizzo nominativo contatto",
    me="mi mio mia",
    ask="potete potreste può potrebbe puoi potresti",
    small="ma quindi io miei il la lo le i gli l di da dalla dal dalle della delle del dei alla"
    " questa queste questo vostra vostre vostro vostri tua tue che prego vi ti subito"
    " immediatamente in_futuro per d",
)
LATIN = (ENGLISH, GERMAN, DUTCH, SWEDISH, FRENCH, SPANISH, PORTUGUESE, ITALIAN)

POLISH = Vocabulary(
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
CZECH = Vocabulary(
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
RUSSIAN = Vocabulary(
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
CHINESE = Vocabulary(
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
JAPANESE = Vocabulary(
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
KOREAN = Vocabulary(
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
