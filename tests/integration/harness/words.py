"""Requests and events as short texts, so that a test states what it expects in one line and a failure reads as a difference."""


def request_words(entry):
    """"POST 503" of a ledger entry, or what became of its answer: "POST never"."""
    told = entry["status"] and entry["answered"] and entry["fault"] != "big"
    return f"{entry['method']} {entry['status'] if told else entry['fault']}"


def requests_words(entries):
    return [request_words(entry) for entry in entries]


def event_words(event):
    """"complete 2" or "retrying 1: Server Error, server_error, 503" of a one-line order; the number is its attempt."""
    text = f"{event.outcome} {event.data['attempt']}"
    reason = event.line["reason"]
    if reason is None:
        return text
    return f"{text}: {event.line['status'].removeprefix('Fulfillment ')}, {reason['code']}, {reason['http_status']}"


def events_words(events):
    return [event_words(event) for event in events]
