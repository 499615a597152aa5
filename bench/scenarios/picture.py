"""The README's picture: `make picture`.

python -m bench picture OUTBOX FILE.png
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.harness.report import arguments

WIDTH, HEIGHT = 700, 1500
QUIET = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("outbox", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    outbox, picture = given.outbox, given.picture
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    mails = sorted(path for path in outbox.glob("*.html") if path.name != "index.html")
    if browser is None or not mails:
        print(f"needs Chromium and a mail in {outbox}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603 - our own arguments
            [
                browser,
                *QUIET,
                f"--user-data-dir={profile}",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={picture.resolve()}",
                mails[0].resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    return 0
