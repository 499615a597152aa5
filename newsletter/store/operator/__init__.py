"""Operator sessions that ended, and the log of what operators did on their pages."""
