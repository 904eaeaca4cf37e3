"""Makes a django-oscar shop speak to fulfilld."""

__version__ = "1.0.0"
