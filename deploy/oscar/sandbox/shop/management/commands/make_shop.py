"""Fills the sandbox with courses, modes, SKUs and users; safe to run again."""

import json
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
from oscar.core.loading import get_model

# The courses as the LMS must know them: what a Studio user would have set up there.
LMS_COURSES = [
    {
        "id": "course-v1:edX+DemoX+2026",
        "name": "Demonstration Course",
        "course_uuid": "6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e",
        "modes": ["audit", "honor", {"slug": "verified", "sku": "DEMOX-VERIFIED"}],
    },
    {
        "id": "course-v1:edX+DataX+2026",
        "name": "Data for Engineers",
        "course_uuid": "0c1d2e3f-4a5b-4c6d-8e7f-8a9b0c1d2e3f",
        "modes": [
            {"slug": "professional", "sku": "DATAX-PRO"},
            {"slug": "no-id-professional", "sku": "DATAX-PRO-NOID"},
            {"slug": "credit", "sku": "DATAX-CREDIT"},
        ],
    },
]
# sku, title, product class, price, attributes
PRODUCTS = [
    (
        "DEMOX-AUDIT",
        "Demonstration Course, audit",
        "Seat",
        "0.00",
        {"course_key": "course-v1:edX+DemoX+2026", "certificate_type": "audit"},
    ),
    (
        "DEMOX-HONOR",
        "Demonstration Course, honor",
        "Seat",
        "0.00",
        {"course_key": "course-v1:edX+DemoX+2026", "certificate_type": "honor"},
    ),
    (
        "DEMOX-VERIFIED",
        "Demonstration Course, verified",
        "Seat",
        "49.00",
        {
            "course_key": "course-v1:edX+DemoX+2026",
            "certificate_type": "verified",
            "id_verification_required": True,
        },
    ),
    (
        "DATAX-PRO",
        "Data for Engineers, professional",
        "Seat",
        "199.00",
        {
            "course_key": "course-v1:edX+DataX+2026",
            "certificate_type": "professional",
            "id_verification_required": True,
        },
    ),
    (
        "DATAX-PRO-NOID",
        "Data for Engineers, professional without ID",
        "Seat",
        "179.00",
        {
            "course_key": "course-v1:edX+DataX+2026",
            "certificate_type": "professional",
            "id_verification_required": False,
        },
    ),
    (
        "DATAX-CREDIT",
        "Data for Engineers, credit",
        "Seat",
        "299.00",
        {
            "course_key": "course-v1:edX+DataX+2026",
            "certificate_type": "credit",
            "credit_provider": "asu",
        },
    ),
    (
        "GHOSTX-VERIFIED",
        "A course the LMS does not know",
        "Seat",
        "49.00",
        {"course_key": "course-v1:edX+GhostX+2026", "certificate_type": "verified"},
    ),
    (
        "DEMOX-ENTITLEMENT",
        "Any run of Demonstration Course",
        "Course Entitlement",
        "99.00",
        {"UUID": LMS_COURSES[0]["course_uuid"], "certificate_type": "verified"},
    ),
    ("DONATION-10", "Donation", "Donation", "10.00", {}),
]
USERS = [
    # username, password, staff
    ("admin", "admin-pass-1", True),
    ("honor", "honor-pass-1", False),
    ("verified", "verified-pass-1", False),
    ("audit", "audit-pass-1", False),
    ("service", "service-pass-1", False),
]


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument(
            "--lms-seed",
            action="store_true",
            help="only print the courses, as a seed for the stand-in LMS (fulfill-lms --seed)",
        )

    @transaction.atomic
    def handle(self, *args, **options):
        if options["lms_seed"]:
            self.stdout.write(json.dumps({"courses": LMS_COURSES}, indent=2))
            return
        call_command("fulfillment_install", stdout=self.stdout)
        partner, _ = get_model("partner", "Partner").objects.get_or_create(
            code="courses", defaults={"name": "Courses"}
        )
        category_model = get_model("catalogue", "Category")
        category = category_model.objects.filter(name="Courses").first()
        category = category or category_model.add_root(name="Courses")
        for row in PRODUCTS:
            self._product(partner, category, *row)
        for username, password, staff in USERS:
            self._user(username, password, staff)
        self.stdout.write(f"{len(PRODUCTS)} products; users (all passwords: NAME-pass-1):")
        self.stdout.write("  " + ", ".join(name for name, _password, _staff in USERS))

    def _product(self, partner, category, sku, title, class_name, price, attributes):
        records = get_model("partner", "StockRecord").objects
        if records.filter(partner=partner, partner_sku=sku).exists():
            return
        product = get_model("catalogue", "Product")(
            title=title,
            product_class=get_model("catalogue", "ProductClass").objects.get(name=class_name),
        )
        options = get_model("catalogue", "AttributeOption").objects
        for code, value in attributes.items():
            if code == "certificate_type":
                value = options.get(group__name="Course mode", option=value)
            setattr(product.attr, code, value)
        product.save()
        product.categories.add(category)
        records.create(product=product, partner=partner, partner_sku=sku, price=Decimal(price))

    def _user(self, username, password, staff):
        user, created = get_user_model().objects.get_or_create(
            username=username,
            defaults={
                "email": f"{username}@example.com",
                "is_staff": staff,
                "is_superuser": staff,
            },
        )
        if created:
            user.set_password(password)
            user.save()
        if username == "service":
            user.user_permissions.add(Permission.objects.get(codename="place_free_order"))
