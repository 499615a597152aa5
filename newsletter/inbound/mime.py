"""Parse a raw mail into its headers, types and text (pure).

The mail is untrusted: every length is cut before it is parsed, parts are opened eight levels deep
at most, and the time is bounded by the bytes that are read.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import Message

HEAD_BYTES = 64 * 1024
PART_BYTES = 256 * 1024
HEADER_LENGTH = 2000
MAX_DEPTH = 8
MAX_PARTS = 60
KNOWN_CHARSET = re.compile(
    r"(?i)utf-?8|us-ascii|ascii|iso-?8859-\d+|windows-\d+|cp\d+|latin-?1|gb2312|gbk|gb18030|big5"
    r"|iso-2022-jp(-\d|-ext)?|shift[-_]jis|euc-(jp|kr)|ks_c_5601-1987|koi8-[ru]|utf-?16(le|be)?"
)
CONTAINERS = {"gmail_quote", "gmail_extra", "protonmail_quote", "tutanota_quote"}
"""What holds an attribution and a quotation; below the quotation the writer may have gone on."""
QUOTES = {
    *("gmail_attr", "gmail_signature", "yahoo_quoted", "moz-cite-prefix", "moz-signature"),
    *("moz-forward-container", "zmail_extra", *CONTAINERS),
}
SIGNATURES = {"ms-outlook-mobile-signature", "AppleMailSignature"}
REST_IS_QUOTED = {
    *("divRplyFwdMsg", "appendonsend", "OLK_SRC_BODY_SECTION"),
    "mail-editor-reference-message-container",
}
LINE_BREAKS = {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "table", "blockquote", "pre", "hr"}
HIDDEN = {"style", "script", "head", "title"}
QUOTE_NAMES = {"messageReplySection", "quote"}
QUOTE_LINE = "\n>\n"


@dataclass(frozen=True, slots=True)
class ParsedMail:
    """What is known of one mail. Header names are lower case; of several equal ones the first."""

    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = ""
    report_type: str = ""
    text: str = ""
    """Of the first text part that is not empty, else of the HTML part."""
    html: str = ""
    """The HTML part as it is, where there is a text part as well."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


def parse_mail(raw: bytes) -> ParsedMail:
    """Never raises, whatever the bytes."""
    head, body = _split_head(raw)
    message = _head(head)
    headers: dict[str, str] = {}
    for name, value in message.items():
        headers.setdefault(name.lower(), _decoded(str(value)[:HEADER_LENGTH]))
    budget = [MAX_PARTS]
    found = _texts(message, body, 0, budget)
    plain = next((text for kind, text in found if kind == "text/plain" and text.strip()), None)
    html = next((text for kind, text in found if kind == "text/html"), "")
    return ParsedMail(
        headers=headers,
        content_type=message.get_content_type(),
        report_type=str(message.get_param("report-type") or "").lower(),
        text=plain if plain is not None else html_to_text(html),
        html=html if plain is not None else "",
    )


def html_to_text(html: str) -> str:
    """The text of an HTML reply; where its mail program marked a quotation stands a line `>`."""
    from lxml import etree
    from lxml import html as lxml_html

    if not html.strip():
        return ""
    parser = lxml_html.HTMLParser(
        encoding="utf-8", recover=True, no_network=True, remove_comments=True
    )
    try:
        root = lxml_html.fromstring(html[:PART_BYTES].encode(errors="replace"), parser=parser)
    except (etree.LxmlError, ValueError):
        return ""
    return _visible_text(root)


def _visible_text(root: Any) -> str:  # noqa: ANN401 - lxml has no types
    from lxml import etree

    text_parts: list[str] = []
    hidden_by: list[Any] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            quoted = _is_quote(element)
            if quoted and not hidden_by:
                text_parts.append(QUOTE_LINE)
            if element.get("id") in REST_IS_QUOTED:
                break
            if quoted or element.tag in HIDDEN:
                hidden_by.append(element)
        else:
            _close(element, hidden_by)
        text = element.text if event == "start" else element.tail
        if not hidden_by:
            text_parts.append(("\n" if element.tag in LINE_BREAKS else "") + (text or ""))
    return re.sub(r"[ \t\xa0]+", " ", "".join(text_parts))


def _is_quote(element: Any) -> bool:  # noqa: ANN401 - lxml has no types
    if element.tag == "blockquote" or element.get("name") in QUOTE_NAMES:
        return True
    if element.get("id") in REST_IS_QUOTED | SIGNATURES:
        return True
    return any(name in QUOTES for name in (element.get("class") or "").split())


def _close(element: Any, hidden_by: list[Any]) -> None:  # noqa: ANN401 - lxml has no types
    if hidden_by and hidden_by[-1] is element:
        hidden_by.pop()
        if _ends_quotation(element, hidden_by):
            hidden_by.clear()


def _ends_quotation(element: Any, hidden_by: list[Any]) -> bool:  # noqa: ANN401 - lxml has no types
    """Whether with `element` ends what its container quotes."""
    if element.tag != "blockquote" or hidden_by != [element.getparent()]:
        return False
    return any(name in CONTAINERS for name in (hidden_by[0].get("class") or "").split())


def _split_head(raw: bytes) -> tuple[bytes, bytes]:
    """Head and body: parted by the first empty line."""
    found = re.search(rb"\r?\n\r?\n", raw[: HEAD_BYTES * 4])
    if raw[:1] in {b"\n", b"\r"}:
        return b"", raw.lstrip(b"\r\n")
    if not found:
        return raw[:HEAD_BYTES], b""
    return raw[: min(found.start(), HEAD_BYTES)], raw[found.end() :]


def _head(head: bytes) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(head + b"\n\n")


def _texts(message: Message, body: bytes, depth: int, budget: list[int]) -> list[tuple[str, str]]:
    """(type, text) of the readable parts in order."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH or message.get_content_disposition() == "attachment":
        return []
    kind = message.get_content_type()
    if message.get_content_maintype() == "multipart":
        boundary = str(message.get_boundary() or "").encode(errors="replace")[:200]
        if not boundary:
            return []
        pieces = (b"\n" + body).split(b"\n--" + boundary, budget[0] + 1)[1:]
        found: list[tuple[str, str]] = []
        for piece in pieces:
            if piece.startswith(b"--") or budget[0] < 0:
                break
            head, inner = _split_head(piece.lstrip(b" \t").removeprefix(b"\r").removeprefix(b"\n"))
            found += _texts(_head(head), inner, depth + 1, budget)
        return found
    return [(kind, _content(message, body))] if kind in {"text/plain", "text/html"} else []


def _content(message: Message, body: bytes) -> str:
    raw = body[:PART_BYTES]
    encoding = str(message.get("Content-Transfer-Encoding") or "").strip().lower()
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
        raw = binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _last_group(letters))
    elif encoding == "quoted-printable":
        raw = binascii.a2b_qp(raw)
    charset = str(message.get_param("charset") or "utf-8").strip("\"' ")
    if not KNOWN_CHARSET.fullmatch(charset):
        charset = "utf-8"
    if charset.lower() in {"gb2312", "gbk"}:
        charset = "gb18030"
    return _decode_charset(raw, charset)


def _last_group(letters: bytes) -> bytes:
    """The last, unfinished group of base64 letters, filled up."""
    left = len(letters) % 4
    return letters[len(letters) - left :] + b"=" * (4 - left) if left > 1 else b""


def _decode_charset(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset)
    except LookupError:
        return raw.decode("utf-8", "replace")
    except UnicodeDecodeError:
        if charset.lower() in {"utf-8", "utf8", "us-ascii", "ascii"}:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                return raw.decode("windows-1252", "replace")
        return raw.decode(charset, "replace")


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value
