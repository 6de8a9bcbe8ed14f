"""Addresses in the forms of twenty countries, and telephone numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from . import lists

NEAR: dict[str, list[tuple[str, float]]] = {
    "en": [("us", 30), ("uk", 32), ("ie", 7), ("au", 8), ("ca", 8), ("in", 8)],
    "es": [("es", 70), ("mx", 20), ("ar", 8)],
    "fr": [("fr", 72), ("be", 12), ("cr", 10)],
    "de": [("de", 72), ("at", 14), ("ch", 12)],
    "it": [("it", 88), ("ti", 7)],
    "pt": [("pt", 55), ("br", 42)],
    "nl": [("nl", 78), ("bv", 18)],
}
STATE = {
    "Idaho": "ID",
    "Arizona": "AZ",
    "Minnesota": "MN",
    "Tennessee": "TN",
    "Washington": "WA",
    "Ohio": "OH",
    "Georgia": "GA",
    "New York": "NY",
    "California": "CA",
    "Texas": "TX",
    "Louisiana": "LA",
    "Iowa": "IA",
    "Rhode Island": "RI",
    "Oregon": "OR",
    "New Mexico": "NM",
    "Nebraska": "NE",
    "Florida": "FL",
    "Maine": "ME",
    "Wisconsin": "WI",
    "Pennsylvania": "PA",
    "Alaska": "AK",
    "North Carolina": "NC",
    "Illinois": "IL",
    "Colorado": "CO",
    "Arkansas": "AR",
    "Victoria": "VIC",
    "Tasmania": "TAS",
    "Queensland": "QLD",
    "New South Wales": "NSW",
    "Western Australia": "WA",
    "Northern Territory": "NT",
    "South Australia": "SA",
    "Nova Scotia": "NS",
    "Saskatchewan": "SK",
    "British Columbia": "BC",
    "Ontario": "ON",
    "New Brunswick": "NB",
    "Alberta": "AB",
    "Manitoba": "MB",
    "Québec": "QC",
    "Pará": "PA",
    "São Paulo": "SP",
    "Mato Grosso": "MT",
    "Paraná": "PR",
    "Santa Catarina": "SC",
    "Ceará": "CE",
    "Goiás": "GO",
    "Amazonas": "AM",
    "Rio Grande do Norte": "RN",
    "Rio Grande do Sul": "RS",
    "Pernambuco": "PE",
    "Minas Gerais": "MG",
}
PROVINCE = dict(
    zip(
        [
            "Ancona",
            "Arezzo",
            "Bari",
            "Bergamo",
            "Bologna",
            "Brescia",
            "Cagliari",
            "Catania",
            "Cosenza",
            "Cremona",
            "Ferrara",
            "Foggia",
            "Lecce",
            "Lucca",
            "Modena",
            "Novara",
            "Padova",
            "Perugia",
            "Pescara",
            "Ravenna",
            "Salerno",
            "Trento",
            "Trieste",
            "Udine",
            "Verona",
            "Viterbo",
        ],
        "AN AR BA BG BO BS CA CT CS CR FE FG LE LU MO NO PD PG PE RA SA TN TS UD VR VT".split(),
        strict=True,
    )
)
COUNTRY = {
    "us": "USA",
    "uk": "United Kingdom",
    "ie": "Ireland",
    "au": "Australia",
    "ca": "Canada",
    "in": "India",
    "es": "España",
    "mx": "México",
    "ar": "Argentina",
    "fr": "France",
    "be": "Belgique",
    "bv": "België",
    "ch": "Schweiz",
    "cr": "Suisse",
    "ti": "Svizzera",
    "de": "Deutschland",
    "at": "Österreich",
    "it": "Italia",
    "pt": "Portugal",
    "br": "Brasil",
    "nl": "Nederland",
    "pl": "Poland",
    "se": "Sweden",
}
ABROAD = {
    "es": "Spain",
    "fr": "France",
    "de": "Germany",
    "it": "Italy",
    "nl": "Netherlands",
    "pt": "Portugal",
    "mx": "Mexico",
    "br": "Brazil",
    "ar": "Argentina",
    "at": "Austria",
    "ch": "Switzerland",
    "be": "Belgium",
}


def fill(rng: random.Random, pattern: str) -> str:
    return "".join(
        str(rng.randint(0, 9))
        if c == "#"
        else str(rng.randint(1, 9))
        if c == "%"
        else rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ")
        if c == "@"
        else c
        for c in pattern
    )


@dataclass
class Place:
    country: str
    street: str  # the line with street and number
    city: str
    region: str
    postcode: str
    area: str
    lines: list[str] = field(default_factory=list)


def country_for(rng: random.Random, language: str) -> str:
    codes, weights = zip(*NEAR[language], strict=True)
    if rng.random() < 0.07:
        return rng.choice(["us", "uk", "es", "fr", "de", "it", "nl", "pt", "pl", "se", "br", "mx", "ie", "in"])
    return str(rng.choices(codes, weights)[0])


def make(rng: random.Random, language: str, country: str | None = None) -> Place:
    code = country or country_for(rng, language)
    city, region, pattern, area = rng.choice(lists.cities()[code])
    street = rng.choice(lists.streets()[code])
    postcode = fill(rng, pattern)
    n = rng.choice([rng.randint(1, 40), rng.randint(1, 180)])
    pick = rng.random()
    extra: list[str] = []
    middle: list[str] = []
    tail = ""
    if code == "us":
        n = rng.choice([rng.randint(10, 990), rng.randint(1000, 18900)])
        line = f"{n} {street}"
        if pick < 0.25:
            line += rng.choice(
                [
                    f", Apt {rng.randint(1, 40)}{rng.choice('ABC')}",
                    f" Apt. {rng.randint(1, 900)}",
                    f" #{rng.randint(1, 400)}",
                    f", Unit {rng.randint(1, 60)}",
                    f", Suite {rng.randint(100, 990)}",
                ]
            )
        state = STATE[region] if rng.random() < 0.85 else region
        if rng.random() < 0.1:
            postcode += f"-{rng.randint(1000, 9999)}"
        tail = f"{city}, {state} {postcode}"
        region = state
    elif code == "uk":
        line = f"{n} {street}"
        if pick < 0.2:
            line = rng.choice(
                [
                    f"Flat {rng.randint(1, 30)}, {line}",
                    f"{rng.choice(['Rose', 'Ivy', 'Mill', 'Orchard'])} Cottage, {street}",
                    f"{n}{rng.choice('ABC')} {street}",
                    f"Unit {rng.randint(1, 20)}, {n} {street}",
                ]
            )
        if rng.random() < 0.25:
            middle = [city, region]
            tail = postcode
        elif rng.random() < 0.5:
            middle = [city]
            tail = postcode
        else:
            tail = f"{city} {postcode}"
    elif code == "ie":
        line = f"{n} {street}" if pick > 0.15 else f"Apt {rng.randint(1, 30)}, {n} {street}"
        middle = [city] + ([region.replace("County", "Co.")] if rng.random() < 0.5 else [])
        tail = postcode
    elif code == "au":
        line = (
            f"{n} {street}"
            if pick > 0.2
            else rng.choice([f"{rng.randint(1, 20)}/{n} {street}", f"Unit {rng.randint(1, 20)}, {n} {street}"])
        )
        region = STATE[region]
        tail = f"{city} {region} {postcode}"
    elif code == "ca":
        line = (
            f"{n} {street}"
            if pick > 0.2
            else rng.choice([f"{rng.randint(1, 40)}-{n} {street}", f"{n} {street}, Apt {rng.randint(1, 900)}"])
        )
        region = STATE[region]
        tail = rng.choice([f"{city} {region}  {postcode}".replace("  ", " "), f"{city}, {region} {postcode}"])
    elif code == "in":
        house = rng.choice(["Shanti", "Sai", "Lotus", "Green"])
        line = rng.choice(
            [
                f"{rng.randint(1, 400)}/{rng.randint(1, 20)}, {street}",
                f"Flat {rng.randint(1, 14)}0{rng.randint(1, 8)}, {house} Residency, {street}",
                f"{n}, {street}",
            ]
        )
        tail = rng.choice([f"{city} {postcode}, {region}", f"{city} - {postcode}", f"{city}, {region} {postcode}"])
    elif code == "es":
        line = rng.choice([f"{street} {n}", f"{street}, {n}", f"{street}, nº {n}", f"{street} n.º {n}"])
        if pick < 0.45:
            line += rng.choice(
                [
                    f", {rng.randint(1, 9)}.º {rng.choice('ABCD')}",
                    f", {rng.randint(1, 9)}º izda.",
                    f", bajo {rng.choice('AB')}",
                    f", piso {rng.randint(1, 9)}, puerta {rng.randint(1, 6)}",
                    f", {rng.randint(1, 9)}-{rng.randint(1, 4)}",
                ]
            )
            if line.endswith("."):
                line = line[:-1]
        tail = rng.choice([f"{postcode} {city}", f"{postcode} - {city}", f"{postcode} {city} ({region})"])
        if city == region:
            tail = f"{postcode} {city}"
    elif code == "mx":
        line = rng.choice([f"{street} {n}", f"{street} #{n}", f"{street} No. {n}"]) + (
            f" Int. {rng.randint(1, 20)}" if pick < 0.2 else ""
        )
        extra = (
            [f"Col. {rng.choice(['Centro', 'Del Valle', 'Roma Norte', 'Las Palmas', 'San Miguel', 'Jardines'])}"]
            if rng.random() < 0.7
            else []
        )
        tail = rng.choice([f"{postcode} {city}, {region}", f"C.P. {postcode}, {city}"])
    elif code == "ar":
        line = f"{street} {rng.randint(100, 4900)}" + (
            f", piso {rng.randint(1, 12)} dpto. {rng.choice('ABCD')}" if pick < 0.3 else ""
        )
        tail = f"{postcode} {city}"
    elif code == "fr":
        number = f"{n}{rng.choice([' bis', ' ter', 'B'])}" if pick < 0.12 else f"{n}"
        name = street[0].upper() + street[1:] if rng.random() < 0.35 else street
        line = f"{number}{rng.choice([' ', ' ', ', '])}{name}"
        if rng.random() < 0.15:
            extra = [
                rng.choice(
                    [
                        f"Bâtiment {rng.choice('ABCD')}",
                        f"Appt {rng.randint(1, 60)}",
                        f"Résidence {rng.choice(['Les Cèdres', 'Bellevue', 'du Parc'])}",
                        f"BP {rng.randint(10, 990)}",
                    ]
                )
            ]
        tail = f"{postcode} {city.upper() if rng.random() < 0.15 else city}"
        city = tail.split(" ", 1)[1]
    elif code in ("be", "bv"):
        box = {"be": "bte", "bv": "bus"}[code]
        line = f"{street} {n}" + (f" {box} {rng.randint(1, 20)}" if pick < 0.3 else "")
        tail = f"{postcode} {city}" if rng.random() < 0.85 else f"B-{postcode} {city}"
    elif code in ("ch", "cr", "ti"):
        line = f"{street} {n}{rng.choice(['', '', '', 'a', 'b'])}"
        tail = f"{postcode} {city}" if rng.random() < 0.85 else f"CH-{postcode} {city}"
    elif code == "de":
        line = f"{street} {n}{rng.choice(['', '', '', '', 'a', 'b', ' c', f'-{n + 2}'])}"
        if pick < 0.05:
            extra = [rng.choice(["Hinterhaus", "3. OG links", "c/o Seniorenheim Am Park"][:2])]
        tail = f"{postcode} {city}" if rng.random() < 0.93 else f"D-{postcode} {city}"
    elif code == "at":
        line = f"{street} {n}" + (
            rng.choice([f"/{rng.randint(1, 4)}/{rng.randint(1, 30)}", f"/{rng.randint(1, 20)}"]) if pick < 0.6 else ""
        )
        tail = f"{postcode} {city}" if rng.random() < 0.9 else f"A-{postcode} {city}"
    elif code == "it":
        name = street[0].upper() + street[1:] if rng.random() < 0.6 else street
        line = f"{name}{rng.choice([' ', ', ', ', '])}{n}{rng.choice(['', '', '', '/A', '/B', ' bis'])}"
        if pick < 0.12:
            line += rng.choice([f", int. {rng.randint(1, 20)}", f", scala {rng.choice('AB')}"])
        tail = rng.choice(
            [f"{postcode} {city} ({PROVINCE[city]})", f"{postcode} {city} {PROVINCE[city]}", f"{postcode} {city}"]
        )
    elif code == "pt":
        line = rng.choice([f"{street}, {n}", f"{street}, n.º {n}", f"{street} {n}", f"{street} nº {n}"])
        if pick < 0.4:
            line += rng.choice(
                [
                    f", {rng.randint(1, 9)}.º Esq",
                    f", {rng.randint(1, 9)}º Dto",
                    f", {rng.randint(1, 9)}.º {rng.choice('ABC')}",
                    ", r/c",
                ]
            )
        tail = f"{postcode} {city}"
    elif code == "br":
        n = rng.randint(10, 2900)
        line = rng.choice([f"{street}, {n}", f"{street}, nº {n}", f"{street} {n}"])
        if pick < 0.4:
            line += rng.choice(
                [
                    f", apto {rng.randint(1, 14)}0{rng.randint(1, 6)}",
                    f" - ap. {rng.randint(11, 190)}",
                    f", bloco {rng.choice('ABC')}",
                ]
            )
        extra = (
            [rng.choice(["Centro", "Jardim América", "Boa Vista", "Vila Nova", "Santo Antônio"])]
            if rng.random() < 0.5
            else []
        )
        uf = STATE[region]
        tail = rng.choice([f"{city} - {uf}, {postcode}", f"{city}/{uf}, CEP {postcode}", f"{postcode} {city} - {uf}"])
    elif code == "nl":
        line = f"{street} {n}{rng.choice(['', '', '', '', 'a', 'B', '-2', '-hs', ' bis'])}"
        if rng.random() < 0.15:
            postcode = postcode.replace(" ", "")
        tail = f"{postcode} {city.upper() if rng.random() < 0.1 else city}"
    elif code == "pl":
        line = f"{street} {n}" + (
            rng.choice([f"/{rng.randint(1, 60)}", f" m. {rng.randint(1, 60)}"]) if pick < 0.5 else ""
        )
        tail = f"{postcode} {city}"
    else:
        line = f"{street} {n}" + (f", lgh {rng.randint(1001, 1502)}" if pick < 0.2 else "")
        tail = f"{postcode} {city}"
    lines = [line, *extra, *middle, tail]
    foreign = code not in [c for c, _ in NEAR[language]]
    if rng.random() < (0.75 if foreign else 0.1):
        lines.append(ABROAD.get(code, COUNTRY[code]) if language == "en" else COUNTRY[code])
    return Place(code, line, city, region, postcode, area, lines)


# {a} area code with its 0, {z} without
FIXED = {
    "us": [
        "({a}) %##-####",
        "{a}-%##-####",
        "{a}.%##.####",
        "+1 {a} %## ####",
        "1-{a}-%##-####",
        "+1 ({a}) %##-####",
        "{a} %## ####",
    ],
    "ca": ["({a}) %##-####", "{a}-%##-####", "+1 {a}-%##-####", "{a}.%##.####"],
    "uk": ["{a} ### ###", "{a} ######", "({a}) ######", "+44 {z} ######", "+44 (0){z} ######", "0044 {z} ######"],
    "ie": ["{a} ### ####", "({a}) ### ####", "+353 {z} ### ####", "{a}-#######"],
    "au": ["({a}) %### ####", "{a} %### ####", "+61 {z} %### ####", "{a}%#######"],
    "in": ["0{a}-%######", "+91 {a} %### ###", "0{a} %### ###"],
    "es": ["{a} ## ## ##", "{a} ### ###", "+34 {a} ## ## ##", "{a}######", "0034 {a} ### ###", "(+34) {a}.##.##.##"],
    "mx": ["({a}) %## ## ##", "{a} %## ####", "+52 {a} %## ####", "+52 {a} %## ## ##"],
    "ar": ["({a}) 4##-####", "{a} 4######", "+54 {z} 4##-####"],
    "fr": [
        "{a} %# ## ## ##",
        "{a}.%#.##.##.##",
        "{a}%#######",
        "+33 {z} %# ## ## ##",
        "+33 (0){z} %# ## ## ##",
        "{a}-%#-##-##-##",
        "0033 {z}%# ## ## ##",
    ],
    "be": ["{a} %# ## ##", "{a}/%#.##.##", "+32 {z} %# ## ##"],
    "bv": ["{a} %# ## ##", "{a}/%#.##.##", "+32 {z} %# ## ##"],
    "ch": ["{a} %## ## ##", "+41 {z} %## ## ##", "0041 {z} %## ## ##"],
    "cr": ["{a} %## ## ##", "+41 {z} %## ## ##", "{a}/%##.##.##"],
    "ti": ["{a} %## ## ##", "+41 {z} %## ## ##"],
    "de": [
        "{a} %#####",
        "{a}/%######",
        "{a}-%######",
        "+49 {z} %######",
        "+49 (0){z} %#####",
        "0049 {z} %######",
        "({a}) %## ## ##",
        "{a} / %# ## ##",
    ],
    "at": ["{a} %#####", "{a}/%##### ", "+43 {z} %######", "+43 (0){z} %### ###", "{a}/%## ## ##"],
    "it": ["{a} %######", "{a}/%######", "{a}.%######", "+39 {a} %######", "0039 {a} %######", "{a}-%######"],
    "pt": ["{a} ### ###", "{a}######", "+351 {a} ### ###", "(+351) {a} ## ## ##", "00351 {a} ### ###"],
    "br": ["({a}) 3###-####", "{a} 3###-####", "+55 {a} 3###-####", "(0{a}) 3### ####"],
    "nl": [
        "{a} %## ## ##",
        "{a}-%######",
        "+31 {z} %######",
        "+31 (0){z} %## ## ##",
        "({a}) %## ####",
        "0031 {z} %######",
    ],
    "pl": ["{a} %## ## ##", "+48 {a} %## ## ##", "({a}) %##-##-##"],
    "se": ["{a}-%## ## ##", "+46 {z} %## ## ##", "{a}-%# ## ##"],
}
MOBILE = {
    "us": ["({a}) %##-####", "{a}-%##-####", "+1{a}%######", "{a}%######", "+1-{a}-%##-####"],
    "ca": ["{a}-%##-####", "+1 {a} %## ####"],
    "uk": [
        "07### ######",
        "07### ### ###",
        "+44 7### ######",
        "07#########",
        "+447#########",
        "+44 (0)7### ######",
        "07###-######",
    ],
    "ie": ["08% ### ####", "+353 8% ### ####", "08%-#######", "08%#######"],
    "au": ["04## ### ###", "+61 4## ### ###", "04########"],
    "in": ["+91 9#### #####", "98########", "+91-8#########", "09#########", "7#### #####"],
    "es": [
        "6## ### ###",
        "6## ## ## ##",
        "+34 6## ### ###",
        "6########",
        "+346########",
        "7## ### ###",
        "6##-##-##-##",
    ],
    "mx": ["55 #### ####", "+52 1 {a} ### ####", "044 {a} ### ## ##"],
    "ar": ["+54 9 {z} ### ####", "15 %###-####"],
    "fr": [
        "06 ## ## ## ##",
        "07.##.##.##.##",
        "06########",
        "+33 6 ## ## ## ##",
        "+336########",
        "07 ## ## ## ##",
        "06-##-##-##-##",
    ],
    "be": ["047# ## ## ##", "0486/##.##.##", "+32 49# ## ## ##"],
    "bv": ["047# ## ## ##", "0486/##.##.##", "+32 49# ## ## ##"],
    "ch": ["079 ### ## ##", "+41 78 ### ## ##", "076#######"],
    "cr": ["079 ### ## ##", "+41 78 ### ## ##"],
    "ti": ["079 ### ## ##", "+41 76 ### ## ##"],
    "de": [
        "0151 %#######",
        "0172/%######",
        "0176-%#######",
        "+49 160 %######",
        "01575 %######",
        "+49 (0)178 %######",
        "0179%######",
    ],
    "at": ["0664 %######", "+43 676 %######", "0650/%######"],
    "it": ["33# ### ####", "347 #######", "+39 32# ### ####", "389#######", "340/#######", "+39 3## #######"],
    "pt": ["91# ### ###", "96#######", "+351 93# ### ###", "92# ## ## ##"],
    "br": ["({a}) 9####-####", "{a} 9 #### ####", "+55 {a} 9####-####", "{a}9########"],
    "nl": [
        "06 ########",
        "06-########",
        "+31 6 ########",
        "06 ## ## ## ##",
        "+316########",
        "06########",
        "0031 6 ########",
    ],
    "pl": ["5## ### ###", "+48 6## ### ###", "+48 7########"],
    "se": ["070-### ## ##", "+46 73 ### ## ##", "076 ### ## ##"],
}


def phone(rng: random.Random, place: Place, mobile: bool) -> str:
    pattern = rng.choice((MOBILE if mobile else FIXED)[place.country])
    area = place.area
    zone = area[1:] if area.startswith("0") else area
    return fill(rng, pattern.replace("{a}", area).replace("{z}", zone)).strip()
