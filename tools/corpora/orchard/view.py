"""python3 -m orchard.view FILE [FIRST [COUNT]]: records with their spans marked, for eyes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def marked(record: dict[str, Any]) -> str:
    text: str = record["text"]
    out, pos = "", 0
    for entity in record["entities"]:
        out += (
            text[pos : entity["start"]]
            + "⟦"
            + text[entity["start"] : entity["end"]]
            + "⟧"
            + "/".join(entity["labels"]).join("<>")
        )
        pos = entity["end"]
    return out + text[pos:]


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    for line in lines[first : first + count]:
        record = json.loads(line)
        print(f"=== {record['id']}  absent: {', '.join(record['absent'])}\n{marked(record)}\n")


if __name__ == "__main__":
    main()
