"""The processes behind `demo` and `dev`."""
