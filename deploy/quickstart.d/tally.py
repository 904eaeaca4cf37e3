"""What is known of the day so far: when each order was published and what events came. Pure; times in seconds."""


class Tally:
    """Orders by number, from publishing to the final event."""

    def __init__(self):
        self.published_at = {}
        self.first_event_at = {}
        self.final_at = {}
        self.final = {}        # number: the event's data
        self.finals = {}       # number: ids of the final events, one when all is well
        self.last_outcome = {}

    def published(self, number, now_s):
        self.published_at.setdefault(number, now_s)

    def event(self, event, outcome, now_s):
        """Takes one status event. The same event may come again: it says the same, so the first counts."""
        data = event["data"]
        number = data["order_number"]
        self.first_event_at.setdefault(number, now_s)
        self.last_outcome[number] = outcome
        if data["final"]:
            self.final_at.setdefault(number, now_s)
            self.final.setdefault(number, {**data, "outcome": outcome})
            self.finals.setdefault(number, set()).add(event["id"])

    @property
    def orders_in(self):
        return len(self.published_at)

    @property
    def in_hand(self):
        """Orders of which nothing was heard yet."""
        return len(self.published_at) - len(self.first_event_at)

    def count(self, outcome):
        return sum(1 for data in self.final.values() if data["outcome"] == outcome)

    def latencies(self, numbers):
        """Sorted times from publishing to the final event, of these orders."""
        return sorted(self.final_at[number] - self.published_at[number]
                      for number in numbers if number in self.final_at)

    def undisturbed(self):
        """Orders whose first event was the final one: they never waited for a retry."""
        return [number for number, at in self.final_at.items() if at == self.first_event_at[number]]


def percentile(sorted_values, share):
    """The value below which that share of the values lies; 0 of none."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
