"""HTTP: token endpoint and web page."""

from repartee.server.app import Site, create_app

__all__ = ["Site", "create_app"]
