"""The local programs of `demo` and `dev`."""
