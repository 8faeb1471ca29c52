"""The rules: statuses and transitions, policy, metadata, events, errors. Pure functions; standard library only."""
