"""Files on disk: written whole or not at all; `.env` read with care."""
