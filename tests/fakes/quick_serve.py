"""`newsletter serve` as an operator starts it, but that it wakes every second, not every minutes.

python -m tests.fakes.quick_serve --no-web
"""

from __future__ import annotations

import sys

from newsletter import schedule
from newsletter.__main__ import main

if __name__ == "__main__":
    schedule.WAKE_MINUTES = 1 / 60  # type: ignore[assignment]
    schedule.RENEW_SECONDS = 1.0
    sys.argv.insert(1, "serve")
    main()
