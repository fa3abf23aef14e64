"""The IO manager of a set's assets: the inputs of assets downstream of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_origin

import dagster as dg

from seedance_dagster.defs.naming import ACCEPTED, LEDGER, STORE, VIDEOS, Names, asset_key, prompt_set_of
from seedance_dagster.defs.resources import LedgerResource, VideoStoreResource

if TYPE_CHECKING:
    from seedance_dagster.datasets.video import Video


class VideoInputs(dg.IOManager):
    """The videos of a set: a `Video` for a run of one partition, else a dict of them by partition key.

    If the parameter is annotated, the annotation decides: `Video`, or `dict[str, Video]`, which leaves out
    partitions without a video. `<set>/accepted` gives accepted videos only. No other
    asset of a set can be a parameter.
    """

    def __init__(
        self, instance: dg.DagsterInstance, ledger: LedgerResource, video_store: VideoStoreResource
    ) -> None:
        self._instance = instance
        self._ledger = ledger
        self._video_store = video_store

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Do nothing: the step that makes the videos stores them itself."""

    def load_input(self, context: dg.InputContext) -> Video | dict[str, Video]:
        """Return the video of the run's partition, or the videos of all of its partitions.

        Raises:
            dg.Failure: The asset is not one of videos; or one video is wanted, and there is none, or the run
                has more or fewer partitions.
        """
        from seedance_dagster.datasets.video import Video, load_videos
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.ledger.verdict import Verdict

        name, prompt_set = context.asset_key.to_user_string(), prompt_set_of(context.asset_key)
        if context.asset_key.path[-1] not in (VIDEOS, ACCEPTED):
            raise dg.Failure(
                f"{name} cannot be the value of a parameter: name it in deps=[...]. As a parameter, take the "
                f"videos of {asset_key(prompt_set, VIDEOS).to_user_string()}",
                allow_retries=False,
            )
        hint = context.dagster_type.typing_type
        keys = list(context.asset_partition_keys)
        one = hint is Video or (context.has_partition_key and not _is_mapping(hint))
        if one and len(keys) != 1:
            raise dg.Failure(
                f"{name}: a parameter of the type Video needs a run of one partition, and this one has "
                f"{len(keys)}: annotate it with dict[str, Video], or launch a run for each partition"
            )
        with as_failure(), self._ledger.open_ledger(self._instance) as ledger:
            store = self._video_store.open_store()
            videos = load_videos(ledger, store, prompt_set, keys[0] if one else None)
            if context.asset_key.path[-1] == ACCEPTED:
                verdicts = ledger.verdicts.current(prompt_set)
                videos = {
                    key: video
                    for key, video in videos.items()
                    if key in verdicts and verdicts[key].verdict is Verdict.ACCEPTED
                }
        if not one:
            return {key: videos[key] for key in keys if key in videos}
        if keys[0] not in videos and context.asset_key.path[-1] == ACCEPTED:
            raise dg.Failure(
                f"{name}: the video of {keys[0]} is not accepted; accept it in review first, such as by "
                f"`seedance-dagster review accept {prompt_set} {keys[0]}`"
            )
        if keys[0] not in videos:
            raise dg.Failure(f"{name}: {keys[0]} has no video yet; materialize {name} first")
        return videos[keys[0]]


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)


def build_video_inputs(names: Names) -> dg.IOManagerDefinition:
    """Build the IO manager with the code location's own ledger and bucket."""

    @dg.io_manager(
        required_resource_keys={names(LEDGER), names(STORE)},
        description="The videos of a set, for the parameters of assets downstream of it.",
    )
    def video_inputs(context: dg.InitResourceContext) -> VideoInputs:
        assert context.instance is not None
        ledger, video_store = (getattr(context.resources, names(key)) for key in (LEDGER, STORE))
        return VideoInputs(context.instance, ledger, video_store)

    return video_inputs
