"""Images that come from outside: a Debian mirror, or a root file system in a tar."""
