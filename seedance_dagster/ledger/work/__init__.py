"""Work on orders: the queue, claims, leases, polls and tasks."""
