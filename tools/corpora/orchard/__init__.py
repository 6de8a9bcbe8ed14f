"""Invented records with personal data, written by hand as frames in seven languages."""
