"""Starts the app's commands as processes of their own, on the test's database and broker."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings
from django.db import connection

HERE = Path(__file__).resolve().parent
DEADLINE_SECONDS = 60


def wait_until(condition, what, deadline_seconds=DEADLINE_SECONDS):
    """Waits for a condition; a test that waits in vain says for what."""
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def command(*argv, patch=""):
    """A running ``manage.py`` command; ``patch`` is Python run before it, to break something."""
    code = (
        "import json, os, signal, sys\n"
        "import django\n"
        "from django.conf import settings\n"
        "django.setup()\n"
        "settings.OSCAR_FULFILLMENT = json.loads(os.environ['TEST_FULFILLMENT'])\n"
        f"{patch}\n"
        "from django.core.management import call_command\n"
        "call_command(*sys.argv[1:])\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parent / "sandbox")]),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DB_NAME": str(connection.settings_dict["NAME"]),
        "TEST_FULFILLMENT": json.dumps(settings.OSCAR_FULFILLMENT),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code, *argv],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
