import json

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from oscar.core.loading import get_model

from oscar_fulfillment import placing
from oscar_fulfillment.models import ApiToken, OutboxMessage

LINK = "/fulfillment/basket/add/"
API = "/fulfillment/api/v1/orders/"


@pytest.fixture
def client(client, shop):
    client.force_login(shop.honor)
    return client


def test_a_link_puts_a_product_into_the_basket_and_starts_the_checkout(shop, client):
    shop.product("A")
    answer = client.get(LINK, {"sku": "A"})
    assert answer.url == reverse("checkout:index")
    client.get(LINK, {"sku": "A"})
    basket = get_model("basket", "Basket").objects.get(owner=shop.honor)
    assert basket.lines.get().quantity == 1, "following a link twice does not buy twice"


def test_a_link_to_an_unknown_product_says_so(shop, client):
    answer = client.get(LINK, {"sku": "<b>nothing</b>"}, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("basket:summary")
    assert "There is no product" in answer.content.decode()
    assert "<b>nothing" not in answer.content.decode()
    assert client.get(LINK).url == reverse("basket:summary")


def test_a_link_may_name_a_learner(shop, client):
    shop.user("ada")
    shop.product("A")
    assert client.get(LINK, {"sku": "A", "learner": "ada"}).url == reverse("checkout:index")
    line = get_model("basket", "Line").objects.get()
    assert line.attributes.get().value == "ada"
    assert client.get(LINK, {"sku": "A", "learner": "nobody"}).url == reverse("basket:summary")


def test_a_stranger_learns_nothing_of_who_has_an_account(shop, client):
    client.logout()
    shop.product("A")
    client.get(LINK, {"sku": "A", "learner": "honor"})
    assert not get_model("basket", "Line").objects.exists()


def test_the_link_changes_nothing_by_other_methods(client):
    assert client.post(LINK).status_code == 405


def checkout(client):
    """Follows Oscar's checkout to its end, as a browser does."""
    page = client.get(reverse("checkout:index"), follow=True)
    assert page.redirect_chain[-1][0] == reverse("checkout:preview"), page.redirect_chain
    return client.post(reverse("checkout:preview"), {"action": "place_order"}, follow=True)


def test_a_free_product_skips_the_payment_and_is_fulfilled_at_once(shop, client):
    shop.product("FREE", price="0.00")
    client.get(LINK, {"sku": "FREE"})
    page = checkout(client)
    assert page.redirect_chain[-1][0] == reverse("checkout:thank-you")
    order = get_model("order", "Order").objects.get()
    assert order.status == "Open"
    assert json.loads(OutboxMessage.objects.get().body)["order_number"] == order.number
    assert json.loads(OutboxMessage.objects.get().body)["tracking"] == {"lms_ip": "127.0.0.1"}


def test_a_product_with_a_price_goes_by_the_payment_page(shop, client):
    shop.product("A")
    client.get(LINK, {"sku": "A"})
    page = client.get(reverse("checkout:index"), follow=True)
    assert page.redirect_chain[-1][0] == reverse("checkout:payment-details")


def test_the_product_page_checks_the_learner(shop, client):
    product = shop.product("A")
    url = reverse("basket:add", kwargs={"pk": product.pk})
    client.post(url, {"quantity": 1, "learner": "nobody"})
    assert not get_model("basket", "Line").objects.exists()
    client.post(url, {"quantity": 1, "learner": "admin"})
    assert get_model("basket", "Line").objects.get().attributes.get().value == "admin"


@pytest.fixture
def api(client, shop):
    client.logout()
    service = shop.user("service")
    service.user_permissions.add(Permission.objects.get(codename="place_free_order"))
    token = ApiToken.issue(service)
    shop.product("FREE", price="0.00")
    shop.product("PAID")

    def post(body, token=token, key=None, **extra):
        headers = {"Authorization": f"Bearer {token}"}
        if key:
            headers["Idempotency-Key"] = key
        text = body if isinstance(body, str) else json.dumps(body)
        return client.post(API, text, content_type="application/json", headers=headers, **extra)

    post.token = token
    return post


def orders():
    return get_model("order", "Order").objects


def test_the_endpoint_places_a_free_order(shop, api, client):
    answer = api({"sku": "FREE", "username": "honor"})
    assert answer.status_code == 201
    order = orders().get()
    assert order.user == shop.honor
    assert answer.json()["order_number"] == order.number
    assert answer.json()["lines"][0]["status"] == "Open"
    assert OutboxMessage.objects.count() == 1
    headers = {"Authorization": f"Bearer {api.token}"}
    assert client.get(answer["Location"], headers=headers).json()["status"] == "Open"
    shop.tell(order, "complete")
    assert client.get(answer["Location"], headers=headers).json()["status"] == "Complete"


def test_a_repeated_key_places_no_second_order(api):
    first = api({"sku": "FREE", "username": "honor"}, key="k-1")
    second = api({"sku": "FREE", "username": "honor"}, key="k-1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["order_number"] == second.json()["order_number"]
    assert orders().count() == 1
    assert api({"sku": "FREE", "username": "admin"}, key="k-1").status_code == 422
    assert api({"sku": "FREE", "username": "honor"}, key="k-2").status_code == 201


def test_a_key_of_a_refused_request_may_be_used_again(api):
    assert api({"sku": "NOPE", "username": "honor"}, key="k-1").status_code == 404
    assert api({"sku": "FREE", "username": "honor"}, key="k-1").status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sku": "PAID", "username": "honor"}, 409, "not_free"),
        ({"sku": "NOPE", "username": "honor"}, 404, "unknown_sku"),
        ({"sku": "FREE", "username": "nobody"}, 404, "unknown_username"),
        ({"sku": "FREE"}, 400, "invalid"),
        ({"sku": 5, "username": "honor"}, 400, "invalid"),
        ({"sku": "FREE\x00", "username": "honor"}, 400, "invalid"),
        ([], 400, "invalid"),
        ("{", 400, "invalid"),
        ("[" * 50_000, 400, "invalid"),
        ('"' + "x" * 70_000 + '"', 413, "too_large"),
    ],
)
def test_a_wrong_request_has_its_answer_and_no_order(api, body, status, code):
    answer = api(body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert not orders().exists()
    assert not get_model("basket", "Basket").objects.exists()


def test_the_endpoint_wants_a_token_and_a_permission(shop, api, client):
    body = {"sku": "FREE", "username": "honor"}
    assert api(body, token="wrong").status_code == 401
    assert client.post(API, body, content_type="application/json").status_code == 401
    assert api(body, token=ApiToken.issue(shop.honor)).status_code == 403
    client.force_login(shop.staff)
    assert client.post(API, body, content_type="application/json").status_code == 401
    assert not orders().exists()


def test_a_token_is_kept_as_a_hash_only(shop):
    secret = ApiToken.issue(shop.honor)
    assert secret not in str(ApiToken.objects.values().get())


def test_an_inactive_user_has_no_token(shop, api):
    get_model("basket", "Basket")
    service = ApiToken.objects.get().user
    service.is_active = False
    service.save()
    assert api({"sku": "FREE", "username": "honor"}).status_code == 401


def test_a_script_may_place_a_free_order_for_somebody_else(shop):
    shop.product("FREE", price="0.00")
    order = placing.place_free_order(shop.honor, "FREE", learner="admin")
    message = json.loads(OutboxMessage.objects.get().body)
    assert message["order_number"] == order.number
    assert message["lines"][0]["user"]["username"] == "admin"
