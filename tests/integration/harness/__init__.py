"""Starts and drives the real servers that integration tests run against."""
