"""How well mail that comes back is understood, on mail that others collected.

    python -m bench mail            every part
    python -m bench mail bounces    reports of mail servers
    python -m bench mail replies    wishes to leave, in the layouts of mail programs

A part is one line in PARTS: a module of this folder with a `main()` that prints its figures.
"""

from __future__ import annotations

from importlib import import_module

from bench.harness.report import arguments

PARTS = {"bounces": "bench.scenarios.mail_bounces", "replies": "bench.scenarios.mail_replies"}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args().parts or list(PARTS)
    for name in chosen:
        if name not in PARTS:
            parser.error(f"no part {name}; there are: {', '.join(PARTS)}")
        import_module(PARTS[name]).main()
