"""The commands: read the settings, call one function, print the result, return the exit status."""

from __future__ import annotations
