from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from oscar_fulfillment.models import ApiToken


class Command(BaseCommand):
    help = "Makes a token for the REST endpoint and prints it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--label", default="", help="what the token is for")
        parser.add_argument(
            "--revoke", action="store_true", help="delete the user's tokens instead"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        model = get_user_model()
        user = model._default_manager.filter(**{model.USERNAME_FIELD: options["username"]}).first()
        if user is None:
            raise CommandError(f"no user {options['username']!r}")
        if options["revoke"]:
            deleted, _ = ApiToken.objects.filter(user=user).delete()
            self.stdout.write(f"{deleted} revoked")
            return
        if not user.has_perm("oscar_fulfillment.place_free_order"):
            self.stderr.write("The user lacks the permission “place_free_order” as yet.")
        self.stdout.write(ApiToken.issue(user, options["label"]))
