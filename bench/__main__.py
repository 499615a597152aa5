"""Run one benchmark: `python -m bench NAME [options]`; `python -m bench NAME --help` explains it.

A benchmark is a module of `bench/scenarios` with a `main()` that reads `sys.argv` and prints its
figures. What several of them need is in `bench/harness`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(path.stem for path in (Path(__file__).parent / "scenarios").glob("[a-z]*.py"))


def main() -> int:
    name, *options = sys.argv[1:] or [""]
    if name not in NAMES:
        print(f"usage: python -m bench NAME [options]\nNAME: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m bench {name}", *options]
    # A benchmark answers its exit code, or nothing.
    return int(import_module(f"bench.scenarios.{name}").main() or 0)


if __name__ == "__main__":
    sys.exit(main())
