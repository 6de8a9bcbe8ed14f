"""Writes tests/fixtures/phone_numbers.tsv: invented phone numbers of many countries.

The digits are random under each country's numbering plan, with a fixed seed; libphonenumber
writes them in the country's national and international form.

    pip install phonenumbers==9.0.43
    python tools/phone_numbers.py > tests/fixtures/phone_numbers.tsv
"""

import random

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

REGIONS = (
    "US CA GB IE AU NZ ZA IN SG HK CN TW JP KR IL TR RU UA GR RO HU CZ SK PL AT DE CH LU NL BE FR ES PT "
    "IT DK NO SE FI BR MX AR CL CO ID PH TH VN"
).split()
KINDS = ((PhoneNumberType.MOBILE, "mobile", 20), (PhoneNumberType.FIXED_LINE, "fixed", 20))
TRIES = 20_000


def numbers(region, kind, count, source):
    """Valid numbers of a kind: the example's length, random digits behind random first ones."""
    example = phonenumbers.example_number_for_type(region, kind)
    length = len(phonenumbers.national_significant_number(example))
    seen = {}
    for _ in range(TRIES):
        if len(seen) == count:
            break
        digits = "".join(source.choice("0123456789") for _ in range(length))
        try:
            number = phonenumbers.parse(f"+{example.country_code}{digits}")
        except phonenumbers.NumberParseException:
            continue
        right = phonenumbers.region_code_for_number(number) == region
        found = phonenumbers.number_type(number)
        if right and found in (kind, PhoneNumberType.FIXED_LINE_OR_MOBILE):
            seen[digits] = number
    return seen.values()


def main():
    source = random.Random(13)
    for region in REGIONS:
        for kind, name, count in KINDS:
            for number in numbers(region, kind, count, source):
                forms = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164)
                written = (phonenumbers.format_number(number, form) for form in forms)
                print(region, name, *written, sep="\t")


if __name__ == "__main__":
    main()
