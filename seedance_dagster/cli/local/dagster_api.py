"""A client of a running Dagster, over the GraphQL API of its UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

_LOADED = """
query { instance { info } workspaceOrError { __typename
  ... on PythonError { message causes { message } }
  ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename
    ... on PythonError { message causes { message } } } } } } }
"""
_PARTITIONS = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename
  ... on AssetNode { partitionKeys } } }
"""
_LAUNCH = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
  ... on LaunchBackfillSuccess { backfillId }
  ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
_BACKFILL = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PartitionBackfill { status error { message } }
  ... on BackfillNotFoundError { message } ... on PythonError { message } } }
"""
_MATERIALIZATIONS = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename
  ... on AssetNode { latestMaterializationByPartition { partition metadataEntries { label
    ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } ... on UrlMetadataEntry { url }
    ... on FloatMetadataEntry { floatValue } ... on IntMetadataEntry { intRepr } } } } } }
"""


@dataclass(frozen=True)
class Backfill:
    """The state of a backfill."""

    status: str
    error: str | None

    @property
    def ended(self) -> bool:
        """True when it will not change any more."""
        return self.status not in {"REQUESTED", "CANCELING", "FAILING"}


class DagsterApi:
    """A client of one Dagster webserver."""

    def __init__(self, url: str) -> None:
        # On the loopback address only, so a proxy from the environment is not used.
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def code_location_loaded(self, home: Path) -> bool:
        """Return True when every code location has loaded; False while it or the webserver starts.

        Args:
            home: DAGSTER_HOME; another Dagster on the same port never counts as loaded.

        Raises:
            click.ClickException: A code location does not load; the message says why.
        """
        try:
            answer = self._post(_LOADED, {})
        except (httpx.HTTPError, ValueError):
            return False
        if f" {home}\n" not in answer["instance"]["info"]:
            return False
        workspace = answer["workspaceOrError"]
        entries = workspace.get("locationEntries", [workspace])
        for entry in entries:
            outcome = entry.get("locationOrLoadError") or entry
            if outcome["__typename"] == "PythonError":
                # The last cause is the original exception; the others are Dagster's.
                innermost = (outcome.get("causes") or [outcome])[-1]
                raise click.ClickException(f"the definitions do not load: {innermost['message']}")
        return bool(entries) and all(
            entry.get("loadStatus") == "LOADED" and entry["locationOrLoadError"] for entry in entries
        )

    def partition_keys(self, asset: Sequence[str]) -> list[str]:
        """Return the partitions of an asset; none while Dagster does not know it."""
        node = self._query(_PARTITIONS, {"key": {"path": list(asset)}})["assetNodeOrError"]
        return list(node.get("partitionKeys", []))

    def launch_backfill(self, assets: Sequence[Sequence[str]], partitions: Sequence[str], title: str) -> str:
        """Launch a backfill as "Materialize" in the UI does, and return its id.

        Raises:
            click.ClickException: Dagster declined it.
        """
        params = {
            "assetSelection": [{"path": list(asset)} for asset in assets],
            "partitionNames": list(partitions),
            "title": title,
        }
        answer = self._query(_LAUNCH, {"params": params})["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise click.ClickException(
                f"Dagster declined the backfill: {answer.get('message', answer['__typename'])}"
            )
        return str(answer["backfillId"])

    def backfill(self, backfill_id: str) -> Backfill:
        """Return the state of a backfill."""
        answer = self._query(_BACKFILL, {"id": backfill_id})["partitionBackfillOrError"]
        if "status" not in answer:
            raise click.ClickException(
                f"Dagster does not know backfill {backfill_id}: {answer.get('message')}"
            )
        error = answer["error"]
        return Backfill(answer["status"], error["message"] if error else None)

    def materializations(self, asset: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the metadata of each partition's latest materialization: text, numbers and URLs."""
        node = self._query(_MATERIALIZATIONS, {"key": {"path": list(asset)}})["assetNodeOrError"]
        latest = filter(None, node.get("latestMaterializationByPartition", []))
        return {event["partition"]: _plain(event["metadataEntries"]) for event in latest}

    def _query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._post(query, variables)
        except (httpx.HTTPError, ValueError) as error:
            raise click.ClickException(
                f"Dagster does not respond at {self._client.base_url}: {error}"
            ) from None

    def _post(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        reply = self._client.post("/graphql", json={"query": query, "variables": variables})
        reply.raise_for_status()
        body = reply.json()
        if body.get("errors"):
            raise click.ClickException(f"Dagster declined a query: {body['errors'][0].get('message')}")
        answer: dict[str, Any] = body["data"]
        return answer


def _plain(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = {}
    for entry in entries:
        for field in ("text", "path", "url", "floatValue", "intRepr"):
            if entry.get(field) is not None:
                values[entry["label"]] = int(entry[field]) if field == "intRepr" else entry[field]
    return values
