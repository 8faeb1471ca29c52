"""What clients see: types, queries, mutations, subscriptions, errors. A resolver calls one function and converts."""
