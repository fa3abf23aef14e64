"""A caption for each video, and a report of all of them."""

import dagster as dg
from dagster_aws.s3 import S3Resource

from seedance_dagster import Video, prompt_partitions

LAUNCH = dg.AssetKey(["launch", "videos"])


def describe(path: str, prompt: str) -> str:
    """Return a caption of a video; a stand-in for the team's captioner."""
    return f"{prompt.partition(',')[0]} ({path.rpartition('.')[2]})"


@dg.asset(
    ins={"video": dg.AssetIn(key=LAUNCH)},
    partitions_def=prompt_partitions("launch"),
    # Made again when the bytes change, not when a run reports the same video once more.
    automation_condition=dg.AutomationCondition.eager().replace(
        "newly_updated", dg.AutomationCondition.data_version_changed()
    ),
    group_name="captions",
)
def captions(context: dg.AssetExecutionContext, video: Video, s3: S3Resource) -> dg.MaterializeResult:
    """Write the caption of each video to S3, beside the videos."""
    with video.local() as path:
        caption = describe(str(path), video.prompt)
    bucket, _, _ = video.uri.removeprefix("s3://").partition("/")
    key = f"captions/{context.partition_key}.txt"
    s3.get_client().put_object(Bucket=bucket, Key=key, Body=caption.encode())
    return dg.MaterializeResult(
        metadata={"caption": caption, "video": video.uri, "dagster/uri": f"s3://{bucket}/{key}"},
        data_version=dg.DataVersion(video.sha256),
    )


@dg.asset(
    ins={"videos": dg.AssetIn(key=LAUNCH)},
    deps=[captions],
    group_name="captions",
)
def launch_report(videos: dict[str, Video]) -> dg.MaterializeResult:
    """List all videos of the launch in one table, with what they cost."""
    rows = [
        dg.TableRecord({"partition": key, "prompt": video.prompt, "usd": video.cost_usd})
        for key, video in videos.items()
    ]
    return dg.MaterializeResult(
        metadata={
            "videos": dg.MetadataValue.table(rows),
            "usd": sum(video.cost_usd or 0 for video in videos.values()),
        }
    )
