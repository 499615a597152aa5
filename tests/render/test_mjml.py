from __future__ import annotations

import re
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from jinja2 import Environment

from newsletter.domain.formatting import unbroken
from newsletter.render.mjml import BuildError, compile_mjml, inline, mjml_to_html
from newsletter.render.templates import FOLDER, INLINE, Templates, with_values
from tests.render.gallery import issues

CSS = ".lead { color: #123456; }"


def mjml(body: str, head: str = "") -> str:
    fonts = '<mj-attributes><mj-all font-family="Arial" /></mj-attributes>'
    text = f"<mj-section><mj-column><mj-text>{body}</mj-text></mj-column></mj-section>"
    return (
        f'<mjml lang="en"><mj-head><mj-title>{{{{ title }}}}</mj-title>{fonts}{head}</mj-head>'
        f"<mj-body>{text}</mj-body></mjml>"
    )


def filled(source: str, **values: object) -> BeautifulSoup:
    return BeautifulSoup(Environment(autoescape=True).from_string(source).render(values), "lxml")


def test_loops_conditions_and_attributes_are_kept():
    source = compile_mjml(
        mjml(
            "<table><tbody>{% for row in rows %}"
            '<tr><td class="lead">{{ row }}</td></tr>{% endfor %}</tbody></table>'
            '{% if n < 3 and "}}" != n %}<a href="{{ url }}">{{ url }}</a>{% endif %}'
        ),
        CSS,
    )
    page = filled(source, title="T", rows=["a", "<b>"], n=1, url="https://x.example/?a=1&b=2")
    assert [cell.get_text() for cell in page.find_all("td", class_="lead")] == ["a", "<b>"]
    assert all("#123456" in cell["style"] for cell in page.find_all("td", class_="lead"))
    assert page.find("a")["href"] == "https://x.example/?a=1&b=2"
    assert page.title.get_text() == "T"
    assert not filled(source, title="T", rows=[], n=5, url="").find("a")


def test_a_tag_that_mjml_drops_fails_the_build():
    broken = mjml("<p>x</p>").replace("<mj-column>", '<mj-column width="{{ wide }}">')
    with pytest.raises(BuildError, match=re.escape("{{ wide }}")):
        compile_mjml(broken, CSS)


def test_a_moved_or_doubled_block_fails_the_build():
    doubled = mjml("x").replace("{{ title }}", "{% if a %}b{% endif %}")
    with pytest.raises(BuildError, match="moved or doubled"):
        compile_mjml(doubled, CSS)


def test_broken_mjml_fails_the_build():
    with pytest.raises(BuildError, match="MJML refuses"):
        compile_mjml("<mjml><mj-body><p></mjml>", CSS)


def test_important_media_queries_and_outlook_comments_are_kept():
    style = "<mj-style>@media (max-width: 9px) { p { color: red !important; } }</mj-style>"
    raw = "<mj-raw><!--[if mso]><style>p{color:blue}</style><![endif]--></mj-raw>"
    html = compile_mjml(mjml('<p class="lead">x</p>', head=style + raw), CSS)
    assert "@media (max-width:9px){p{color:red !important;}}" in html
    assert "<!--[if mso]><style>p{color:blue}</style><![endif]-->" in html
    assert html.startswith("<!doctype html>")
    assert "fonts.googleapis" not in html


@pytest.mark.parametrize("count", [0, 1, 7, 48])
def test_a_fill_equals_mjml_and_premailer_run_on_the_filled_mail(count):
    """What the peers do for every mail gives the same document."""
    templates = Templates()
    reader = dict.fromkeys(
        ("recipient", "since", "unsubscribe_url", "preferences_url", "why_url", "vote_url"), "x"
    )
    values = {**issues.frame_values(count), "prompt": "", "reader": reader}
    css = with_values((FOLDER / INLINE).read_text(encoding="utf-8"))
    source = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source.filters["unbroken"] = unbroken
    naive = inline(mjml_to_html(source.from_string(templates.mjml("digest")).render(values)), css)
    assert outline(naive) == outline(templates.html("digest", values))


def outline(html: str) -> list[tuple[str, dict[str, str], str]]:
    """Every element of the body with its attributes and text, without what white space decides."""
    found = []
    for tag in BeautifulSoup(html, "lxml").body.find_all(name=True):
        attributes = {
            key: re.sub(r"\s+", "", " ".join(value) if isinstance(value, list) else value)
            for key, value in tag.attrs.items()
        }
        found.append((tag.name, attributes, re.sub(r"\s+", "", tag.get_text())))
    return found


def test_importing_the_renderer_loads_no_mjml_jinja_or_lxml():
    """Neither MJML nor premailer nor pylatexenc may burden a command that renders nothing."""
    code = (
        "import sys, newsletter.render;"
        "print(*{'mjml', 'premailer', 'jinja2', 'pylatexenc', 'lxml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
