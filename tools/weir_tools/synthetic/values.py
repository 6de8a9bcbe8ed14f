"""Values of every category, in the habits of several countries. Nothing here belongs to anybody."""

import base64
import random
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from faker import Faker

LOCALES = (
    "en_US", "en_US", "en_US", "en_GB", "en_CA", "en_AU", "en_IN", "en_IE", "de_DE", "fr_FR", "es_ES", "es_MX",
    "it_IT", "nl_NL", "pt_BR", "pl_PL", "sv_SE", "tr_TR", "id_ID",
)  # fmt: skip
# Names as they are written in Latin letters where Faker has them only in another script, or not at all.
GIVEN = (
    "Wei Mei Hiroshi Yuki Min-jun Ji-woo Arjun Priya Chinonso Amara Kwame Abena Fatima Yusuf Layla Omar Olga Dmitri "
    "Svetlana Ivan Nguyen Linh Tuan Mehmet Aylin Siobhan Caoimhe Zola Thabo Nadia Karim Leilani Keanu Ngozi Tariq Anan"
).split()
FAMILY = (
    "Wang Li Zhang Tanaka Sato Kim Park Sharma Iyer Okafor Adeyemi Mensah Boateng Al-Sayed Haddad Rahman Petrov Ivanova "
    "Sokolov Tran Pham Yilmaz Demir O'Connor O'Brien Nkosi Dlamini Benali El-Amin van-der-Merwe Achieng Hussain Kowalczuk"
).split()

WORDS = {
    "gender": "male|female|non-binary|man|woman|transgender woman|transgender man|M|F|genderfluid",
    "race_ethnicity": "Hispanic|Asian|African American|White|Black|Latino|Native American|Pacific Islander|Caucasian|"
    "Middle Eastern|South Asian|Korean American|Roma|Han Chinese|Arab|Maori|mixed race|Ashkenazi|Somali",
    "religious_belief": "Catholic|Muslim|Jewish|Buddhist|Hindu|Sikh|Baptist|Lutheran|Mormon|atheist|Quaker|Orthodox|"
    "Jehovah's Witness|Methodist|Shia|Sunni|agnostic|Jain|Pentecostal|Anglican",
    "political_view": "Democrat|Republican|liberal|conservative|socialist|libertarian|Green|communist|centrist|"
    "left-wing|right-wing|social democrat|anarchist|Labour|Tory|independent|progressive|nationalist",
    "sexuality": "gay|lesbian|bisexual|heterosexual|straight|asexual|queer|homosexual|pansexual|demisexual",
    "marital_status": "married|single|divorced|widowed|separated|in a civil partnership|engaged|unmarried",
    "employment_status": "unemployed|self-employed|employed full-time|retired|a student|on parental leave|part-time|"
    "laid off|freelance|full-time|between jobs|on disability|furloughed|temporarily employed|job seeking",
    "education_level": "bachelor's degree|master's degree|PhD|high school diploma|associate degree|GED|doctorate|MBA|"
    "BSc in physics|Master of Arts|vocational diploma|law degree|B.A.|secondary school|MSc|Abitur",
    "medication": "ibuprofen|metformin|lisinopril|atorvastatin|amoxicillin|warfarin|sertraline|insulin glargine|"
    "omeprazole|prednisone|albuterol|levothyroxine|tramadol|gabapentin|Xarelto|Humira|paracetamol|clopidogrel|"
    "fluoxetine|azithromycin|methotrexate|ramipril|Ozempic|diazepam",
    "medical_condition": "type 2 diabetes|hypertension|asthma|depression|breast cancer|epilepsy|HIV|migraine|COPD|"
    "atrial fibrillation|anxiety disorder|hepatitis C|multiple sclerosis|pneumonia|bipolar disorder|Crohn's disease|"
    "chronic kidney disease|schizophrenia|rheumatoid arthritis|appendicitis|stroke|psoriasis|gout|sepsis",
}
NOTHING = (
    "version 4.12.0 is out", "build 20817 passed", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 was reverted",
    "see ticket 4411", "order 88120 ships soon", "error code 0x80070057", "the meeting room is free", "HTTP 503",
    "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "upgrade to v2.0.1-rc.3",
    "use port 8080", "retry after 30 s", "chapter 12, page 240", "page 3 of 10", "the fee is due", "batch 7 of 9 done",
    "took 1532 ms", "RFC 2616 applies", "ISO 9001 certified", "invoice INV-20931", "tracking 1Z999AA10123456784",
    "room 204", "the results were normal", "please advise", "quarterly numbers look fine", "weighs 72 kg",
    "the printer is out of paper", "nothing to report", "temperature 36.6", "buffer of 4096 bytes", "epoch 1700000000",
    "pid 28113 exited", "line 214", "model XR-500", "score 98.2%", "gate B12", "flight LH 441", "section 4(b)",
    "etag \"5d8c72a5edda8\"", "checksum a94a8fe5 matches", "python 3.11.7", "1,204 rows", "article 17",
)  # fmt: skip
# Numbers and codes that are nobody's, in the shapes of _shaped.
NUMBERED = (
    "order ##### ships soon|ticket #### is open|see page ##|build ##### passed|commit %%%%%%% was reverted|release #.##.#|"
    "error 0x8007%%%%|room ###|port ####|took ### ms|invoice INV-##### attached|batch # of #|HTTP 40#|exit code #|"
    "flight ?? ####|gate ?##|model ??-###|part no. ##-####|SKU ###-???|lot ?####|#,### rows|## items|##.#% done|# of ##|"
    "$##.## due|€###,## gross|case no. #-##-CV-####|bus ##|weighs ## kg|### pages|queue depth ###|thread-##|"
    "offset #######|sha1 %%%%%%%%%%%%%%%%|JIRA-####|PR ####|rev. ?|chapter #|aisle ##|table ##|row ##, seat #?|"
    "barcode #############|ISBN 978-#-##-######-#|chassis ?#|firmware #.#.##|retry #|level #|shift #|channel ##"
)

FIRMS = (
    "Northwind Bluebird Summit Harbor Cedar Granite Falcon Redwood Silverline Orchid Beacon Copper Meridian Juniper Lakeside "
    "Ironbridge Vertex Solstice Amber Pioneer Quantum Evergreen Kestrel Tidewater Nova Atlas Willow Bright Apex Crescent"
).split()
TRADES = (
    "Logistics Foods Bank Insurance Partners Consulting Media Energy Pharma Motors Airlines Hotels Textiles Software Systems "
    "Clinic Hospital Realty Construction Telecom Bakery Plumbing Studios Capital Freight Solutions Dental Farms Group"
).split()
FORMS = "Ltd Inc. LLC GmbH plc Corp. S.A. B.V. AG Co. Inc Limited".split()

DATES = (
    "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%B %d, %Y", "%d %B %Y", "%b %d, %Y", "%d %b %Y", "%m/%d/%y",
    "%B %Y", "%A, %B %d", "%d-%b-%Y", "%Y/%m/%d", "%B %d", "%Y%m%d",
)  # fmt: skip
TIMES = ("%H:%M", "%I:%M %p", "%H:%M:%S", "%I %p", "%I:%M%p", "%Hh%M")
DATE_TIMES = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d/%b/%Y:%H:%M:%S +0000", "%b %d %H:%M:%S", "%m/%d/%Y %I:%M %p",
    "%Y-%m-%d %H:%M", "%d.%m.%Y, %H:%M", "%B %d, %Y at %I:%M %p", "%Y-%m-%dT%H:%M:%S.123+02:00",
    "%a, %d %b %Y %H:%M:%S GMT", "%Y/%m/%d %H:%M:%S",
)  # fmt: skip

Part = tuple[int, int, str]


@dataclass(frozen=True)
class Value:
    """A value and, where it has parts with categories of their own, those."""

    text: str
    parts: tuple[Part, ...] = ()
    title: int = 0  # so many characters in front are no part of it: "Dr. "


class Values:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._fakers = [Faker(locale) for locale in LOCALES]
        for number, faker in enumerate(self._fakers):
            faker.seed_instance(rng.randrange(1 << 30) + number)

    def draw(self, slot: str) -> Value:
        if slot in WORDS:
            return Value(self._rng.choice(WORDS[slot].split("|")))
        made: Value | str = getattr(self, f"_{slot}")()
        return made if isinstance(made, Value) else Value(made)

    # names

    def _first_name(self) -> str:
        return self._rng.choice(GIVEN) if self._rng.random() < 0.2 else self._faker().first_name()

    def _last_name(self) -> str:
        if self._rng.random() < 0.2:
            return self._rng.choice(FAMILY).replace("-der-", " der ")
        return self._faker().last_name()

    def _person(self) -> Value:
        first, last = ("first_name", self._first_name()), ("last_name", self._last_name())
        middle = (None, f"{self._rng.choice(string.ascii_uppercase)}.")
        title = (None, self._rng.choice(["Dr.", "Mr", "Ms.", "Mrs.", "Prof."]))
        kind = self._rng.random()
        if kind < 0.66:
            return _joined([first, last])
        if kind < 0.76:
            return _joined([first, middle, last])
        if kind < 0.84:
            return _joined([last, first], ", ")
        if kind < 0.90:
            return replace(_joined([title, first, last]), title=len(title[1]) + 1)
        if kind < 0.95:
            return _joined([(None, first[1][0] + "."), last])
        return _joined([first, ("first_name", self._first_name()), last])

    def _user_name(self) -> str:
        first, last, rng = self._plain(self._first_name()), self._plain(self._last_name()), self._rng
        number = str(rng.randint(1, 9999))
        return rng.choice(
            [f"{first[0]}{last}", f"{first}.{last}", f"{first}_{last}", f"{first}{number}", f"{last}{number[:2]}",
             f"{first[0]}{last}{number[:2]}", self._faker().user_name(), f"{rng.choice(['dark', 'cool', 'the', 'mr'])}"
             f"{rng.choice(['wolf', 'coder', 'panda', 'ninja'])}{number}", f"{first}-{last[0]}"]
        )  # fmt: skip

    def _email(self) -> str:
        user = self._user_name()
        host = self._rng.choice(
            ["gmail.com", "yahoo.com", "outlook.com", "example.com", "example.org", "mail.example", "web.de", "hotmail.co.uk",
             f"{self._plain(self._last_name())}.{self._rng.choice(['com', 'net', 'org', 'io', 'example', 'co.uk', 'de'])}",
             f"{self._rng.choice(['mail', 'corp', 'post'])}.{self._plain(self._last_name())}.com"]
        )  # fmt: skip
        return f"{user}{'+' + self._letters(4) if self._rng.random() < 0.05 else ''}@{host}"

    # places

    def _address(self) -> Value:
        street = ("street_address", self._street_address())
        city, postcode = ("city", self._city()), ("postcode", self._postcode())
        state, country = ("state", self._state()), ("country", self._country())
        kind = self._rng.random()
        if kind < 0.4:
            return _joined([street, city, state, postcode], [", ", ", ", " "])
        if kind < 0.6:
            return _joined([street, postcode, city], [", ", " "])
        if kind < 0.75:
            return _joined([street, city], ", ")
        if kind < 0.88:
            return _joined([street, city, postcode, country], ", ")
        return _joined([street, city, state, postcode], "\n" if self._rng.random() < 0.5 else " ")

    def _street_address(self) -> str:
        street = self._faker().street_address().replace("\n", " ").strip()
        return f"{street}, Apt {self._digits(2)}" if self._rng.random() < 0.08 else street

    def _city(self) -> str:
        if self._rng.random() < 0.35:
            return self._rng.choice(
                "London|Paris|Berlin|New York|Chicago|Lagos|Mumbai|Tokyo|Sydney|Toronto|Madrid|Rome|Houston|Vienna|Dublin|"
                "Boston|Seattle|Oslo|Cairo|Lima|Austin|Denver|Leeds|Lyon|Hamburg|Porto|Seoul|Nairobi|San Diego".split(
                    "|"
                )
            )
        return self._faker().city()

    def _state(self) -> str:
        faker = self._rng.choice(self._fakers[:3])
        return (
            faker.state_abbr()
            if self._rng.random() < 0.4
            else self._rng.choice(
                [
                    faker.state(),
                    faker.state(),
                    "Bavaria",
                    "Ontario",
                    "New South Wales",
                    "Punjab",
                    "Quebec",
                    "Jalisco",
                    "Hesse",
                ]
            )
        )

    def _county(self) -> str:
        name = self._rng.choice(
            "Orange|Cook|Kent|Harris|King|Essex|Surrey|Wayne|Travis|Norfolk|Devon|Fulton|Dane|Clark|Mayo|Cork|Monroe|Pima".split(
                "|"
            )
        )
        return (
            f"{name} County"
            if self._rng.random() < 0.7
            else f"County {name}"
            if self._rng.random() < 0.3
            else f"{name}shire"
        )

    def _postcode(self) -> str:
        return self._rng.choice(self._fakers[:12]).postcode()

    def _country(self) -> str:
        return (
            self._fakers[0].country()
            if self._rng.random() < 0.7
            else self._rng.choice(
                ["USA", "UK", "Germany", "India", "Canada", "France", "Brazil", "Nigeria", "Japan", "U.S."]
            )
        )

    def _coordinate(self) -> str:
        lat, lon, rng = self._rng.uniform(-80, 80), self._rng.uniform(-170, 170), self._rng
        return rng.choice(
            [f"{lat:.4f}, {lon:.4f}", f"{lat:.6f},{lon:.6f}", f"{abs(lat):.3f}° N, {abs(lon):.3f}° W", f"({lat:.2f}, {lon:.2f})",
             f"{abs(int(lat))}°{rng.randint(0, 59)}'{rng.randint(0, 59)}\"N {abs(int(lon))}°{rng.randint(0, 59)}'{rng.randint(0, 59)}\"E"]
        )  # fmt: skip

    # dates

    def _date(self) -> str:
        when = self._fakers[0].date_time_between("-15y", "+3y")
        return (
            self._rng.choice(["last Tuesday", "yesterday"])
            if self._rng.random() < 0.02
            else when.strftime(self._rng.choice(DATES))
        )

    def _date_of_birth(self) -> str:
        return self._fakers[0].date_of_birth(minimum_age=1, maximum_age=95).strftime(self._rng.choice(DATES[:9]))

    def _time(self) -> str:
        made = self._fakers[0].date_time().strftime(self._rng.choice(TIMES))
        return made.lstrip("0") if not made.startswith("00") and self._rng.random() < 0.5 else made

    def _date_time(self) -> str:
        return self._fakers[0].date_time_between("-8y", "+1y").strftime(self._rng.choice(DATE_TIMES))

    def _age(self) -> str:
        return str(self._rng.randint(2, 97))

    # contact

    def _phone(self) -> str:
        if self._rng.random() < 0.45:
            return self._faker().phone_number()
        return self._shaped("+1 ###-###-####|(###) ###-####|###-###-####|###.###.####|+44 7### ######|0### #######|+49 ### #######|"
                            "+33 # ## ## ## ##|+91 ##### #####|##########|+## ## #### ####|001-###-###-####x###|1-800-###-####")  # fmt: skip

    def _fax(self) -> str:
        return self._phone()

    def _url(self) -> str:
        host, path = self._plain(self._last_name()), self._plain(self._first_name())
        return self._rng.choice(
            [f"https://www.{host}.com/{path}", f"http://{host}.example/{path}/{self._digits(4)}", f"www.{host}.org",
             f"https://{path}{host}.github.io", f"https://linkedin.com/in/{path}-{host}", f"{host}.net/u/{path}?id={self._digits(5)}",
             f"https://drive.{host}.com/file/d/{self._letters(14)}/view", self._fakers[0].url() + path]
        )  # fmt: skip

    # work

    def _company(self) -> str:
        if self._rng.random() < 0.5:
            return self._rng.choice(self._fakers[:14]).company()
        rng = self._rng
        first = rng.choice([self._last_name(), self._city(), *rng.sample(FIRMS, 3)])
        name = rng.choice([f"{first} {rng.choice(TRADES)}", f"{first} {rng.choice(TRADES)}", f"{first} & {self._last_name()}",
                           first + rng.choice(["ify", "ly", "tec", "soft", "works", "labs"]), f"{first} {rng.choice(FIRMS)}"])  # fmt: skip
        return f"{name} {rng.choice(FORMS)}" if rng.random() < 0.5 else name

    def _occupation(self) -> str:
        job = self._fakers[0].job()
        plain = (
            job.split(",")[0]
            if self._rng.random() < 0.6
            else self._rng.choice(
                [
                    "nurse",
                    "software engineer",
                    "teacher",
                    "truck driver",
                    "electrician",
                    "accountant",
                    "data analyst",
                    "plumber",
                    "chef",
                ]
            )
        )
        return plain.lower() if self._rng.random() < 0.7 else plain

    def _salary(self) -> str:
        amount = self._rng.randint(18, 250) * 1000 + self._rng.choice([0, 0, 500, 250])
        return self._rng.choice(
            [
                f"${amount:,}",
                f"{amount:,} EUR",
                f"£{amount:,}",
                f"€{amount}",
                f"${amount // 1000}k",
                f"USD {amount:,}.00",
            ]
        )

    def _language(self) -> str:
        return (
            self._fakers[0].language_name()
            if self._rng.random() < 0.5
            else self._rng.choice(
                [
                    "Spanish",
                    "Mandarin",
                    "French",
                    "Arabic",
                    "Hindi",
                    "Polish",
                    "English",
                    "German",
                    "Tagalog",
                    "Vietnamese",
                ]
            )
        )

    def _blood_type(self) -> str:
        kind, sign = self._rng.choice(["A", "B", "AB", "O"]), self._rng.random() < 0.6
        return self._rng.choice(
            [
                f"{kind}{'+' if sign else '-'}",
                f"{kind} {'positive' if sign else 'negative'}",
                f"{kind} Rh{'+' if sign else '-'}",
            ]
        )

    # numbers

    def _customer_id(self) -> str:
        return self._shaped("CUST-#####|C########|########|KD-####-####|cus_@@@@@@####|CID#######|??-######")

    def _employee_id(self) -> str:
        return self._shaped("EMP-#####|E######|#####|EMP####|??####|W-######|S#######")

    def _unique_id(self) -> str:
        return (
            str(uuid.UUID(int=self._rng.getrandbits(128)))
            if self._rng.random() < 0.5
            else self._shaped("ID-########|@@@@####-@@##|REF-??####|%%%%%%%%%%%%|SUBJ-####|P-###-###|UID########")
        )

    def _ssn(self) -> str:
        return self._shaped("###-##-####|###-##-####|###-##-####|### ## ####|#########")

    def _national_id(self) -> str:
        return self._shaped(
            "?########|?? ## ## ## ?|########?|#########|??#######|#### #### ####|######-####|###########|C#?######|###-####-#######-#"
        )

    def _tax_id(self) -> str:
        return self._shaped(
            "##-#######|9##-##-####|DE#########|GB#########|##/###/#####|## ### ### ###|ATU########|###########"
        )

    def _license_number(self) -> str:
        return self._shaped(
            "?#######|D###-####-####|??######|?###-####-####-##|RN######|CERT-####-###|?????######??#??|########|MD.######"
        )

    def _license_plate(self) -> str:
        return self._shaped("??? ####|###-???|?? ## ???|?-?? ####|??##???|#???###|??-###-??|??? ###|? ?? ####")

    def _vehicle_id(self) -> str:
        letters = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
        return "".join(self._rng.choice(letters) for _ in range(11)) + self._digits(6)

    def _device_id(self) -> str:
        return self._shaped(
            "###############|##-######-######-#|SN-%%%%%%%%|%%%%%%%%%%%%%%%%|DEV-####-??|C02@@#?@#?##|IMEI35#############"
        )

    def _medical_record_number(self) -> str:
        return self._shaped("MRN-#######|########|MR######|######|H-###-####|MRN########|##-##-##|P#######")

    def _health_plan_number(self) -> str:
        return self._shaped(
            "?????########|#?#?-??#-????|XYZ#########|HPBN-########|W#########|###-##-####?|?##########|H####-###-##"
        )

    def _biometric_id(self) -> str:
        return self._shaped(
            "BIO-########|FP-%%%%%%%%|fpt_%%%%%%%%%%%%|IRIS-####-????|BIOM#######|face:%%%%%%%%|VP-######"
        )

    def _account_number(self) -> str:
        return (
            self._iban()
            if self._rng.random() < 0.15
            else self._shaped("##########|########|############|####-####-##|###-######-#|##########|00##-########")
        )

    def _iban(self) -> str:
        made = self._rng.choice(self._fakers[3:13]).iban() if self._rng.random() < 0.7 else "DE" + self._digits(20)
        return " ".join(made[at : at + 4] for at in range(0, len(made), 4)) if self._rng.random() < 0.5 else made

    def _routing_number(self) -> str:
        return self._shaped("#########|#########|##-##-##|0########|######")

    def _swift_bic(self) -> str:
        return self._fakers[0].swift()

    def _credit_card(self) -> str:
        number = self._fakers[0].credit_card_number()
        if self._rng.random() < 0.5 and len(number) == 16:
            return self._rng.choice([" ", "-"]).join(number[at : at + 4] for at in range(0, 16, 4))
        return number

    def _cvv(self) -> str:
        return self._digits(self._rng.choice([3, 3, 3, 4]))

    def _pin(self) -> str:
        return self._digits(self._rng.choice([4, 4, 4, 6]))

    # machines

    def _password(self) -> str:
        word = self._plain(self._first_name())
        return self._rng.choice(
            [self._fakers[0].password(length=self._rng.randint(8, 14)), f"{word.capitalize()}{self._digits(4)}!", f"{word}@{self._digits(3)}",
             self._shaped("@@@@-@@@@-@@@@|%%%%%%%%|Pa$$w0rd##|@@@##@@!|Summer20##!|hunter#"), f"{word}{self._letters(3)}#{self._digits(2)}"]
        )  # fmt: skip

    def _api_key(self) -> str:
        token = base64.b64encode(self._rng.randbytes(24)).decode().rstrip("=")
        return self._rng.choice([f"sk_live_{self._letters(24)}", f"AKIA{self._letters(16).upper()}", f"ghp_{self._letters(30)}", token,
                                 self._rng.randbytes(16).hex(), f"xoxb-{self._digits(10)}-{self._letters(18)}", f"key-{self._rng.randbytes(12).hex()}",
                                 f"eyJhbGciOi{self._letters(8)}.{self._letters(18)}.{self._letters(12)}"])  # fmt: skip

    def _http_cookie(self) -> str:
        return self._rng.choice([f"session={self._rng.randbytes(10).hex()}", f"sid={self._letters(18)}", f"JSESSIONID={self._rng.randbytes(8).hex().upper()}",
                                 f"_ga=GA1.2.{self._digits(9)}.{self._digits(10)}", f"auth_token={self._letters(20)}; uid={self._digits(5)}",
                                 f"PHPSESSID={self._letters(22).lower()}"])  # fmt: skip

    def _ipv4(self) -> str:
        return self._fakers[0].ipv4()

    def _ipv6(self) -> str:
        full = self._fakers[0].ipv6()
        return self._rng.choice(
            [
                full,
                f"2001:db8::{self._rng.randbytes(2).hex()}",
                f"fe80::{self._rng.randbytes(2).hex()}:{self._rng.randbytes(2).hex()}",
            ]
        )

    def _mac_address(self) -> str:
        made = self._fakers[0].mac_address()
        return self._rng.choice([made, made.upper(), made.replace(":", "-")])

    def _n(self) -> str:
        return self._rng.choice(NOTHING) if self._rng.random() < 0.5 else self._shaped(NUMBERED)

    # help

    def _faker(self) -> Faker:
        return self._rng.choice(self._fakers)

    def _shaped(self, shapes: str) -> str:
        """# digit, ? capital letter, @ small letter, % hexadecimal digit; one of several shapes."""
        draw: dict[str, Callable[[], str]] = {
            "#": lambda: self._rng.choice(string.digits),
            "?": lambda: self._rng.choice(string.ascii_uppercase),
            "@": lambda: self._rng.choice(string.ascii_lowercase),
            "%": lambda: self._rng.choice("0123456789abcdef"),
        }
        return "".join(draw[c]() if c in draw else c for c in self._rng.choice(shapes.split("|")))

    def _digits(self, count: int) -> str:
        return "".join(self._rng.choice(string.digits) for _ in range(count))

    def _letters(self, count: int) -> str:
        return "".join(self._rng.choice(string.ascii_letters + string.digits) for _ in range(count))

    def _plain(self, name: str) -> str:
        return "".join(c for c in name.lower() if c in string.ascii_lowercase) or "user"


def _joined(pieces: list[tuple[str | None, str]], between: str | list[str] = " ") -> Value:
    text, parts = "", []
    for index, (category, piece) in enumerate(pieces):
        if index:
            text += between if isinstance(between, str) else between[index - 1]
        if category:
            parts.append((len(text), len(text) + len(piece), category))
        text += piece
    return Value(text, tuple(parts))
