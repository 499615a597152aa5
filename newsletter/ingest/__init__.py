"""Fetch what arXiv announced: poll, cross-check with the feed, late papers."""
