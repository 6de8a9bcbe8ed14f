"""Concepts, their wordings, and which kinds of value belong to which concepts."""

from __future__ import annotations

import random

# Every concept has wordings; the first is the usual one.
CONCEPTS: dict[str, list[str]] = {
    "person": ["person", "name", "individual", "person name", "human name"],
    "full_name": ["full name", "complete name", "full name of a person"],
    "given": ["first name", "given name", "forename"],
    "family": ["last name", "surname", "family name"],
    "nick": ["nickname", "alias", "pet name"],
    "initials": ["initials", "name initials"],
    "customer": ["customer", "client", "customer name"],
    "employee": ["employee", "staff member", "employee name"],
    "patient": ["patient", "patient name"],
    "doctor": ["doctor", "physician", "doctor name"],
    "student": ["student", "pupil", "student name"],
    "teacher": ["teacher", "teacher name"],
    "tenant": ["tenant", "tenant name"],
    "landlord": ["landlord", "landlord name"],
    "sender": ["sender", "author", "sender name"],
    "recipient": ["recipient", "addressee", "recipient name"],
    "witness": ["witness", "witness name"],
    "suspect": ["suspect", "accused"],
    "applicant": ["applicant", "candidate", "applicant name"],
    "traveller": ["passenger", "traveller", "passenger name"],
    "guest": ["guest", "guest name"],
    "holder": ["account holder", "cardholder", "account holder name"],
    "agent": ["agent", "support agent", "call handler"],
    "lawyer": ["lawyer", "attorney", "solicitor"],
    "relative": ["relative", "next of kin", "emergency contact"],
    "username": ["username", "user name", "login", "user id", "login name"],
    "handle": ["handle", "social media handle", "screen name"],
    "email": ["email", "email address", "e-mail address", "mail address"],
    "phone": ["phone number", "phone", "telephone number", "telephone", "contact number"],
    "mobile": ["mobile number", "cell phone number", "mobile phone"],
    "fax": ["fax number", "fax"],
    "address": ["address", "postal address", "full address", "home address"],
    "street": ["street address", "street", "street and number", "street name"],
    "city": ["city", "town", "city name"],
    "country": ["country", "country name"],
    "region": ["region", "state", "province", "state or province", "county"],
    "postcode": ["postcode", "postal code", "zip code"],
    "location": ["location", "place", "geographic location"],
    "dob": ["date of birth", "birth date", "dob", "birthday"],
    "date": ["date", "calendar date", "specific date"],
    "time": ["time", "time of day", "clock time"],
    "timestamp": ["timestamp", "date and time", "datetime"],
    "age": ["age", "age in years"],
    "organisation": ["organisation", "organization", "organisation name", "institution"],
    "company": ["company", "company name", "business", "firm"],
    "bank_name": ["bank", "bank name", "financial institution"],
    "hospital": ["hospital", "clinic", "healthcare facility"],
    "school": ["school", "school name", "educational institution"],
    "authority": ["public authority", "government agency", "authority"],
    "charity": ["charity", "non-profit", "association"],
    "insurer": ["insurance company", "insurer"],
    "carrier": ["transport company", "carrier"],
    "club": ["club", "sports club"],
    "employer": ["employer", "employer name", "workplace"],
    "merchant": ["seller", "merchant", "shop"],
    "job": ["job title", "occupation", "profession", "job", "position"],
    "dept": ["department", "department name", "team"],
    "national_id": ["national id number", "identity card number", "national id", "id card number"],
    "passport": ["passport number", "passport", "passport no"],
    "licence": ["driving licence number", "driver's license number", "driver license"],
    "tax": ["tax number", "tax id", "tax identification number", "taxpayer number"],
    "ssn": ["social security number", "ssn", "national insurance number", "social insurance number"],
    "mrn": ["medical record number", "patient id", "hospital number", "patient number"],
    "insurance": ["insurance number", "policy number", "insurance policy number", "health insurance number"],
    "government_id": ["government id", "government-issued id", "official identity number"],
    "account": ["bank account number", "account number", "bank account"],
    "iban": ["iban", "international bank account number"],
    "bic": ["bic", "swift code", "bic code"],
    "sort": ["sort code", "routing number", "bank code"],
    "card": ["credit card number", "card number", "payment card number", "debit card number"],
    "card_exp": ["card expiry date", "expiry date", "card expiration"],
    "cvc": ["card security code", "cvv", "cvc", "card verification code"],
    "money": ["amount of money", "amount", "price", "money", "monetary amount"],
    "plate": ["license plate", "vehicle registration", "number plate", "licence plate number"],
    "vehicle": ["vehicle model", "car model", "make and model"],
    "vin": ["vehicle identification number", "vin", "chassis number"],
    "imei": ["imei", "imei number"],
    "serial": ["serial number", "device serial number"],
    "uuid": ["uuid", "unique identifier"],
    "device": ["device id", "device identifier"],
    "mac": ["mac address", "hardware address"],
    "ip": ["ip address", "ip", "internet address"],
    "url": ["url", "web address", "link", "website"],
    "host": ["host name", "hostname", "server name", "domain name"],
    "path": ["file path", "path", "file name with path"],
    "password": ["password", "passphrase"],
    "api_key": ["api key", "access key", "secret key"],
    "token": ["token", "access token", "auth token", "session token"],
    "pin": ["verification code", "one-time code", "pin", "pin code"],
    "secret": ["secret", "credential"],
    "condition": ["medical condition", "disease", "diagnosis", "illness", "health condition"],
    "medication": ["medication", "drug", "medicine", "drug name"],
    "nationality": ["nationality", "citizenship"],
    "religion": ["religion", "religious belief", "faith", "religious affiliation"],
    "language": ["language", "spoken language"],
    "event": ["event", "event name"],
    "product": ["product", "product name"],
    "customer_no": ["customer number", "customer id", "client number", "account reference"],
    "employee_no": ["employee number", "employee id", "staff number", "personnel number"],
    "student_no": ["student number", "student id", "matriculation number"],
    "order_no": ["order number", "order id", "reference number", "invoice number", "ticket number"],
    "booking_no": ["booking reference", "booking code", "reservation number", "confirmation number"],
    "case_no": ["case number", "file number", "case reference"],
}

# A kind of value: its concepts from specific to general.
KINDS: dict[str, list[str]] = {
    "full": ["full_name", "person"],
    "given": ["given", "person"],
    "family": ["family", "person"],
    "nick": ["nick", "person"],
    "initials": ["initials", "person"],
    "inifam": ["person"],
    "user": ["username"],
    "handle": ["handle", "username"],
    "email": ["email"],
    "phone": ["phone"],
    "mobile": ["mobile", "phone"],
    "fax": ["fax"],
    "addr": ["address", "location"],
    "street": ["street", "location"],
    "city": ["city", "location"],
    "country": ["country", "location"],
    "region": ["region", "location"],
    "postcode": ["postcode"],
    "dob": ["dob", "date"],
    "date": ["date"],
    "time": ["time"],
    "ts": ["timestamp", "date"],
    "age": ["age"],
    "company": ["company", "organisation"],
    "bank": ["bank_name", "organisation"],
    "hospital": ["hospital", "organisation"],
    "school": ["school", "organisation"],
    "university": ["school", "organisation"],
    "public": ["authority", "organisation"],
    "ngo": ["charity", "organisation"],
    "insurer": ["insurer", "organisation"],
    "carrier": ["carrier", "organisation"],
    "club": ["club", "organisation"],
    "job": ["job"],
    "dept": ["dept"],
    "national_id": ["national_id", "government_id"],
    "passport": ["passport", "government_id"],
    "licence": ["licence", "government_id"],
    "tax": ["tax", "government_id"],
    "ssn": ["ssn", "government_id"],
    "mrn": ["mrn"],
    "insurance": ["insurance"],
    "account": ["account"],
    "iban": ["iban", "account"],
    "bic": ["bic"],
    "sort": ["sort"],
    "card": ["card"],
    "card_exp": ["card_exp"],
    "cvc": ["cvc"],
    "money": ["money"],
    "plate": ["plate"],
    "vehicle": ["vehicle"],
    "vin": ["vin"],
    "imei": ["imei", "device"],
    "serial": ["serial", "device"],
    "uuid": ["uuid"],
    "device": ["device"],
    "mac": ["mac"],
    "ip": ["ip"],
    "url": ["url"],
    "host": ["host"],
    "path": ["path"],
    "password": ["password", "secret"],
    "api_key": ["api_key", "secret"],
    "token": ["token", "secret"],
    "pin": ["pin", "secret"],
    "condition": ["condition"],
    "medication": ["medication"],
    "nationality": ["nationality"],
    "religion": ["religion"],
    "language": ["language"],
    "event": ["event"],
    "product": ["product"],
    "customer_no": ["customer_no"],
    "employee_no": ["employee_no"],
    "student_no": ["student_no"],
    "order_no": ["order_no"],
    "booking_no": ["booking_no"],
    "case_no": ["case_no"],
}

PERSON = ["full_name", "given", "family", "nick", "initials", "person"]
ROLES = {
    "customer",
    "employee",
    "patient",
    "doctor",
    "student",
    "teacher",
    "tenant",
    "landlord",
    "sender",
    "recipient",
    "witness",
    "suspect",
    "applicant",
    "traveller",
    "guest",
    "holder",
    "agent",
    "lawyer",
    "relative",
    "employer",
    "merchant",
}

# Where one concept of a group is present, the others are not offered as absent: their borders are not sharp.
GROUPS: list[set[str]] = [
    set(PERSON),
    {"address", "street", "location"},
    {"location", "city", "region", "country", "address", "street"},
    {"address", "street", "postcode"},
    {"dob", "date", "timestamp", "card_exp"},
    {"time", "timestamp"},
    {
        "organisation",
        "company",
        "bank_name",
        "hospital",
        "school",
        "authority",
        "charity",
        "insurer",
        "carrier",
        "club",
        "employer",
        "merchant",
    },
    {"dept", "organisation", "company", "hospital", "school"},
    {"national_id", "ssn", "tax", "government_id", "passport", "licence", "insurance", "mrn"},
    {"account", "iban", "card", "sort", "bic", "customer_no"},
    {"username", "handle", "email", "person"},
    {"username", "full_name"},
    {"url", "host", "path"},
    {"ip", "host"},
    {"device", "imei", "serial", "uuid", "mac", "vin"},
    {"password", "api_key", "token", "pin", "secret"},
    {"token", "uuid"},
    {"cvc", "pin"},
    {"product", "vehicle", "event", "medication"},
    {"customer_no", "order_no", "booking_no", "case_no", "insurance", "mrn", "serial", "employee_no", "student_no"},
    {"phone", "mobile", "fax"},
    {"nationality", "language", "country"},
    {"job", "employee"},
]

FIXED_ABSENT = [
    ("person", "person"),
    ("address", "address"),
    ("phone", "phone number"),
    ("dob", "date of birth"),
    ("organisation", "organisation"),
]
COMMON = [
    "person",
    "full_name",
    "given",
    "family",
    "address",
    "phone",
    "email",
    "dob",
    "organisation",
    "company",
    "city",
    "location",
    "username",
    "national_id",
    "card",
    "account",
    "ip",
    "password",
    "date",
    "job",
    "passport",
    "condition",
]


def wording(rng: random.Random, concept: str) -> str:
    words = CONCEPTS[concept]
    return rng.choices(words, weights=[3] + [1] * (len(words) - 1))[0] if len(words) > 1 else words[0]


def path(kind: str, role: str | None) -> list[str]:
    base = KINDS[kind]
    return [role, *base] if role else list(base)


def draw(rng: random.Random, present: list[tuple[str, str | None]]) -> dict[tuple[str, str | None], list[str]]:
    """The labels of each (kind, role) of one record: one wording a concept, the same for the whole record."""
    paths = {key: path(*key) for key in dict.fromkeys(present)}
    active: set[str] = set()
    seen: dict[str, None] = {}
    for concepts in paths.values():
        for concept in concepts:
            seen[concept] = None
    for concept in seen:
        chance = 0.7 if concept in ROLES else 0.75 if concept != "location" else 0.4
        if rng.random() < chance:
            active.add(concept)
    for concepts in paths.values():
        if not active.intersection(concepts):
            plain = [c for c in concepts if c not in ROLES]
            active.add(rng.choice(plain))
    words: dict[str, str] = {}
    for concept in seen:
        for _ in range(20):
            word = wording(rng, concept)
            if word not in words.values():
                break
        words[concept] = word
    return {key: [words[c] for c in concepts if c in active] for key, concepts in paths.items()}


def not_offered(present: list[tuple[str, str | None]], forbidden: set[str]) -> set[str]:
    """Concepts that the text holds, and those whose border with one of them is not sharp."""
    held = {c for key in present for c in path(*key)}
    blocked = set(held) | forbidden
    for group in GROUPS:
        if group & held:
            blocked |= group
    return blocked


def absent(
    rng: random.Random, present: list[tuple[str, str | None]], forbidden: set[str], nothing: bool, hard: bool
) -> list[str]:
    """Wordings of concepts that the text does not hold."""
    blocked = not_offered(present, forbidden)
    out: list[str] = []
    used: set[str] = set()
    if nothing:
        for concept, word in FIXED_ABSENT:
            out.append(word)
            used.add(concept)
    free = [c for c in CONCEPTS if c not in blocked and c not in used and c not in ROLES]
    if hard and not nothing and "person" not in blocked:
        for concept in ["person", *rng.sample(PERSON[:3], 1)]:
            out.append(wording(rng, concept))
            used.add(concept)
    common = [c for c in COMMON if c in free and c not in used]
    picks = rng.sample(common, min(len(common), rng.randint(1, 4)))
    rest = [c for c in free if c not in picks and c not in used]
    picks += rng.sample(rest, min(len(rest), rng.randint(1, 4)))
    for concept in picks:
        out.append(wording(rng, concept))
    out = list(dict.fromkeys(out))
    if not nothing:
        rng.shuffle(out)
    return out


def disjoint() -> list[str]:
    """Wordings that two concepts share; the check wants none."""
    where: dict[str, list[str]] = {}
    for concept, words in CONCEPTS.items():
        for word in words:
            where.setdefault(word, []).append(concept)
    return [word for word, concepts in where.items() if len(concepts) > 1]
