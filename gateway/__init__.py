"""A GraphQL API over installations: the ties between third-party applications and company accounts."""

__version__ = "0.1.0"
