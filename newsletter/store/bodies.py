"""A digest as the JSON text it is stored as, and back."""

from __future__ import annotations

from pydantic import TypeAdapter

from newsletter.model import Digest

CODEC: TypeAdapter[Digest] = TypeAdapter(Digest)
