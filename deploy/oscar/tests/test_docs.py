import io

from django.core.management import call_command

from oscar_fulfillment import statuses
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docs" / "oscar.md").read_text("utf-8")


def test_the_settings_table_of_the_docs_is_the_programs_own():
    out = io.StringIO()
    call_command("fulfillment_settings", stdout=out)
    assert out.getvalue().strip() in TEXT


def test_the_docs_name_every_status():
    for status in (*statuses.ORDER_PIPELINE, *statuses.LINE_PIPELINE, *statuses.REFUND_PIPELINE):
        assert status in TEXT, status
