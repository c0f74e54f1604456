"""Bulk jobs over Celery: what the workers are, what they load, and a try of it. See deploy/celery."""
