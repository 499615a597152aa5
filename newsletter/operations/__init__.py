"""Alerts, the doctor's checks, the operator's review queue."""
