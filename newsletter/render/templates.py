"""The template folder, read and compiled once: a folder a mail, each a trio over `_base/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from newsletter.domain.sanitize import clean
from newsletter.render.mjml import compile_mjml
from newsletter.render.plain_text import flow, rows, tidy
from newsletter.render.truncate import clip_words


def template_folder(name: str) -> Path:
    """`templates/NAME`: inside the installed package, at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "templates"
    return (installed if installed.is_dir() else package.parent / "templates") / name


FOLDER = template_folder("email")
INLINE = "_base/inline.css"
LONGEST_SUBJECT = 150


class Templates:
    """Every mail of `folder`, ready to be filled. Raises BuildError for a template that is broken.

    Two Jinja languages meet in an MJML file: `[% %]` is run here, while building (which base, which
    style sheet); `{{ }}` is filled for each mail.
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
            autoescape=False,  # noqa: S701 - it only joins our own files; values come later
        )
        self._filling = Environment(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=_is_html,  # noqa: S701 - only text parts are not escaped
            finalize=_seen,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._filling.filters.update(flow=flow, rows=rows)
        # Papers are cleaned once, when they become entries, and not again in each of their pieces.
        self._cleaned = self._filling.overlay(finalize=None)
        names = sorted(path.parent.name for path in folder.glob("*/body.mjml"))
        css = (folder / INLINE).read_text(encoding="utf-8")
        self._html = {
            name: self._filling.from_string(compile_mjml(self.mjml(name), css)) for name in names
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._html)

    def mjml(self, name: str) -> str:
        """The whole MJML of one mail, its Jinja tags not yet filled."""
        return self._building.get_template(f"{name}/body.mjml").render()

    def html(self, name: str, values: dict[str, Any]) -> str:
        return self._html[name].render(values)

    def text(self, name: str, values: dict[str, Any]) -> str:
        return tidy(self._filling.get_template(f"{name}/body.txt").render(values))

    def subject(self, name: str, values: dict[str, Any]) -> str:
        """One line: what could break a header is gone."""
        subject = self._filling.get_template(f"{name}/subject.txt").render(values)
        return clip_words(" ".join(subject.split()), LONGEST_SUBJECT)

    def macros(self, path: str) -> Any:  # noqa: ANN401 - a Jinja module: its names are the file's macros
        return self._cleaned.get_template(path).module

    def template(self, name: str) -> Template:
        return self._html[name]


def _is_html(name: str | None) -> bool:
    """Everything but a text part is escaped."""
    return name is None or not name.endswith(".txt")


def _seen(value: object) -> object:
    """Everything from outside passes here on its way into a template; our own Markup does not."""
    return clean(value) if type(value) is str else value
