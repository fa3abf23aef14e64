"""The work of steps, sensor ticks and checks, imported when it runs."""
