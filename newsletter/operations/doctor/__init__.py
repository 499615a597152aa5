"""Checks of settings, vendors, DNS, endpoints and cost."""
