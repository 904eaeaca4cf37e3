"""The sandbox's settings, with what tests need: quiet, fast, and a database by environment."""

import os
import tempfile

os.environ.setdefault("SHOP_DATA_DIR", tempfile.mkdtemp(prefix="oscar-fulfillment-tests-"))

from shop.settings import *  # noqa: F403
from shop.settings import DATA_DIR, DATABASES

DEBUG = False
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Tests that look at the catalogue's pages fill the index themselves.
HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.BaseSignalProcessor"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, because processes that the crash tests start and kill must see it too.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
if os.environ.get("TEST_DB_NAME"):
    DATABASES["default"]["NAME"] = os.environ["TEST_DB_NAME"]
