from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from oscar.core.loading import get_model

from oscar_fulfillment import conf, products


class Command(BaseCommand):
    help = "Adds the product types of a course shop to the catalogue; safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; say which products are wrong"
        )
        parser.add_argument(
            "--modules",
            action="store_true",
            help="change nothing; print the [modules] section for fulfilld's configuration",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["modules"]:
            self.stdout.write("[modules]")
            for name, row in conf.product_types().items():
                self.stdout.write(f"{name} = {row.get('module', 'none')}")
        elif options["check"]:
            self._check()
        else:
            made = list(products.install())
            for line in made:
                self.stdout.write(f"added {line}")
            self.stdout.write(f"{len(made)} added" if made else "nothing to add")

    def _check(self) -> None:
        wrong = 0
        for product in get_model("catalogue", "Product").objects.exclude(structure="parent"):
            if product.get_product_class().name not in conf.product_types():
                continue
            for problem in products.check_product(product):
                wrong += 1
                self.stdout.write(f"product {product.pk} ({product.get_title()}): {problem}")
        self.stdout.write(f"{wrong} problems")
