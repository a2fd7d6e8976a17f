"""Values into text: pure functions, but for ``progress``, which draws while time passes."""
