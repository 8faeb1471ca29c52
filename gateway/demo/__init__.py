"""Example data: a marketplace, four accounts, and installations with a past, all made by the use cases themselves."""
