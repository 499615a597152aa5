"""Scores from Anthropic's Messages and Message Batches APIs."""
