"""The REST endpoint: places an order for a free product, and says how an order stands.

Authenticated by a bearer token (``manage.py fulfillment_token``) of a user with the permission
``place_free_order``. Plain Django: one resource with two verbs needs no framework.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from oscar.core.loading import get_model

from oscar_fulfillment import conf, placing
from oscar_fulfillment.models import ApiRequest, ApiToken
from oscar_fulfillment.reasons import in_words

PERMISSION = "oscar_fulfillment.place_free_order"
STATUS_OF_CODE = {
    "unknown_sku": 404,
    "unknown_username": 404,
    "unknown_learner": 404,
    "not_free": 409,
    "not_available": 409,
    "needs_shipping": 409,
}


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


@method_decorator(csrf_exempt, name="dispatch")
class ApiView(View):
    """Authentication and error answers. No cookie is looked at, so CSRF has no hold."""

    user: Any

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            self.user = self._authenticate(request)
            return super().dispatch(request, *args, **kwargs)
        except ApiError as error:
            response = JsonResponse(
                {"error": {"code": error.code, "message": str(error)}}, status=error.status
            )
            if error.status == 401:
                response["WWW-Authenticate"] = 'Bearer realm="fulfillment"'
            return response

    @staticmethod
    def _authenticate(request: HttpRequest) -> Any:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise ApiError(401, "no_token", "A bearer token is needed.")
        token = (
            ApiToken.objects.select_related("user")
            .filter(digest=ApiToken.hash(secret.strip()))
            .first()
        )
        if token is None or not token.user.is_active:
            raise ApiError(401, "bad_token", "The token is not valid.")
        if not token.user.has_perm(PERMISSION):
            raise ApiError(403, "forbidden", f"The permission {PERMISSION} is needed.")
        return token.user


class OrdersView(ApiView):
    """``POST {"sku": …, "username": …}``; 201 with the order, 200 when it was placed before."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> JsonResponse:
        body = self._body(request)
        sku, username = self._text(body, "sku"), self._text(body, "username")
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > 128:
            raise ApiError(400, "invalid", "Idempotency-Key: at most 128 characters")
        model = get_user_model()
        learner = model._default_manager.filter(
            **{model.USERNAME_FIELD: username}, is_active=True
        ).first()
        if learner is None:
            raise ApiError(404, "unknown_username", "There is no such user.")
        order, created = self._place(request, learner, sku, key, (sku, username))
        response = JsonResponse(describe(order), status=201 if created else 200)
        response["Location"] = reverse("fulfillment:api-order", args=[order.number])
        return response

    def _place(
        self, request: HttpRequest, learner: Any, sku: str, key: str, what: tuple[str, str]
    ) -> tuple[Any, bool]:
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        try:
            with transaction.atomic():
                entry = None
                if key:
                    # Inserted first: a second request with the key waits here for the first.
                    entry = ApiRequest.objects.create(user=self.user, key=key, digest=digest)
                order = placing.place_free_order(learner, sku, request=request)
                if entry is not None:
                    entry.order = order
                    entry.save(update_fields=["order"])
                return order, True
        except placing.CannotPlace as error:
            raise ApiError(STATUS_OF_CODE.get(error.code, 409), error.code, str(error)) from error
        except IntegrityError:
            before = ApiRequest.objects.filter(user=self.user, key=key).first() if key else None
            if before is None or before.order is None:
                raise
            if before.digest != digest:
                raise ApiError(
                    422, "key_reused", "This Idempotency-Key was used for another request."
                ) from None
            return before.order, False

    @staticmethod
    def _body(request: HttpRequest) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise ApiError(415, "not_json", "Content-Type must be application/json.")
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > conf.get("API_MAX_BODY"):
            raise ApiError(413, "too_large", "The body is too large.")
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise ApiError(400, "invalid", "The body is not JSON.") from None
        if not isinstance(body, dict):
            raise ApiError(400, "invalid", "The body must be an object.")
        return body

    @staticmethod
    def _text(body: dict[str, Any], name: str) -> str:
        value = body.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 150 or "\x00" in value:
            raise ApiError(400, "invalid", f"{name}: expected a text of 1 to 150 characters")
        return value


class OrderView(ApiView):
    """``GET``: how an order stands, line by line."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, number: str) -> JsonResponse:
        order = get_model("order", "Order").objects.filter(number=number).first()
        if order is None:
            raise ApiError(404, "unknown_order", "There is no such order.")
        return JsonResponse(describe(order))


def describe(order: Any) -> dict[str, Any]:
    """An order as the endpoint writes one."""
    lines = []
    for line in order.lines.select_related("fulfillment"):
        known = getattr(line, "fulfillment", None)
        due = known.next_attempt_at if known else None
        lines.append(
            {
                "id": line.pk,
                "sku": line.partner_sku,
                "status": line.status,
                "reason": in_words(known.reason_code, known.reason_message, known.http_status)
                if known
                else "",
                "attempts": known.attempts if known else 0,
                "next_attempt_at": due.isoformat() if due else None,
            }
        )
    return {"order_number": order.number, "status": order.status, "lines": lines}
