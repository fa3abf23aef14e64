"""Requests to a stubbed S3 client, and its answers."""

from __future__ import annotations

import base64
import hashlib

from botocore.stub import ANY

SECRET = "canary-of-the-secret-key"
BODY = b"a video" * 100
SHA256 = hashlib.sha256(BODY).hexdigest()


def put(store, video) -> None:
    store.put_file(
        "k/video.mp4", video, content_type="video/mp4", sha256=SHA256, metadata={"seedance-task-id": "T-1"}
    )


def head(size: int = len(BODY), task_id: str | None = "T-1", **metadata: str):
    metadata |= {} if task_id is None else {"seedance-task-id": task_id}
    return {"ContentLength": size, "ContentType": "video/mp4", "Metadata": metadata, "ETag": '"e1"'}


def uploaded(**condition):
    return {
        "Bucket": "videos",
        "Key": "k/video.mp4",
        "Body": ANY,
        "ContentType": "video/mp4",
        "ContentMD5": base64.b64encode(hashlib.md5(BODY).digest()).decode(),
        "Metadata": {"seedance-task-id": "T-1", "sha256": SHA256},
    } | condition
