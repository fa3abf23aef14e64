"""The three stages of an order's way: submit, poll, collect."""
