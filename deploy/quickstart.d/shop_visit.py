"""What a learner and staff do in the sandbox shop, over HTTP as a browser would: forms, cookies, pages.

    shop_visit.py --shop URL --lms URL buy SKU --number-file FILE    prints the steps, writes the order's number
                                       until-complete NUMBER         waits; prints what the panel says meanwhile
                                       until-waiting NUMBER          waits until the panel says why the order waits
                                       enrolled                      prints who is enrolled at the stand-in LMS
                                       remember FILE                 adds the LMS's enrollments to its seed
"""

import argparse
import html.parser
import http.cookiejar
import json
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from lms import Lms

DEADLINE_S = 120
LEARNER = ("honor@example.com", "honor-pass-1")
STAFF = ("admin@example.com", "admin-pass-1")


class Page(html.parser.HTMLParser):
    """A page's forms and the words of its elements, as far as the visits need them."""

    VOID = {"input", "br", "img", "link", "meta", "hr", "rect", "line", "path", "source", "wbr"}

    def __init__(self, url, text):
        super().__init__()
        self.url = url
        self.forms = []
        self.words = {}      # words by class and "#id" of the elements that hold them
        self._open = []      # (tag, names) of the elements we are in
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append({"action": attributes.get("action") or "", "id": attributes.get("id"), "fields": {}})
        elif tag in ("input", "button") and self.forms and attributes.get("name"):
            if attributes.get("type") not in ("checkbox", "radio") or "checked" in attributes:
                self.forms[-1]["fields"][attributes["name"]] = attributes.get("value") or ""
        if tag not in self.VOID:
            names = (attributes.get("class") or "").split()
            if attributes.get("id"):
                names.append("#" + attributes["id"])
            self._open.append((tag, names))

    def handle_endtag(self, tag):
        while self._open:
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data):
        if self._open and self._open[-1][0] in ("script", "style"):
            return
        for _, names in self._open:
            for name in names:
                self.words.setdefault(name, []).append(data)

    def text(self, name):
        """The words within the element of a class, or of an "#id"."""
        return " ".join(" ".join(self.words.get(name, [])).split())

    def form(self, field):
        """The form that has a field of this name."""
        for form in self.forms:
            if field in form["fields"]:
                return form
        raise SystemExit(f"no form with {field} on {self.url}")


class Visitor:
    """Somebody with a browser."""

    def __init__(self, shop):
        self.shop = shop
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def _request(self, url, data=None):
        encoded = None if data is None else urllib.parse.urlencode(data).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self.shop, url), encoded, {"Referer": self.shop})
        with self._opener.open(request, timeout=60) as answer:
            return Page(answer.url, answer.read().decode())

    def open(self, path):
        return self._request(path)

    def submit(self, page, field, **values):
        form = page.form(field)
        return self._request(urllib.parse.urljoin(page.url, form["action"]), {**form["fields"], **values})

    def log_in(self, name, password):
        page = self.open("/accounts/login/")
        answer = self.submit(page, "login-username", **{"login-username": name, "login-password": password})
        if answer.url.endswith("/accounts/login/"):
            raise SystemExit(f"{name} cannot log in")
        return self


def buy(options):
    learner = Visitor(options.shop).log_in(*LEARNER)
    print(f"  logs in as {LEARNER[0]} and follows the link {options.shop}/fulfillment/basket/add/?sku={options.sku}")
    page = learner.open(f"/fulfillment/basket/add/?sku={options.sku}")
    if page.url.endswith("/payment-details/"):
        page = learner.open("/checkout/preview/")
    page = learner.submit(page, "action")
    words = page.text("lead")
    if not page.url.endswith("/thank-you/"):
        raise SystemExit(f"the shop did not take the order: {page.url}")
    number = words.split("your order number is")[1].split(".")[0].strip()
    print(f"  clicks “Place order”: order {number} is placed")
    pathlib.Path(options.number_file).write_text(number)


def verdict(staff, number):
    """What the order's panel says in its first lines."""
    page = staff.open(f"/dashboard/orders/{number}/")
    state, *why = [words.strip() for words in page.words["fulfillment-verdict"] if words.strip()]
    return ". ".join([state, " ".join(why)]) if why else state


def wait_for_verdict(options, wanted):
    """Looks at the panel as staff until it says one of the wanted words; prints what is new on the way."""
    staff = Visitor(options.shop).log_in(*STAFF)
    deadline = time.monotonic() + DEADLINE_S
    said = None
    while True:
        words = verdict(staff, options.number)
        if words != said:
            print(f"  the order's page in the dashboard says: {words}")
            said = words
        if words.startswith(wanted):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"order {options.number} should be “{wanted}” by now")
        time.sleep(0.25)


def until_complete(options):
    wait_for_verdict(options, "Complete")


def until_waiting(options):
    wait_for_verdict(options, "Waiting for a retry")


def enrollments(lms):
    return [{key: row[key] for key in ("user", "course", "mode", "is_active")} for row in lms.state()["enrollments"]]


def enrolled(options):
    for row in enrollments(Lms(options.lms)):
        print(f"  the LMS says: {row['user']} is enrolled in {row['course']}, {row['mode']}")


def remember(options):
    seed_file = pathlib.Path(options.file)
    seed = json.loads(seed_file.read_text())
    seed["enrollments"] = enrollments(Lms(options.lms))
    seed_file.write_text(json.dumps(seed))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shop", required=True)
    parser.add_argument("--lms", required=True)
    commands = parser.add_subparsers(required=True)
    for name, act, argument in (("buy", buy, "sku"), ("until-complete", until_complete, "number"),
                                ("until-waiting", until_waiting, "number"), ("enrolled", enrolled, None),
                                ("remember", remember, "file")):
        command = commands.add_parser(name)
        command.set_defaults(act=act)
        if argument:
            command.add_argument(argument)
        if act is buy:
            command.add_argument("--number-file", required=True)
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    options.act(options)


if __name__ == "__main__":
    main()
