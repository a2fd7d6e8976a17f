"""Images from and to registries (OCI distribution specification, and Docker's before it).

docs/registries.md tells how a registry is found, who it is told that one is, and what
is verified. Nothing in here reads the environment: `RegistrySettings` holds what counts.
"""
