"""Work on orders: what is queued, due, leased, claimed, sent and polled."""
