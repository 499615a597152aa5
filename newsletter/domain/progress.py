"""The types of progress callbacks."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done so far, in all); in all is 0 while unknown."""
StageProgress = Callable[[str, int, int], None]
"""Called with (stage, done so far, in all)."""
