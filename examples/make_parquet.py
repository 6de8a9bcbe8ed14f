#!/usr/bin/env python3
"""Writes in/clinic/visits.parquet and visits-late.arrow: an invented visit list with nulls.

Needs pyarrow. The files are committed; run this only to change them.
"""

import datetime
import random
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CLINIC = Path(__file__).parent / "in" / "clinic"
PATIENTS = ["Harold Winslow", "Beatrice Amari", "Tomás Herrera", "Ngozi Adeyemi", "Clara Lindholm", "Peter Novak", "Yusuf Demir", "Agnes Moreau", "Walter Hughes", "Sofia Marchetti"]
DOCTORS = ["Dr. Amina Farouk", "Dr. Lars Holm", "Dr. Priya Raman", None]
DRUGS = ["amoxicillin", "ibuprofen", "metformin", "salbutamol", "omeprazole", "lisinopril"]
ILLS = ["bronchitis", "type 2 diabetes", "asthma", "migraine", "hypertension", "gastritis"]
TOWNS = ["Norwich", "Leeds", "Exeter", "Bristol"]
SCHEMA = pa.schema([
    pa.field("visit_id", pa.string(), nullable=False),
    pa.field("patient", pa.string()),
    pa.field("note", pa.string()),
    pa.field("doctor", pa.string()),
    pa.field("amount", pa.decimal128(10, 2)),
    pa.field("visited_on", pa.date32()),
    pa.field("follow_up", pa.bool_()),
])


def note(chance: random.Random, patient: str, number: int) -> str | None:
    drug, ill = chance.choice(DRUGS), chance.choice(ILLS)
    mail = patient.split()[-1].lower() + "@clearwater.example"
    return chance.choice([
        None,
        "",
        f"{patient} came in with {ill}. Prescribed {drug} 500 mg twice a day.",
        f"Follow-up for {ill}; {drug} well tolerated. Results go to {mail}.",
        f"Pt. called from {chance.choice(TOWNS)}, +1 202 555 01{number % 100:02d}, asked to change the time.",
        f"SSN on file 219-09-9999 is wrong, {patient} brings the card next time. MRN 44-{20000 + number}.",
        f"Pays privately: card 6011 1111 1111 1117. Invoice to {mail}.\nNo allergies known.",
        f"Referred by {chance.choice(DOCTORS[:3])} for {ill}. {chance.choice(PATIENTS)} interprets.",
    ])


def rows(chance: random.Random, first: int, count: int) -> pa.Table:
    records = []
    for number in range(first, first + count):
        patient = chance.choice(PATIENTS)
        records.append({
            "visit_id": f"v-{number:04d}",
            "patient": None if number % 17 == 3 else patient,
            "note": note(chance, patient, number),
            "doctor": chance.choice(DOCTORS),
            "amount": None if number % 11 == 5 else Decimal(chance.randrange(2000, 40000)) / 100,
            "visited_on": datetime.date(2026, 3, 1) + datetime.timedelta(days=number % 60),
            "follow_up": chance.choice([True, False, None]),
        })
    return pa.Table.from_pylist(records, schema=SCHEMA)


def main() -> None:
    chance = random.Random(1897)
    CLINIC.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows(chance, 0, 60), CLINIC / "visits.parquet", row_group_size=25, compression="zstd")
    late = rows(chance, 60, 8)
    with pa.OSFile(str(CLINIC / "visits-late.arrow"), "wb") as out, pa.ipc.new_file(out, SCHEMA) as writer:
        writer.write_table(late, max_chunksize=5)


if __name__ == "__main__":
    main()
