"""Oscar's own migrations, found through this package: the fork changes no column."""

from oscar.apps.basket import migrations as _oscar

__path__ = list(_oscar.__path__)
