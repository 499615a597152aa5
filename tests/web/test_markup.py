"""Every page of the gallery is valid HTML by html-validate."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.fakes.browser import Browser
from tests.fakes.chromium import AXE
from tests.render.gallery.pages import gallery
from tests.suite_size import LARGE

if TYPE_CHECKING:
    from pathlib import Path

VALIDATOR = AXE.parents[1] / "html-validate/bin/html-validate.mjs"
NODE = shutil.which("node")
LARGE_ISSUES = re.compile(r"issue-(picks-(048|080|180|400)|news-400)")
"""Without an element that smaller ones do not have: `make test-large` looks at them."""
RULES = {
    **dict.fromkeys(("doctype-style", "long-title"), "off"),
    # A repeated name is how a form sends a list.
    "form-dup-name": "off",
}


@pytest.mark.skipif(
    not (NODE and VALIDATOR.is_file()),
    reason="node or html-validate is missing: make check-email installs it",
)
def test_the_markup_of_every_page_is_valid(tmp_path: Path):
    config = {"extends": ["html-validate:recommended"], "rules": RULES}
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / ".htmlvalidate.json").write_text(json.dumps(config), encoding="utf-8")
    with gallery(tmp_path) as (home, pages):
        web = Browser(int(home.rpartition(":")[2]))
        for name, path in pages.items():
            if LARGE or not LARGE_ISSUES.match(name):
                page = web.get(path)
                assert page.status in {200, 404, 409}, name
                (folder / f"{name}.html").write_bytes(page.body)
    files = sorted(str(one) for one in folder.glob("*.html"))
    assert len(files) > 50
    command = [str(NODE), str(VALIDATOR), "--formatter", "text", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
