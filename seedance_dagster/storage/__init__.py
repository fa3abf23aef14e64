"""Where videos live: S3 keys, uploads, manifests."""
