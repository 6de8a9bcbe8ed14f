"""Lines of harbour as a file for `weir eval`: `eval.py FILE [EVERY]`, each line or every third, fourth, …"""

import json
import sys
from pathlib import Path

KEPT = {
    "person", "address", "city", "postcode", "phone number", "email", "national id", "passport number",
    "driving licence number", "bank account number", "url",
}  # fmt: skip
RENAMED = {"driving licence number": "driving licence"}

every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
for number, line in enumerate(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    if number % every:
        continue
    record = json.loads(line)
    kept = {"person"} if "phrasing" in record else KEPT
    entities = [
        {**entity, "label": RENAMED.get(entity["label"], entity["label"])}
        for entity in record["entities"]
        if entity["label"] in kept
    ]
    types = sorted(RENAMED.get(label, label) for label in kept)
    text = json.dumps({"id": record["id"], "text": record["text"], "entities": entities, "types": types})
    sys.stdout.write(text + "\n")
