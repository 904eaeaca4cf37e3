"""A shop as Oscar's own documentation has one made, then our app put in by docs/oscar.md's words.

Nothing here knows the app: what is written into the shop's files and which commands are run comes
out of the page, so that a step that is missing or wrong there fails the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

OSCAR_APPS = """
    "django.contrib.sites",
    "django.contrib.flatpages",
    "oscar.config.Shop",
    "oscar.apps.analytics.apps.AnalyticsConfig",
    "oscar.apps.checkout.apps.CheckoutConfig",
    "oscar.apps.address.apps.AddressConfig",
    "oscar.apps.shipping.apps.ShippingConfig",
    "oscar.apps.catalogue.apps.CatalogueConfig",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    "oscar.apps.communication.apps.CommunicationConfig",
    "oscar.apps.partner.apps.PartnerConfig",
    "oscar.apps.basket.apps.BasketConfig",
    "oscar.apps.payment.apps.PaymentConfig",
    "oscar.apps.offer.apps.OfferConfig",
    "oscar.apps.order.apps.OrderConfig",
    "oscar.apps.customer.apps.CustomerConfig",
    "oscar.apps.search.apps.SearchConfig",
    "oscar.apps.voucher.apps.VoucherConfig",
    "oscar.apps.wishlists.apps.WishlistsConfig",
    "oscar.apps.dashboard.apps.DashboardConfig",
    "oscar.apps.dashboard.reports.apps.ReportsDashboardConfig",
    "oscar.apps.dashboard.users.apps.UsersDashboardConfig",
    "oscar.apps.dashboard.orders.apps.OrdersDashboardConfig",
    "oscar.apps.dashboard.catalogue.apps.CatalogueDashboardConfig",
    "oscar.apps.dashboard.offers.apps.OffersDashboardConfig",
    "oscar.apps.dashboard.partners.apps.PartnersDashboardConfig",
    "oscar.apps.dashboard.pages.apps.PagesDashboardConfig",
    "oscar.apps.dashboard.ranges.apps.RangesDashboardConfig",
    "oscar.apps.dashboard.reviews.apps.ReviewsDashboardConfig",
    "oscar.apps.dashboard.vouchers.apps.VouchersDashboardConfig",
    "oscar.apps.dashboard.communications.apps.CommunicationsDashboardConfig",
    "oscar.apps.dashboard.shipping.apps.ShippingDashboardConfig",
    "widget_tweaks",
    "haystack",
    "treebeard",
    "sorl.thumbnail",
    "django_tables2",
]
"""
CONTEXT_PROCESSORS = """
                'oscar.apps.search.context_processors.search_form',
                'oscar.apps.checkout.context_processors.checkout',
                'oscar.apps.communication.notifications.context_processors.notifications',
                'oscar.core.context_processors.metadata',
            ],
"""
# Statuses and a cascade such as Oscar's sandbox has, which our page has to cope with.
OSCAR_SETTINGS = """
from oscar.defaults import *

SITE_ID = 1
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
MEDIA_URL = "media/"
STATIC_ROOT = BASE_DIR / "static"
OSCAR_INITIAL_ORDER_STATUS = "Pending"
OSCAR_INITIAL_LINE_STATUS = "Pending"
OSCAR_ORDER_STATUS_PIPELINE = {
    "Pending": ("Being processed", "Cancelled"),
    "Being processed": ("Complete", "Cancelled"),
    "Cancelled": (),
    "Complete": (),
}
OSCAR_ORDER_STATUS_CASCADE = {"Being processed": "Being processed", "Complete": "Shipped"}
"""
OSCAR_URLS = """
from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
"""


class Step:
    """One numbered step of the page's installation: its code blocks and its tables."""

    def __init__(self, text):
        self.blocks = []
        self.replacements = re.findall(r"^ +\| `(oscar\.[\w.]+)` \| `([\w.]+)` \|$", text, re.M)
        self.inline = re.findall(r"`([^`\n]+)`", text)
        for block in re.findall(r"(?:^ {7}.*\n|^\n(?= {7}))+", text, re.M):
            self.blocks.append("\n".join(line[7:] for line in block.strip("\n").split("\n")))

    def commands(self):
        """The ``manage.py`` commands of the blocks, comments cut off."""
        lines = (line.split("#")[0] for block in self.blocks for line in block.split("\n"))
        return [line.split("./manage.py")[1].split() for line in lines if "./manage.py" in line]


def steps(page):
    """Number → step, of the section that installs the app."""
    section = page.split("## Install into an existing shop")[1].split("\n## ")[0]
    parts = re.split(r"^(\d)\. ", section, flags=re.M)[1:]
    return {int(number): Step(text) for number, text in zip(parts[::2], parts[1::2], strict=True)}


class FreshShop:
    """A project made by ``django-admin startproject``, in a folder."""

    def __init__(self, folder, package):
        self.folder = Path(folder) / "frobshop"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SHOP_")},
            "DJANGO_SETTINGS_MODULE": "frobshop.settings",
            # Stands for `pip install`; that the package builds is seen when the venv is made.
            "PYTHONPATH": str(package),
            "PYTHONWARNINGS": "ignore",
        }
        subprocess.run(
            [sys.executable, "-m", "django", "startproject", "frobshop"],
            cwd=folder,
            check=True,
            env={**self.environment, "DJANGO_SETTINGS_MODULE": ""},
        )
        self.settings = self.folder / "frobshop" / "settings.py"
        self.urls = self.folder / "frobshop" / "urls.py"

    def become_an_oscar_shop(self):
        """What Oscar's page "Building your own shop" says."""
        text = self.settings.read_text()
        text = _replaced(text, r"(INSTALLED_APPS = \[.*?)\]\n", r"\1" + OSCAR_APPS)
        text = _replaced(
            text,
            r"(MIDDLEWARE = \[.*?)\]\n",
            r"\1    'oscar.apps.basket.middleware.BasketMiddleware',\n"
            r"    'django.contrib.flatpages.middleware.FlatpageFallbackMiddleware',\n]\n",
        )
        text = _replaced(
            text, r"('context_processors': \[.*?)\n +\],\n", r"\1" + CONTEXT_PROCESSORS
        )
        self.settings.write_text(text + OSCAR_SETTINGS)
        self.urls.write_text(OSCAR_URLS)

    def install(self, page, amqp_urls, password_file):
        """Steps 2 to 5; the example's addresses and password file become real ones."""
        found = steps(page)
        text = self.settings.read_text()
        (apps,) = found[3].blocks
        text = text.replace('    "oscar.config', f'{apps}\n    "oscar.config', 1)
        assert len(found[3].replacements) == 3
        for old, new in found[3].replacements:
            assert f'"{old}"' in text, old
            text = text.replace(f'"{old}"', f'"{new}"')
        defaults, sqlite = found[2].blocks
        (broker,) = found[5].blocks
        broker, count = re.subn(r'"AMQP_URLS": \[.*\]', f'"AMQP_URLS": {amqp_urls!r}', broker)
        assert count == 1
        assert "/etc/shop/amqp-password" in broker
        broker = broker.replace("/etc/shop/amqp-password", str(password_file))
        self.settings.write_text(f"{text}\n{defaults}\n{sqlite}\n{broker}\n")
        (urls,) = found[4].blocks
        oscars = '    path("", include(apps.get_app_config("oscar")'
        lines = "".join(f"    {line}\n" for line in urls.split("\n"))
        self.urls.write_text(OSCAR_URLS.replace(oscars, lines + oscars, 1))

    def manage(self, *arguments, program=None):
        """Runs a command to its end, or ``program`` within the shop; returns what it said."""
        argv = [*arguments] if program is None else ["shell", "-c", program]
        done = subprocess.run(
            [sys.executable, "manage.py", *argv],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def start(self, *arguments):
        """Starts a service; its output goes to the folder."""
        log = (self.folder / f"{arguments[0]}.log").open("w")
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _replaced(text, pattern, replacement):
    text, count = re.subn(pattern, replacement, text, count=1, flags=re.S)
    assert count == 1, pattern
    return text
