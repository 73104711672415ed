"""Compiles every template, so that a wrong tag is found without a page that uses it."""

import sys

import django
from django.template import TemplateSyntaxError
from django.template.loader import get_template

from tests.check import templates


def main() -> int:
    django.setup()
    wrong = 0
    for name in templates():
        try:
            get_template(name.removeprefix("templates/"))
        except TemplateSyntaxError as error:
            wrong += 1
            print(f"{name}: {error}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
