"""How well mail that comes back is understood, on mail that others collected.

    python bench/mail.py            every part
    python bench/mail.py bounces    reports of mail servers
    python bench/mail.py replies    wishes to leave, in the layouts of mail programs

A part is one line in PARTS: a module of this folder with a `main()` that prints its figures.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

PARTS = {"bounces": "bench.mail_bounces", "replies": "bench.mail_replies"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args().parts or list(PARTS)
    for name in chosen:
        if name not in PARTS:
            parser.error(f"no part {name}; there are: {', '.join(PARTS)}")
        import_module(PARTS[name]).main()


if __name__ == "__main__":
    main()
