"""What can be done: one async function per intention, each owning its one transaction."""
