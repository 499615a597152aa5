"""The points of docs/email.md that bytes and DOM can show, on every mail of the gallery."""

from __future__ import annotations

import functools
import re
from email.message import EmailMessage
from email.policy import SMTP
from itertools import pairwise
from operator import mul

import pytest
from bs4 import BeautifulSoup, Comment

from tests.render.gallery.issues import NAV, READER, SITE
from tests.render.gallery.mails import names, render, states

NAMES = names()
STATES = states()
DIGESTS = tuple(STATES)
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
SCORED = [name for name in DIGESTS if name not in {"ranked-locally", "marked"}]


@functools.cache
def parts(name):
    subject, html, text = render(name, STATES)
    return subject, html, text, BeautifulSoup(html, "lxml")


def shown_picks(name):
    issue, _, most = STATES[name]
    return issue.picks[:most]


def styles(html):
    return re.findall(
        r"<style[^>]*>(.*?)</style>", re.sub(r"<!--\[if mso.*?endif\]-->", "", html), re.DOTALL
    )


def nesting(css):
    """Every character with the number of braces that are open around it."""
    depth = 0
    for letter in css:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        yield depth, letter


@pytest.mark.parametrize("name", NAMES)
def test_point_1_4_5_8_10_size_and_transport(name):
    _, html, text, page = parts(name)
    assert len(html.encode()) <= 100_000
    assert html.startswith("<!doctype html>")
    css = "".join(styles(html))
    assert len(css.encode()) <= 6 * 1024
    assert not re.search(r"@import|@font-face|url\(", css)
    assert not any(depth and letter == "@" for depth, letter in nesting(css))
    assert not re.search(r"[^\s]!important", html)
    assert "data:" not in html
    # Filters take text of no size for hidden text.
    assert "font-size:0" not in re.sub(r"<!--\[if mso.*?endif\]-->", "", html)
    assert not page.find_all("img")
    message = EmailMessage(policy=SMTP)
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    assert len(message.as_bytes()) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_point_6_both_parts_need_utf_8_and_have_no_invisible_characters(name):
    subject, html, text, _ = parts(name)
    assert any(ord(letter) > 0xFF for letter in html)
    assert any(ord(letter) > 0xFF for letter in text)
    assert not INVISIBLE.search(subject + html + text)


@pytest.mark.parametrize("name", DIGESTS)
def test_point_2_18_every_paper_once_in_order_and_numbered(name):
    _, _, text, page = parts(name)
    picks = shown_picks(name)
    cards = [heading.a["href"] for heading in page.select("h3:has(a[href*='/abs/'])")]
    lines = [item.a["href"] for item in page.select("ol li") if "/abs/" in item.a["href"]]
    assert cards + lines == [each.paper.abs_url for each in picks]
    best = [link for link in page.select("h3 a") if link["href"].startswith("#p")]
    contents = [item.a for item in page.select("ol li") if item.a["href"].startswith("#")]
    jumps = [link["href"] for link in best + contents]
    assert jumps == [f"#p{number}" for number in range(1, len(cards) + 1)]
    assert len(best) == (3 if len(cards) > 3 else 0)
    numbers = [int(link.get_text().partition(".")[0]) for link in best] + [
        int(ol.get("start", 1)) + place
        for ol in page.find_all("ol")
        for place in range(len(ol.find_all("li")))
    ]
    assert numbers == list(range(1, len(picks) + 1))
    back = {link["href"] for link in page.find_all("a", string=re.compile(r"^↑\sAll"))}
    assert back == ({"#all"} if best else set())
    assert [text.count(f"{each.paper.abs_url}\n") for each in picks] == [1] * len(picks)


@pytest.mark.parametrize("name", NAMES)
def test_point_12_15_16_structure(name):
    _, _, _, page = parts(name)
    for element in (page.html, page.find(role="article")):
        assert element["lang"] == "en"
        assert element["dir"] == "ltr"
    levels = [int(heading.name[1]) for heading in page.find_all(HEADINGS)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for table in page.find_all("table"):
        if table.get("role") != "presentation":
            assert table.caption.get_text()
            assert all(cell.get("scope") for cell in table.find_all("th"))


@pytest.mark.parametrize("name", DIGESTS)
def test_point_13_14_subject_and_preheader(name):
    subject, _, _, page = parts(name)
    title = page.title.get_text()
    assert 20 <= len(title) <= 60
    assert title.endswith("23 Sep 2025")
    shown = len(shown_picks(name))
    if shown:
        assert re.search(rf"\b{shown}\b", title)
        assert (f" + {shown - 1} more" in subject) is (shown > 1)
    assert 20 <= len(subject) <= 84
    hidden = page.body.find("div")
    assert "display:none" in hidden["style"]
    # SpamAssassin's HTML_FONT_LOW_CONTRAST and FONT_INVIS_MSGID.
    assert not re.search("(?<!-)color|font-size", hidden["style"])
    assert 40 <= len(hidden.get_text().strip()) <= 100


@pytest.mark.parametrize("name", DIGESTS)
def test_point_17_anchors_exist(name):
    _, _, _, page = parts(name)
    names = {anchor["name"] for anchor in page.find_all("a", attrs={"name": True})}
    assert {a["href"][1:] for a in page.find_all("a", href=re.compile("^#"))} <= names
    assert not any(a.get_text() for a in page.find_all("a", attrs={"name": True}))
    assert not page.find_all(target=True)


@pytest.mark.parametrize("name", [name for name in SCORED if shown_picks(name)])
def test_point_19_cards_are_complete(name):
    _, _, _, page = parts(name)
    for card in page.select("h3:has(a[href*='/abs/'])"):
        number = card.a["href"].rpartition("/abs/")[2]
        rest = []
        for sibling in card.next_siblings:
            if sibling.name == "hr":
                break
            rest.append(sibling)
        words = " ".join(node.get_text(" ") for node in rest).replace("\xa0", " ")
        links = {a["href"] for node in rest if node.name for a in node.find_all("a")}
        assert number in words
        assert "Why it matched:" in words
        assert re.search(r"Relevance \d+/10.*Novelty \d+/10", words)
        assert {f"https://arxiv.org/{kind}/{number}" for kind in ("abs", "pdf", "html")} <= links
        assert re.search(r"Why it matched.*Relevance \d", words) is None  # scores stand above it


@pytest.mark.parametrize("name", [name for name in NAMES if "hostile" not in name])
def test_point_20_no_template_or_tex_syntax_is_left(name):
    _, html, text, page = parts(name)
    for part in (page.get_text(), text):
        assert not re.search(r"\{\{|\{%|\[%|jx\d{4}xj|\bNone\b|\bnan\b|\bundefined\b", part)
        assert not re.search(r"\\[A-Za-z]{2,}|\$[A-Za-z\\]", part)
    assert "stash" not in html
    assert not re.search(r"\b1 (papers|late arrivals)\b|and 0 more", page.get_text() + text)


@pytest.mark.parametrize("name", NAMES)
def test_point_20_30_35_links_are_safe_and_descriptive(name):
    _, _, _, page = parts(name)
    vague = {"", "here", "click here", "more", "read more", "link", "this"}
    for link in page.find_all("a", href=True):
        # Links of the authors may be http.
        shown_by_host = link["href"].startswith(f"http://{link.get_text()}")
        assert shown_by_host or re.match(r"https://|#|mailto:", link["href"])
        assert link.get_text().strip().lower() not in vague
    assert not page.find_all(["script", "form", "link", "iframe", "svg", "video", "input", "base"])
    every = page.find_all(name=True)
    assert not [key for tag in every for key in tag.attrs if key.startswith("on")]


@pytest.mark.parametrize("name", DIGESTS)
def test_point_22_23_footer_and_web_link_near_the_top(name):
    _, html, _, page = parts(name)
    assert len(html[: html.index(">Read on the web<")].encode()) <= 12_000
    footer = " ".join(page.find(class_="foot").get_text(" ").split())
    for needed in (
        "You get this because",
        READER.email,
        "reply with the word",
        "thank you to arXiv",
    ):
        assert needed in footer
    assert SITE.postal_address in footer
    assert "Issue of Tuesday, 23 September 2025" in footer
    links = {link["href"]: link.get_text() for link in page.find(class_="foot").find_all("a")}
    assert links[READER.unsubscribe_url] == "Unsubscribe"
    assert "preferences" in links[READER.preferences_url]
    assert "browser" in links[NAV.issue_url]
    assert [links[url] for _, url in (NAV.previous, NAV.month, NAV.next)] == [
        "← 22 Sep",
        "September 2025 overview",
        "24 Sep →",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_point_36_37_38_width_dark_palette_and_outlook(name):
    _, html, _, page = parts(name)
    assert "max-width:640px" in html
    assert page.find("meta", attrs={"name": "color-scheme"})
    *others, last = styles(html)
    assert ":root{color-scheme" in last
    assert "prefers-color-scheme:dark" in last
    assert "[data-ogsc]" in last
    assert not any("prefers-color-scheme" in css for css in others)
    outlook = " ".join(
        c for c in page.find_all(string=lambda s: isinstance(s, Comment)) if "mso" in c
    )
    assert "PixelsPerInch" in outlook
    assert re.search(r"<style>[^<]*font-family", outlook)


@pytest.mark.parametrize("name", NAMES)
def test_point_39_text_part(name):
    _, html, text, _ = parts(name)
    wide = [line for line in text.splitlines() if len(line) > 78 and "://" not in line]
    assert not wide
    assert "-- " not in text.splitlines()
    assert not re.search(r"&(amp|lt|gt|quot|nbsp|#\d+);", text)
    if name in SCORED:
        assert text.count("Novelty ") >= len(shown_picks(name))
    if "nsubscribe" in html and READER.unsubscribe_url in html:
        assert READER.unsubscribe_url in text
        assert "reply with the" in text


XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
RGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))


def luminance(rgb):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_inverted_swaps_black_and_white():
    assert inverted((1, 1, 1)) == pytest.approx((0, 0, 0), abs=0.01)
    assert inverted((0, 0, 0)) == pytest.approx((1, 1, 1), abs=0.01)


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def rgb(code):
    return tuple(int(code[at : at + 2], 16) / 255 for at in (1, 3, 5))


def inverted(colour):
    """As a client that forces darkness does it: CIELAB lightness turned round, the hue kept."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour]
    white = [sum(row) for row in XYZ]
    xyz = [sum(map(mul, row, linear)) / w for row, w in zip(XYZ, white, strict=True)]
    f = [v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in xyz]
    f_y = (100 - (116 * f[1] - 16) + 16) / 116
    turned = [f_y + f[0] - f[1], f_y, f_y - (f[1] - f[2])]
    back = [v**3 if v**3 > 216 / 24389 else (116 * v - 16) * 27 / 24389 for v in turned]
    rgb_ = [sum(map(mul, row, map(mul, back, white))) for row in RGB]
    clamped = [min(1.0, max(0.0, v)) for v in rgb_]
    return [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in clamped]


def pairs(css, page_background, important):
    """(text, background) of every badge and box, and of all text colours on the page."""
    ending = " !important" if important else ""
    boxes = re.findall(rf"background:(#\w{{6}}){ending};color:(#\w{{6}})", css)
    texts = set(re.findall(rf"(?<![-\w])color:(#\w{{6}}){ending}", css)) - {
        text for _, text in boxes
    }
    return [(text, box) for box, text in boxes] + [(text, page_background) for text in texts]


def test_point_26_contrast_in_light_in_dark_and_when_inverted():
    _, html, _, _ = parts("marked")
    light, dark = styles(html)[-2:]
    assert len(pairs(light, "#ffffff", important=False)) > 8
    assert len(pairs(dark, "#1a1d21", important=True)) > 8
    for text, box in pairs(light, "#ffffff", important=False):
        assert contrast(rgb(text), rgb(box)) >= 4.5, (text, box)
        assert contrast(inverted(rgb(text)), inverted(rgb(box))) >= 4.5, (text, box)
    for text, box in pairs(dark, "#1a1d21", important=True):
        assert contrast(rgb(text), rgb(box)) >= 4.5, (text, box)


def test_point_24_untrusted_text_is_shown_as_text():
    subject, html, text, page = parts("hostile")
    plain = " ".join(page.get_text(" ").split())
    lines = " ".join(text.split()).replace("< ", "<")
    for part in (plain, lines):
        assert part.count("<script>alert(1)</script></mj-text></td> {{ 7*7 }} evil") >= 3
    assert not re.search(r"</?[a-z]", text)
    assert "49" not in plain
    assert "\n" not in subject
    assert len(html.encode()) < 40_000
    assert len(text.encode()) < 40_000


def test_right_to_left_names_and_titles_are_shown():
    _, _, text, page = parts("right-to-left")
    for word in ("למידה", "فاطمة", "Ada Lovelace"):
        assert word in page.get_text()
        assert word in text
