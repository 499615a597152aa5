"""Figures for operators: /metrics, alerts, the operator page."""
