"""The app and RabbitMQ over TLS: which certificates are trusted, for which host, and whose."""

import shutil
import subprocess

import pytest
from django.core.management import CommandError, call_command

from oscar_fulfillment.consumer import EventConsumer
from oscar_fulfillment.relay import Relay
from tests.conftest import statuses_of

pytestmark = [
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]

# Two authorities; of the first a certificate for localhost, and one for the shop.
CERTIFICATES = """
set -e
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
for ca in ca other; do $new -x509 -days 2 -subj /CN=$ca -keyout $ca.key -out $ca.pem; done
echo subjectAltName=DNS:localhost > san
for name in server shop; do
    $new -subj /CN=$name -keyout $name.key -out $name.csr
    openssl x509 -req -days 2 -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san \
        -out $name.pem
done
chmod 644 *.key
"""


@pytest.fixture(scope="module")
def tls(rabbitmq, tmp_path_factory):
    """A TLS listener on the node that wants a client's certificate; its port and the folder."""
    from harness.ports import free_port

    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["sh", "-c", CERTIFICATES], cwd=folder, check=True, capture_output=True)
    port = free_port()
    rabbitmq.rabbitmqctl(
        "eval",
        "{ok, _} = application:ensure_all_started(ssl), ok = rabbit_networking:start_ssl_listener("
        f'{{"127.0.0.1", {port}}}, [{{cacertfile, "{folder}/ca.pem"}}, '
        f'{{certfile, "{folder}/server.pem"}}, {{keyfile, "{folder}/server.key"}}, '
        "{verify, verify_peer}, "
        "{fail_if_no_peer_cert, true}], 1).",
    )
    return port, folder


@pytest.fixture
def over_tls(broker, tls, settings):
    """Sets the shop's broker settings: a host name, and files by their names."""
    port, folder = tls

    def configure(host="localhost", **files):
        settings.OSCAR_FULFILLMENT = {
            **settings.OSCAR_FULFILLMENT,
            "AMQP_URLS": [f"amqps://guest:guest@{host}:{port}/%2F"],
            **{f"AMQP_TLS_{kind}_FILE": str(folder / name) for kind, name in files.items()},
        }

    return configure


MINE = {"CA": "ca.pem", "CERT": "shop.pem", "KEY": "shop.key"}


def test_orders_and_events_travel_over_tls(shop, broker, over_tls):
    over_tls(**MINE)
    order = shop.order()
    assert Relay().run_once() == 1
    assert len(broker.received()) == 1
    broker.send_event(shop.event(order, "complete"))
    assert EventConsumer().run(until_idle=True) == 1
    assert statuses_of(order) == ("Complete", ["Complete"])


@pytest.mark.parametrize(
    ("host", "files", "words"),
    [
        ("localhost", {**MINE, "CA": "other.pem"}, "self-signed certificate|unable to get local"),
        ("127.0.0.1", MINE, "IP address mismatch"),
        ("localhost", {"CA": "ca.pem"}, "broker away"),
        ("localhost", {**MINE, "CA": "missing.pem"}, "missing.pem|No such file"),
    ],
    ids=["another authority", "another host", "no certificate of its own", "no such file"],
)
def test_whom_it_does_not_trust_it_tells_nothing(shop, broker, over_tls, host, files, words):
    over_tls(host, **files)
    shop.order()
    with pytest.raises(CommandError, match=words):
        call_command("fulfillment_relay", "--once")
    assert broker.received() == []
