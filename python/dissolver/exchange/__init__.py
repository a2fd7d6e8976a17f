"""Images between places of every kind: registries, layouts, archives and the store.

The words for places are those of skopeo (containers-transports(5)); what is copied is
copied byte for byte wherever the target can keep it so.
"""
