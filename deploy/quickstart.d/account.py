"""Holds what happened against what was ordered: the events, the LMS's own state, the queues. Pure."""

import collections

FINISHED = {"Complete", "Refunded"}


def problems(orders, tally, state, depths):
    """Every disagreement as a sentence; none when every order is accounted for.

    state: what the LMS holds; depths: messages in the queues orders, retry, solo, unrouted and dead.
    """
    found = []
    for order in orders:
        found += event_problems(order, tally)
    found += lms_problems(orders, state)
    found += queue_problems(orders, depths)
    return found


def event_problems(order, tally):
    final = tally.final.get(order.number)
    if final is None:
        last = tally.last_outcome.get(order.number, "none")
        return [f"{order.number}: no final event; the last one was {last}"]
    if len(tally.finals[order.number]) > 1:
        return [f"{order.number}: two different final events"]
    if final["outcome"] != order.outcome:
        return [f"{order.number}: ended {final['outcome']}, expected {order.outcome}: {reasons(final)}"]
    if order.reason and reasons(final) != {order.reason}:
        return [f"{order.number}: failed for {reasons(final)}, expected {order.reason}"]
    return []


def reasons(final):
    """The reason codes of the lines that are not finished."""
    unfinished = (line for line in final["lines"] if line["status"] not in FINISHED)
    return {(line.get("reason") or {}).get("code") for line in unfinished}


def lms_problems(orders, state):
    enrolled = [(e["last_order"], e["user"], e["course"], e["mode"])
                for e in state["enrollments"] if e["is_active"]]
    entitled = [(e["order_number"], e["user"], e["course_uuid"], e["mode"])
                for e in state["entitlements"] if not e["expired"]]
    found = compare("enrolled", [(o.number, *bought) for o in orders for bought in o.enrollments], enrolled)
    found += compare("entitled", [(o.number, *bought) for o in orders for bought in o.entitlements], entitled)
    found += [f"{e['last_order']}: {e['user']} was enrolled {e['enrolls_of_order']} times in {e['course']}"
              for e in state["enrollments"] if e["enrolls_of_order"] > 1]
    return found


def compare(word, expected, actual):
    """Both as multisets, so that a second copy is seen too."""
    expected, actual = collections.Counter(expected), collections.Counter(actual)
    found = [f"{number}: not {word} as bought: {', '.join(what)}" for number, *what in expected - actual]
    found += [f"{number}: {word}, but not (or not so often) bought: {', '.join(what)}"
              for number, *what in actual - expected]
    return found


def queue_problems(orders, depths):
    dead = sum(1 for order in orders if order.outcome == "dead")
    found = [f"{count} messages are left in {queue}"
             for queue, count in depths.items() if queue != "dead" and count]
    if depths["dead"] != dead:
        found.append(f"{depths['dead']} messages are in the dead queue, expected {dead}")
    return found
