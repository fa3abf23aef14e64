"""The kinds of events that a step yields."""

from __future__ import annotations

from typing import Any

import dagster as dg

AssetEvent = dg.AssetMaterialization | dg.AssetObservation
StepEvent = AssetEvent | dg.AssetCheckEvaluation | dg.MaterializeResult[Any]
