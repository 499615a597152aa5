"""What each command does: settings in, one function called, its result shown, a status out."""

from __future__ import annotations
