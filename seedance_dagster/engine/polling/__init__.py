"""The choice of the task that is polled next: by its expected end, and by hints of the vendor's history."""
