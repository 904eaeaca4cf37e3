"""Run by run-tests on the installed package: everything that belongs to it was packed."""

import os
import sys
from importlib import resources

# Not from the source tree.
sys.path = [entry for entry in sys.path if os.path.basename(entry) != "tests"]

package = resources.files("oscar_fulfillment")
needed = [
    "py.typed",
    "migrations/0001_initial.py",
    "schemas/order-1.schema.json",
    "schemas/status-1.schema.json",
    "templates/oscar_fulfillment/dashboard/overview.html",
    "templates/oscar_fulfillment/dashboard/partials/panel.html",
    "static/oscar_fulfillment/dashboard.css",
    "management/commands/fulfillment_relay.py",
    "order/migrations/__init__.py",
]
missing = [name for name in needed if not package.joinpath(name).is_file()]
if missing:
    sys.exit(f"not in the package: {', '.join(missing)}")
