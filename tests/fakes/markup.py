"""html-validate over pages as they were served; https://html-validate.org"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.fakes.chromium import AXE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VALIDATOR = AXE.parents[1] / "html-validate/bin/html-validate.mjs"
NODE = shutil.which("node")
CAN_VALIDATE = bool(NODE) and VALIDATOR.is_file()
# A repeated name is how a form sends a list.
RULES = dict.fromkeys(("doctype-style", "form-dup-name"), "off")


def markup_faults(folder: Path, pages: Mapping[str, bytes]) -> str:
    """What is wrong with the pages, by name; empty if nothing."""
    config = {"extends": ["html-validate:recommended"], "rules": RULES}
    (folder / ".htmlvalidate.json").write_text(json.dumps(config), encoding="utf-8")
    for name, body in pages.items():
        (folder / f"{name}.html").write_bytes(body)
    files = sorted(str(folder / f"{name}.html") for name in pages)
    command = [str(NODE), str(VALIDATOR), "--formatter", "text", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr) if done.returncode else ""
