"""What clients see: types, queries, mutations, subscriptions, errors. A resolver calls one function and converts."""

from gateway.schema.enums import describe_enums

describe_enums()  # here, since Strawberry has to know an enum before any module defines a type that uses it
