"""Videos, reference files and content credentials."""
