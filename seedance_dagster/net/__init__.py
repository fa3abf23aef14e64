"""Hosts on the internet that are not the vendor: which links are followed, and how they are asked."""
