"""A GraphQL API over installations: the connections of third-party applications to company accounts."""

__version__ = "0.1.0"
