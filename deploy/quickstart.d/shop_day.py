"""A day of a course shop: the courses it sells, the orders it takes, and what must become of each.

Pure: the same seed makes the same day. run_day.py publishes it, account.py holds the outcome against it.
"""

import dataclasses
import random

ALL_MODES = ["audit", "honor", "verified", "professional", "no-id-professional", "credit"]
SUBJECTS = ["Astronomy", "Biology", "Chemistry", "Databases", "Ecology", "French", "Geometry", "History"]
COURSES = [f"course-v1:HarborU+{subject}101+2026" for subject in SUBJECTS]
EXPIRED_COURSE = "course-v1:HarborU+Latin101+2025"
MISSING_COURSE = "course-v1:HarborU+Alchemy101+2026"
UNREGISTERED = ["mistyped.name", "left.last.year", "no.such.learner"]
FIRST_NAMES = ["ada", "ben", "chloe", "dev", "elif", "femi", "gita", "hugo", "ines", "jonas", "kaya", "lin"]


def course_uuid(course):
    """What an entitlement names instead of a course run."""
    return f"6a5f2c1e-0f0c-4f0f-8a53-{COURSES.index(course) + 1:012x}"


def lms_seed():
    """What the stand-in LMS must know before the day begins."""
    return {
        "courses": [{"id": course, "course_uuid": course_uuid(course), "modes": ALL_MODES} for course in COURSES]
        + [{"id": EXPIRED_COURSE, "modes": ["audit", {"slug": "verified", "expired": True}]}],
        "users": [{"username": name, "exists": False} for name in UNREGISTERED],
    }


@dataclasses.dataclass
class Order:
    """One order, and what must become of it."""

    message: dict
    outcome: str = "complete"      # or "dead"
    reason: str | None = None      # of the lines that fail
    enrollments: list = dataclasses.field(default_factory=list)   # (user, course, mode) the LMS must hold
    entitlements: list = dataclasses.field(default_factory=list)  # (user, course uuid, mode)
    published_twice: bool = False
    answer_lost: bool = False      # the LMS enrols, and its answer never arrives

    @property
    def number(self):
        return self.message["order_number"]

    @property
    def user(self):
        return self.message["user"]["username"]


class Counter:
    """Makes the orders of one day: each kind of order is one method, listed in KINDS with its share."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.count = 0

    # what an order is made of

    def new_order(self, user=None):
        self.count += 1
        user = user or f"{self.chance.choice(FIRST_NAMES)}.{self.count}"
        hour, minute = divmod(self.chance.randrange(24 * 60), 60)
        return Order({
            "schema": "fulfillment.order/1", "action": "fulfill", "order_number": f"SHOP-{100000 + self.count}",
            "date_placed": f"2026-09-01T{hour:02}:{minute:02}:00Z",
            "user": {"username": user, "email": f"{user}@example.com"},
            "tracking": {"ga_client_id": f"GA1.{self.count}", "lms_ip": "203.0.113.7"}, "lines": []})

    def add_line(self, order, product_class, title, attributes, user=None):
        number = len(order.message["lines"]) + 1
        line_id = self.count * 10 + number
        order.message["lines"].append({
            "id": line_id, "product_class": product_class, "sku": f"{line_id:07X}", "quantity": 1, "title": title,
            "user": user and {"username": user}, "attributes": attributes})

    def add_seat(self, order, mode="verified", course=None, user=None, enrols=True):
        """A seat in a mode, with the attributes from which the worker derives that mode."""
        course = course or self.chance.choice(COURSES)
        attributes = {"course_key": course, "certificate_type": mode,
                      "id_verification_required": mode != "no-id-professional"}
        if mode == "audit":
            del attributes["certificate_type"]
        if mode == "no-id-professional":
            attributes["certificate_type"] = "professional"
        if mode == "credit":
            attributes["credit_provider"] = "harbor-registrar"
        self.add_line(order, "Seat", f"Seat in {course}", attributes, user)
        if enrols:
            order.enrollments.append((user or order.user, course, mode))

    def seat(self, mode):
        order = self.new_order()
        self.add_seat(order, mode)
        return order

    # kinds of orders

    def several_courses(self):
        order = self.new_order()
        for course in self.chance.sample(COURSES, self.chance.randint(2, 4)):
            self.add_seat(order, self.chance.choice(["verified", "honor"]), course)
        return order

    def for_colleagues(self):
        order = self.new_order()
        course = self.chance.choice(COURSES)
        for colleague in range(1, 4):
            self.add_seat(order, "professional", course, user=f"{order.user}.colleague{colleague}")
        return order

    def entitlement(self):
        order = self.new_order()
        uuid = course_uuid(self.chance.choice(COURSES))
        self.add_line(order, "Course Entitlement", "Entitlement", {"UUID": uuid, "certificate_type": "verified"})
        order.entitlements.append((order.user, uuid, "verified"))
        return order

    def without_upstream(self, product_class):
        order = self.new_order()
        self.add_line(order, product_class, product_class, None)
        return order

    def seat_and_donation(self):
        order = self.seat("verified")
        self.add_line(order, "Donation", "Donation", None)
        return order

    def published_twice(self):
        order = self.seat("verified")
        order.published_twice = True
        return order

    def answer_lost(self):
        order = self.seat("verified")
        order.answer_lost = True
        return order

    def failing(self, reason, course=None, user=None, also_a_good_line=False):
        order = self.new_order(user)
        if also_a_good_line:
            self.add_seat(order)
        self.add_seat(order, course=course, enrols=False)
        order.outcome, order.reason = "dead", reason
        return order

    def unknown_course(self):
        return self.failing("course_unavailable", course=MISSING_COURSE)

    def half_unknown_course(self):
        return self.failing("course_unavailable", course=MISSING_COURSE, also_a_good_line=True)

    def expired_mode(self):
        return self.failing("mode_unavailable", course=EXPIRED_COURSE)

    def unknown_user(self):
        return self.failing("user_unknown", user=self.chance.choice(UNREGISTERED))


# share of a hundred orders, how to make one; the commonest first
KINDS = [
    (36, lambda counter: counter.seat("verified")),
    (9, lambda counter: counter.seat("audit")),
    (8, Counter.several_courses),
    (7, lambda counter: counter.seat("honor")),
    (6, Counter.seat_and_donation),
    (5, Counter.entitlement),
    (5, lambda counter: counter.seat("professional")),
    (4, Counter.for_colleagues),
    (3, lambda counter: counter.seat("no-id-professional")),
    (3, lambda counter: counter.seat("credit")),
    (2, Counter.unknown_course),
    (2, Counter.unknown_user),
    (2, Counter.expired_mode),
    (2, lambda counter: counter.without_upstream("Enrollment Code")),
    (2, lambda counter: counter.without_upstream("Donation")),
    (1, Counter.half_unknown_course),
    (1, lambda counter: counter.without_upstream("Coupon")),
    (1, Counter.published_twice),
    (1, Counter.answer_lost),
]


def make_orders(count, seed=2026):
    """count orders in mixed order; from twenty on, each kind is there at least once."""
    counter = Counter(seed)
    makers = [KINDS[0][1]] * count
    for share, make in KINDS:
        makers += [make] * max(1, count * share // 100)
    makers = makers[-count:]
    counter.chance.shuffle(makers)
    return [make(counter) for make in makers]
