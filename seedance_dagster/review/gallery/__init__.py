"""The gallery: stored videos in a browser, and verdicts on them. It needs the extra `gallery`."""
