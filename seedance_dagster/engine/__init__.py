"""The engine: a pure lifecycle, and the asynchronous submitting, polling and collecting around it."""
