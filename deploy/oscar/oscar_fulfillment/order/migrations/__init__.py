"""Oscar's own migrations, found through this package: the fork changes no column."""

from oscar.apps.order import migrations as _oscar

__path__ = list(_oscar.__path__)
