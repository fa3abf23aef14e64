"""Storage of videos in S3: keys, uploads, manifests and indexes."""
