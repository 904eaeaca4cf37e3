"""Who may use the REST endpoint, and which of their requests were already carried out."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A bearer token of one shop user; only its hash is kept."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="fulfillment_tokens"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    label = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"token {self.pk} of user {self.user_id}"

    @staticmethod
    def hash(secret: str) -> str:
        """What is stored of a token. The token is random, so a plain hash is enough."""
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def issue(cls, user: models.Model, label: str = "") -> str:
        """Makes a token and returns it; it cannot be read again."""
        secret = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=cls.hash(secret), label=label)
        return secret


class ApiRequest(models.Model):
    """An ``Idempotency-Key`` that was used: repeating it answers with the same order."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=128)
    digest = models.CharField(max_length=64)
    order = models.ForeignKey("order.Order", null=True, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="fulfillment_request_once")
        ]

    def __str__(self) -> str:
        return f"request {self.pk} of user {self.user_id}"
