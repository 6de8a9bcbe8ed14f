"""Reads the plain-text lists under data/."""

from __future__ import annotations

from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
LANGUAGES = ["en", "es", "fr", "de", "it", "pt", "nl"]


def _lines(name: str) -> list[tuple[str, str]]:
    out = []
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            head, body = line.split(":", 1)
            out.append((head.strip(), body.strip()))
    return out


def _items(body: str, sep: str = ",") -> list[str]:
    return [item.strip() for item in body.split(sep) if item.strip()]


@cache
def given() -> dict[tuple[str, str], list[str]]:
    out: dict[tuple[str, str], list[str]] = {}
    for head, body in _lines("given.txt"):
        origin, sex = head.split()
        out[origin, sex] = _items(body)
    return out


@cache
def family() -> dict[str, list[str]]:
    return {head: _items(body) for head, body in _lines("family.txt")}


@cache
def cities() -> dict[str, list[tuple[str, str, str, str]]]:
    out: dict[str, list[tuple[str, str, str, str]]] = {}
    for head, body in _lines("cities.txt"):
        towns = [tuple(_items(town, ";")) for town in body.split("|")]
        assert all(len(town) == 4 for town in towns), towns
        out[head] = towns  # type: ignore[assignment]
    return out


@cache
def streets() -> dict[str, list[str]]:
    return {head: _items(body) for head, body in _lines("streets.txt")}


@cache
def mailhosts() -> dict[str, list[str]]:
    return {head: _items(body) for head, body in _lines("mailhosts.txt")}


@cache
def orgs() -> dict[tuple[str, str], list[str]]:
    out: dict[tuple[str, str], list[str]] = {}
    for head, body in _lines("orgs.txt"):
        kind, language = head.split()
        out[kind, language] = _items(body)
    return out


@cache
def words(language: str) -> dict[str, list[str]]:
    return {head: _items(body) for head, body in _lines(f"words.{language}.txt")}
