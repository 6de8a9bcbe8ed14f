"""Exporting, measuring and checking weir's model packs."""
