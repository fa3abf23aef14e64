"""Orders whose reply was lost: the vendor's history, matching, and resolving them by hand."""
