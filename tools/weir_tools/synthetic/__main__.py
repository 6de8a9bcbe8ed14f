"""Prints invented records: `python -m weir_tools.synthetic train|dev COUNT [SEED]`, one JSON object a line."""

import json
import sys

from . import NAMES, records


def main() -> None:
    part, count, *seed = sys.argv[1:]
    for record in records(part, int(count), int(seed[0]) if seed else 0):
        entities = [{"start": start, "end": end, "label": NAMES[chain[0]][0]} for start, end, chain in record.spans]
        types = [NAMES[concept][0] for concept in record.types]
        line = {"text": record.text, "entities": entities, "types": types, "source": f"synthetic/{record.template}"}
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
