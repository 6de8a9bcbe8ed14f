"""Invented records of personal data for a held-out evaluation; see README.md."""
