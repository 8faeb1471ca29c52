"""What is true: statuses and transitions, policy, metadata rules, events, errors. Pure: standard library only."""
