"""Access to hosts other than the vendor's API: file hosts and reference hosts."""
