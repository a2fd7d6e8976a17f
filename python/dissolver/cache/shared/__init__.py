"""Caches that machines share: records and layers in registries, directories and buckets."""
