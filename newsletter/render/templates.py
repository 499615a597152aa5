"""Loads and compiles the email templates (Jinja and MJML): one folder for each email."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from newsletter.domain.formatting import unbroken
from newsletter.domain.sanitize import clean
from newsletter.render.mjml import compile_mjml
from newsletter.render.plain_text import tidy, wrap, wrap_lines
from newsletter.render.truncate import clip_words

if TYPE_CHECKING:
    from jinja2 import Template


def template_folder(name: str) -> Path:
    """`templates/NAME`: inside the installed package, at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "templates"
    return (installed if installed.is_dir() else package.parent / "templates") / name


TOKENS = template_folder("tokens.css")
DECLARED = re.compile(r"--([\w-]+):\s*([^;]+);")
USED = re.compile(r"var\(--([\w-]+)\)")
REM = re.compile(r"(\d*\.?\d+)rem\b")
PIXELS = 16
"""Of a rem, where the reader has changed nothing."""
FOLDER = template_folder("email")
INLINE = "_base/inline.css"
MAX_SUBJECT = 150


@functools.cache
def design_tokens() -> dict[str, str]:
    """The values of `tokens.css` in pixels, by name; those for the dark as `dark-NAME`."""
    light, _, dark = TOKENS.read_text(encoding="utf-8").partition("@media")
    found = dict(DECLARED.findall(light))
    found |= {f"dark-{name}": value for name, value in DECLARED.findall(dark)}
    return {
        name: REM.sub(lambda rem: f"{float(rem[1]) * PIXELS:g}px", value)
        for name, value in found.items()
    }


def with_values(source: str) -> str:
    """Values in place of `var(--NAME)`, which mail clients do not know. KeyError: no such token."""
    return USED.sub(lambda used: design_tokens()[used[1]], source)


class Templates:
    """The templates of `folder`, each compiled when it is first used; BuildError if it is broken.

    An email is `subject.txt`, `body.mjml` and `body.txt`, which extend `_base/`. An MJML file holds
    two Jinja syntaxes: `[% %]` runs once, here (base template, style sheets); `{{ }}` and `{% %}`
    run for each email.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        loader = FileSystemLoader(folder)
        self._building = Environment(
            loader=loader,
            block_start_string="[%",
            block_end_string="%]",
            variable_start_string="[[",
            variable_end_string="]]",
            comment_start_string="[#",
            comment_end_string="#]",
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701 - joins our own files only, no values
        )
        self._filling = Environment(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=_is_html,  # noqa: S701 - only text parts are not escaped
            finalize=_sanitize,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._filling.filters.update(wrap=wrap, wrap_lines=wrap_lines, unbroken=unbroken)
        # Papers are sanitized once, in paper_view.py, not again in each macro.
        self._presanitized = self._filling.overlay(finalize=None)
        self._folder = folder
        self._html: dict[str, Template] = {}

    def mjml(self, name: str) -> str:
        """The complete MJML of one email, with its `{{ }}` tags."""
        return with_values(self._building.get_template(f"{name}/body.mjml").render())

    def html(self, name: str, values: dict[str, Any]) -> str:
        return self._html_template(name).render(values)

    def _html_template(self, name: str) -> Template:
        if name not in self._html:
            css = with_values((self._folder / INLINE).read_text(encoding="utf-8"))
            self._html[name] = self._filling.from_string(compile_mjml(self.mjml(name), css))
        return self._html[name]

    def text(self, name: str, values: dict[str, Any]) -> str:
        return tidy(self._filling.get_template(f"{name}/body.txt").render(values))

    def subject(self, name: str, values: dict[str, Any]) -> str:
        """One line: line breaks would end the header (RFC 5322)."""
        subject = self._filling.get_template(f"{name}/subject.txt").render(values)
        return clip_words(" ".join(subject.split()), MAX_SUBJECT)

    def macros(self, path: str) -> Any:  # noqa: ANN401 - a Jinja module: its names are the file's macros
        return self._presanitized.get_template(path).module


@functools.cache
def shared_templates() -> Templates:
    """The email templates of this process, for all threads."""
    return Templates()


def _is_html(name: str | None) -> bool:
    """Whether a template is escaped: all except text parts."""
    return name is None or not name.endswith(".txt")


def _sanitize(value: object) -> object:
    """Applied to each value that a template prints; Markup of our own passes unchanged."""
    return clean(value) if type(value) is str else value
