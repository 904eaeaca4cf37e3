#!/usr/bin/python3
"""Publishes a day of orders, shows what becomes of them, and accounts for every one.

Called by deploy/quickstart with the servers running. Exit 0: every order ended as it must; 1: one did not, and
which; 2: a server went away.
"""

import argparse
import asyncio
import logging
import sys
import time
import urllib.error

from account import problems
from broker import Broker
from lms import Lms
from report import Progress, progress_text, table
from shop_day import lms_seed, make_orders
from tally import Tally

IN_HAND = 256            # orders the shop lets run at once, so that times are not those of one long queue
OUTAGE_BEGINS = 0.55     # of the orders
OUTAGE_ENDS = 0.75
OUTAGE_S = 3.0
STALLED_AFTER_S = 60.0   # nothing happens in between takes longer than a few seconds
SHOWN_PROBLEMS = 10


class Day:
    """One run: the tasks publish and watch share a tally."""

    def __init__(self, orders, shop, lms, progress):
        self.orders, self.shop, self.lms, self.progress = orders, shop, lms, progress
        self.tally = Tally()
        self.lms_is_well = True
        self.outage_at_s = None
        self.last_event_s = time.monotonic()

    def on_event(self, event, outcome):
        self.last_event_s = time.monotonic()
        self.tally.event(event, outcome, self.last_event_s)

    async def publish(self):
        """Morning, an outage of the LMS, evening."""
        first, last = (int(len(self.orders) * share) for share in (OUTAGE_BEGINS, OUTAGE_ENDS))
        await self.publish_some(self.orders[:first])
        while self.tally.in_hand:
            await asyncio.sleep(0.01)
        await self.outage(self.orders[first:last])
        await self.publish_some(self.orders[last:])

    async def outage(self, orders):
        self.lms.outage()
        self.lms_is_well, self.outage_at_s = False, time.monotonic()
        await self.publish_some(orders)
        await asyncio.sleep(max(0.0, self.outage_at_s + OUTAGE_S - time.monotonic()))
        self.lms.recover()
        self.lms_is_well = True

    async def publish_some(self, orders):
        for order in orders:
            while self.lms_is_well and self.tally.in_hand >= IN_HAND:
                await asyncio.sleep(0.002)
            self.tally.published(order.number, time.monotonic())
            for copy in range(2 if order.published_twice else 1):
                await self.shop.publish(order.message, f"{order.number}-{copy}")

    async def watch(self, publishing):
        """Shows the progress until every order has its final event, or nothing moves any more."""
        while not publishing.done() or len(self.tally.final) < len(self.orders):
            waiting = await self.shop.waiting()
            self.progress.show(progress_text(self.tally, len(self.orders), waiting, self.lms_is_well))
            if time.monotonic() - self.last_event_s > STALLED_AFTER_S:
                break
            await asyncio.sleep(0.2)
        publishing.cancel()
        self.progress.show(progress_text(self.tally, len(self.orders), await self.shop.waiting(), True), force=True)
        self.progress.end()

    async def settled_depths(self):
        """Depths of the queues, once nothing is on its way any more (the last acks are a moment behind)."""
        dead = sum(1 for order in self.orders if order.outcome == "dead")
        deadline_s = time.monotonic() + 10
        while True:
            depths = {name: await self.shop.depth(name) for name in ("orders", "solo", "unrouted", "dead")}
            depths["retry"] = await self.shop.waiting()
            if sum(depths.values()) == dead or time.monotonic() > deadline_s:
                return depths
            await asyncio.sleep(0.1)


async def run(options):
    lms = Lms(options.lms)
    orders = make_orders(options.orders)
    lms.configure(lms_seed())
    lms.lose_answers([order.user for order in orders if order.answer_lost])
    async with Broker(options.amqp, options.prefix) as shop, Broker(options.amqp, options.prefix) as events:
        await shop.confirm()
        day = Day(orders, shop, lms, Progress(sys.stdout))
        events.consume(day.on_event)
        publishing = asyncio.create_task(day.publish())
        watching = asyncio.create_task(day.watch(publishing))
        await first_failure(watching, publishing, shop.failed, events.failed)
        depths = await day.settled_depths()
    return conclude(day, problems(orders, day.tally, lms.state(), depths), lms.stats())


async def first_failure(watching, *others):
    """Waits for watching; whatever of the others fails first ends it."""
    waiting_for = {watching, *others}
    while not watching.done():
        done, waiting_for = await asyncio.wait(waiting_for, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()


def conclude(day, found, stats):
    print("\n".join(["", *table(day.tally, stats, day.outage_at_s or time.monotonic()), ""]))
    for sentence in found[:SHOWN_PROBLEMS]:
        print(f"  NOT AS IT MUST BE: {sentence}")
    if found:
        print(f"  {len(found):,} things are not as they must be")
        return 1
    print(f"  All {len(day.orders):,} orders are accounted for: each ended as it must, the LMS holds exactly what was"
          "\n  bought, and nothing twice.")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--amqp", required=True, metavar="URI")
    parser.add_argument("--prefix", default="fulfillment")
    parser.add_argument("--lms", required=True, metavar="URL")
    parser.add_argument("--orders", type=int, default=1000, metavar="N")
    options = parser.parse_args()
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(run(options))
    except (ConnectionError, urllib.error.URLError) as error:
        print(f"\nquickstart: a server went away: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
