# ruff: noqa: RUF001 - readers write in their own scripts
"""The words of `inbound/vocabulary.py` for the plain wish in thirteen more languages."""

from __future__ import annotations

from newsletter.inbound.vocabulary import Vocabulary

NORWEGIAN = Vocabulary(
    leave="meld_meg_av meld_meg_ut melde_meg_av melde_meg_ut avmeld avmelde avmelding bli_avmeldt"
    " avslutt avslutte si_opp stopp stoppe slutt slutte avbestill avbestille kanseller avregistrer"
    " afmeld afmelde afmelding frameld framelde afmeld_mig frameld_mig",
    out="fjern fjerne fjernes slett slette slettes stryk ta_bort ta_vekk ta_meg_bort bli_fjernet"
    " bli_slettet slet",
    no="ikke ingen aldri",
    want="ønsker vil har_interesse interessert",
    get="motta få mottatt ha modtage",
    send="send sende sender",
    more="mer flere lenger mere længere",
    mail="e_post e_poster epost eposter mail mailer mails nyhetsbrev nyhetsbrevet nyhetsbrevene"
    " nyhedsbrev nyhedsbrevet meldinger",
    listed="listen lista liste e_postlisten epostlisten mailinglisten postlisten abonnement"
    " abonnementet adressen adresse e_postadresse e_postadressen stå_på",
    me="meg min mitt mig",
    ask="kan_dere kan_du kunne_dere vil_dere kunne_du",
    small="jeg jeg_vil å fra for av denne dette disse den det deres din til på i og gjerne herfra"
    " være vær_så_snill a_bli jeres",
)
FINNISH = Vocabulary(
    leave="peruuta peruuttaa peruutan peruutus peruuttakaa peru perua perukaa lopeta lopettakaa"
    " lopettaa lopetus irtisano irtisanoa eroan erota poistua",
    out="poista poistakaa poistaa poistamaan poisto",
    no="en ei älkää älä",
    want="halua haluan haluaisin toivon",
    get="vastaanottaa saada tilata",
    send="lähettäkö lähettäkää lähetä lähettää lähettämästä lähettäminen",
    more="enää lisää enempää",
    mail="uutiskirje uutiskirjettä uutiskirjeen uutiskirjeitä uutiskirjeiden sähköposti"
    " sähköposteja sähköpostia viestejä viestit viestien posteja",
    listed="tilaus tilauksen tilaukseni listalta listaltanne postituslistalta postituslistaltanne"
    " sähköpostilistalta jakelulistalta tietokannasta osoite osoitteeni sähköpostiosoite"
    " sähköpostiosoitteeni",
    me="minut minua minulle minun",
    ask="voitteko voisitteko voitko voisitko",
    small="tämä tämän tätä näitä näiden teidän teiltä ja heti ystävällisesti",
)
UKRAINIAN = Vocabulary(
    leave="відписатися відписатись відписати відпишіть відпиши відписка відписку скасувати скасуйте"
    " скасування припинити припиніть зупинити зупиніть відмовитися відмовляюсь відмовляюся"
    " відключіть відключити",
    out="видалити видаліть видали вилучіть вилучити приберіть прибрати виключіть",
    no="не ніяких",
    want="хочу хотів_би хотіла_б хотіла_би бажаю",
    get="отримувати одержувати",
    send="надсилайте надсилати присилайте шліть відправляйте",
    more="більше надалі далі",
    mail="листи листів лист розсилок повідомлень повідомлення email",
    listed="розсилку розсилки розсилка підписку підписки підписка списку список адресу пошту бази",
    me="мене мій мою моєї мені",
    ask="можете чи_можете могли_б чи_не_могли_б_ви",
    small="я від з із зі цієї ці цих цю цей вашої ваших ваші вашу ваш ви негайно і на",
)
TURKISH = Vocabulary(
    leave="iptal iptal_et iptal_edin iptal_ediniz iptal_etmek iptal_edilsin iptal_eder sonlandır"
    " sonlandırın sonlandırınız sonlandırmak abonelikten_çık abonelikten_çıkmak abonelikten_ayrıl"
    " abonelikten_ayrılmak abonelikten_çıkar abonelikten_çıkarın üyelikten_çık üyelikten_çıkmak"
    " listeden_çıkmak ayrılmak durdur durdurun",
    out="çıkar çıkarın çıkarınız çıkartın çıkarır sil silin siliniz siler kaldır kaldırın"
    " silmenizi çıkarmanızı kaldırmanızı",
    no="istemiyorum göndermeyin gönderme yollamayın istemem",
    want="istiyorum istemiyorum istemem rica_ederim rica_ediyorum",
    get="almak",
    send="göndermeyin gönderme yollamayın",
    more="artık daha bir_daha daha_fazla",
    mail="e_posta e_postalar e_postaları eposta epostaları mail mailler mailleri bülten bülteni"
    " bültenleri bültenden bültenini ileti iletileri mesaj",
    listed="abonelik aboneliğimi aboneliği aboneliğimin üyeliğimi listeden listenizden listesinden"
    " posta_listesinden mail_listesinden e_posta_listesinden adresimi e_posta_adresimi",
    me="beni bana benim",
    ask="misiniz mısınız",
    small="bu sizden ve ben hemen",
)
HUNGARIAN = Vocabulary(
    leave="leiratkozás leiratkozom leiratkozni leiratkoznék leiratkoztatás leiratkoztatását"
    " iratkoztassanak_le iratkoztass_le iratkoztasson_le lemondás lemondom lemondani lemondanám"
    " mondják_le állítsák_le szüntessék_meg megszüntetés",
    out="töröljenek töröljön törölj töröljék törlés törlését törölni vegyenek_le vegyen_le"
    " távolítsanak_el",
    no="nem ne",
    want="szeretnék szeretném akarok akarom kérek kívánok",
    get="kapni megkapni fogadni",
    send="küldjenek küldjön küldjetek küldj",
    more="többet több többé tovább",
    mail="hírlevelet hírlevél hírlevelek hírleveleket e_mailt e_mailek e_maileket emailt emaileket"
    " leveleket levelet levél üzenetet",
    listed="listáról levelezőlistáról levlistáról hírlevélről hírlevelükről adatbázisból"
    " előfizetésemet előfizetés feliratkozásomat feliratkozás címemet e_mail_címemet címem"
    " listájukról",
    me="engem nekem",
    ask="",
    small="a az erről ezt ezeket önöktől önök és azonnal",
)
ROMANIAN = Vocabulary(
    leave="dezabonare dezabonarea dezabonați dezabonează dezabonez dezaboneze dezabonați_mă"
    " dezabonează_mă mă_dezabonați mă_dezabonez anulați anulează anulare anularea renunț renunțare"
    " opriți oprește oprire încetați",
    out="ștergeți șterge ștergeți_mă ștergerea scoateți scoate scoateți_mă eliminați eliminați_mă"
    " să_fiu_șters să_fiu_scos",
    no="nu",
    want="vreau doresc aș_dori aș_vrea",
    get="primesc să_primesc primi",
    send="trimiteți trimite trimiteți_mi",
    more="mai",
    mail="emailuri e_mailuri mailuri emailurile email mesaje mesajele newsletter newsletterul"
    " buletin",
    listed="listă lista listei liste abonament abonamentul abonarea adresa baza_de_date",
    me="mă mea mi meu pe_mine",
    ask="puteți ați_putea",
    small="să de la din pe acest această aceste aceasta dumneavoastră voastră și imediat o vă",
)
GREEK = Vocabulary(
    leave="διαγραφή διαγράψτε διαγραφώ απεγγραφή απεγγραφώ απεγγράψτε κατάργηση ακύρωση ακυρώστε"
    " ακυρώσω σταματήστε διακοπή διακόψτε ξεγράψτε",
    out="αφαιρέστε αφαίρεση βγάλτε",
    no="δεν μη μην",
    want="θέλω επιθυμώ θα_ήθελα ενδιαφέρομαι",
    get="λαμβάνω παίρνω λάβω",
    send="στέλνετε στείλετε",
    more="πλέον άλλα πια άλλο περισσότερα",
    mail="email emails e_mail mail μηνύματα μήνυμα ενημερωτικό_δελτίο δελτίο newsletter"
    " newsletters",
    listed="λίστα λίστας εγγραφή εγγραφής συνδρομή συνδρομής διεύθυνση διεύθυνσή",
    me="με μου εμένα",
    ask="μπορείτε θα_μπορούσατε",
    small="από τη την της το τα τις τους αυτή αυτά αυτήν σας να η ο οι στη στην άμεσα",
)
HEBREW = Vocabulary(
    leave="הסר להסיר הסרה הסירו הסירי תסירו תסיר בטל בטלו ביטול לבטל לצאת הפסיקו להפסיק",
    out="מחקו מחק למחוק תמחקו תמחק תורידו הורידו להוריד הוציאו",
    no="לא אל",
    want="רוצה מעוניין מעוניינת מבקש מבקשת מעונין",
    get="לקבל לקבלת",
    send="לשלוח תשלחו שלחו תשלח",
    more="יותר עוד",
    mail="מיילים מייל אימייל אימיילים הודעות דואר דוא_ל עדכונים ניוזלטר",
    listed="רשימה מרשימה מהרשימה מרשימת רשימת הרשמה מינוי המינוי הרישום כתובת"
    " כתובתי הכתובת המייל_שלי",
    me="אותי לי שלי",
    ask="תוכלו אפשר",
    small="את זו הזו הזאת זה שלכם מכם אני מיד התפוצה הדיוור תפוצה דיוור",
)
ARABIC = Vocabulary(
    leave="إلغاء الغاء ألغوا إيقاف أوقفوا أوقف توقفوا_عن التوقف_عن",
    out="احذفوا احذف احذفوني احذفني حذف حذفي إزالة إزالتي أزيلوا أزيلوني شطب",
    no="لا عدم",
    want="أريد أرغب أود",
    get="استلام تلقي استقبال",
    send="ترسلوا إرسال ترسل",
    more="المزيد مزيد بعد_الآن أي مجددا",
    mail="رسائل الرسائل رسائلكم البريد النشرة النشرات بريد رسالة إيميلات الايميلات البريدية",
    listed="الاشتراك اشتراكي اشتراك القائمة قائمتكم قائمة عنواني بريدي القوائم",
    me="لي اسمي",
    ask="هل_يمكنكم هل_يمكن",
    small="من في هذه هذا على عن إلى و الإلكتروني الخاصة بكم منكم",
)
VIETNAMESE = Vocabulary(
    leave="hủy_đăng_ký bỏ_đăng_ký ngừng_đăng_ký dừng_đăng_ký hủy_theo_dõi hủy ngừng dừng ngưng"
    " chấm_dứt",
    out="xóa loại gỡ",
    no="không đừng",
    want="muốn",
    get="nhận",
    send="gửi",
    more="nữa thêm",
    mail="thư email bản_tin tin thông_báo",
    listed="danh_sách danh_sách_gửi_thư danh_sách_email đăng_ký địa_chỉ địa_chỉ_email",
    me="tôi mình",
    ask="có_thể",
    small="khỏi ra cho của từ này các những hãy bạn quý_vị và việc tên",
)
THAI = Vocabulary(
    leave="ยกเลิกการสมัคร ยกเลิกการรับ ยกเลิก เลิกติดตาม หยุดส่ง เลิกรับ",
    out="ลบ นำ เอา ถอด",
    no="ไม่ อย่า",
    want="ต้องการ อยาก ประสงค์",
    get="รับ ได้รับ",
    send="ส่ง",
    more="อีก อีกต่อไป อีกแล้ว",
    mail="อีเมล อีเมล์ เมล ข่าวสาร จดหมายข่าว ข้อความ",
    listed="การสมัคร สมาชิก รายชื่อ รายการ การเป็นสมาชิก",
    me="ฉัน ผม ดิฉัน ชื่อ",
    ask="",
    small="ช่วย ขอ จาก ให้ นี้ ออก ของ คุณ ที่ คะ ด้วย แล้ว ได้ มา ถึง",
    spaced=False,
)
INDONESIAN = Vocabulary(
    leave="berhenti batalkan batal membatalkan stop hentikan menghentikan keluar",
    out="hapus hapuskan keluarkan menghapus dihapus",
    no="tidak jangan tak",
    want="ingin mau berminat tertarik",
    get="menerima mendapat",
    send="kirim mengirim kirimi kirimkan mengirimi",
    more="lagi",
    mail="email surel surat newsletter buletin pesan",
    listed="langganan berlangganan daftar milis alamat alamat_email",
    me="saya aku nama",
    ask="bisakah_anda dapatkah_anda",
    small="dari ini itu anda ke untuk dan segera",
)
HINDI = Vocabulary(
    leave="रद्द बंद बन्द समाप्त रोकें रोको अनसब्सक्राइब",
    out="हटा हटाएं हटाएँ हटाओ हटाइए निकालें निकाल",
    no="नहीं मत",
    want="चाहता चाहती चाहते",
    get="प्राप्त पाना",
    send="भेजें भेजो भेजिए भेजना",
    more="और अब आगे_से",
    mail="ईमेल मेल न्यूज़लेटर न्यूजलेटर संदेश समाचार_पत्र",
    listed="सूची लिस्ट सदस्यता सब्सक्रिप्शन पता मेलिंग_लिस्ट मेलिंग_सूची",
    me="मुझे मेरा मेरी मेरे मैं नाम",
    ask="क्या_आप",
    small="इस से को की का के यह ये दें दीजिए करें कीजिए कर करना हूं हूँ है आपकी लें",
)
MORE = (
    *(NORWEGIAN, FINNISH, UKRAINIAN, TURKISH, HUNGARIAN, ROMANIAN, GREEK, HEBREW, ARABIC),
    *(VIETNAMESE, THAI, INDONESIAN, HINDI),
)
