"""What an operator types, by the real rabbitmqadmin and the real fulfilld."""

import json

from .wait import wait_until


class Operator:
    """Stands at the console of one stack."""

    def __init__(self, stack):
        self.stack = stack
        self.client = stack.client

    def shovel(self, amount="queue-length", wait=True):
        """The one-shot shovel of docs/operations.md, from the dead queue to the orders queue."""
        name = self.client.name("requeue")
        uri = self.stack.broker.uri
        value = {"src-protocol": "amqp091", "src-uri": uri, "src-queue": self.client.name("dead"),
                 "src-delete-after": amount, "dest-protocol": "amqp091", "dest-uri": uri,
                 "dest-queue": self.client.name("orders"), "ack-mode": "on-confirm"}
        self.stack.broker.rabbitmqadmin("declare", "parameter", "component=shovel", f"name={name}",
                                        f"value={json.dumps(value)}")
        if wait:
            wait_until(lambda: name not in self.stack.broker.rabbitmqadmin("list", "parameters"),
                       "the shovel to be over", pause_s=0.2)

    def publish(self, message):
        """`rabbitmqadmin publish` of a resubmit."""
        said = self.stack.broker.rabbitmqadmin(
            "publish", f"exchange={self.client.name('orders')}", "routing_key=order.resubmit",
            f"payload={json.dumps(message)}")
        assert said == "Message published", said

    def command(self, *args):
        """`fulfilld ARGS…`, which must succeed; answers what it printed."""
        done = self.stack.daemon.command(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def requeue(self, *args):
        self.command("dead", "requeue", *args)
