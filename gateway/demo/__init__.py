"""Example data: a marketplace, four accounts, and installations with a history, all written by the use cases."""
