"""Files in containers from outside: `cp`."""
