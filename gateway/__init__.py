"""A GraphQL API over installations: the ties between third-party applications and company accounts."""
