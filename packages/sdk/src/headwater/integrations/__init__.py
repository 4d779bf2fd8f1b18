"""Integrations with frameworks, one module each, imported only by who uses it.

`asgi` (Starlette, FastAPI), `wsgi`, `flask`, `django`, `celery`. They say for each
request, or task, what the events captured in it have in common, and capture pageviews
and exceptions if asked to.
"""
