"""Reconciling uncertain orders: the vendor's task history, matching, evidence, and resolution by hand."""
