"""One writing of a set's index: the rows that changed, and the parts that have them."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.index_state import RowPlace
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.index import Row, content_version, index_row, row_digest
from seedance_dagster.storage.index_files import PART_ROWS, IndexManifest, IndexPart, PartFormat
from seedance_dagster.storage.keys import index_keys, is_index_file
from seedance_dagster.storage.versions import ObjectVersion

_NUMBER = re.compile(r"part-(\d+)\.")
_JSON = "application/json"


class IndexChangedError(Exception):
    """Another writer began to write the index meanwhile."""


class _UnknownPartError(Exception):
    """A part differs from its manifest: the whole index must be compared with the ledger."""


@dataclass
class _Edit:
    """The rows of one part that change.

    Attributes:
        without: The partitions whose rows are taken out.
        rows: The rows that are put in, by partition.
    """

    without: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    """The objects that one writing replaces, and the rows that change.

    Attributes:
        parts: The parts as they will be, by number.
        bodies: The bytes of those that are written, each with the ETag of the version that it replaces.
        version: The hash of all rows.
        rows: The rows that change, for the ledger.
        leftovers: Keys of objects that no index uses any more.
    """

    parts: Mapping[int, IndexPart]
    bodies: Mapping[int, tuple[bytes, str | None]]
    version: str
    rows: Mapping[str, RowPlace | None]
    leftovers: Iterable[str] = ()


class IndexWriter:
    """A writer of one set's index that holds the index's lease.

    Args:
        prompt_set: The set's name.
        owner: The writing process.
        place: A hash of the index's address, format and columns.
        parts: The format of its parts.
    """

    def __init__(
        self, services: Services, prompt_set: str, owner: str, place: str, parts: PartFormat
    ) -> None:
        self._services, self._set, self._place, self._format = services, prompt_set, place, parts
        self._writer = f"{owner} {uuid.uuid4().hex}"
        self._store, self._state = services.store, services.ledger.indexes
        self._keys = index_keys(self._store.prefix, prompt_set)

    def write(self, *, rebuild: bool) -> IndexManifest:
        """Bring the index up to date, and return its manifest.

        Raises:
            IndexChangedError: Another writer began meanwhile.
            ObjectChangedError: It has written already.
            StoreError: The bucket cannot be read or written, or its prefix belongs to another ledger.
        """
        self._services.claim_prefix()
        changes = self._state.changes(self._set)  # read first: later changes stay noted
        old = self._store.read_version(self._keys.manifest)
        manifest = None if rebuild else self._known(old)
        try:
            plan = self._compare_all() if manifest is None else self._apply(manifest, changes.partitions)
        except _UnknownPartError:
            manifest, plan = None, self._compare_all()
        if manifest is not None and not plan.bodies:
            self._state.forget(changes)
            return manifest
        self._state.begin(self._set, self._place, self._writer)
        for number, (body, over) in sorted(plan.bodies.items()):
            self._put(self._key(number), body, self._format.content_type, over)
        new = IndexManifest(
            prompt_set=self._set,
            version=plan.version,
            videos=sum(part.videos for part in plan.parts.values()),
            written_at=self._services.clock(),
            parts=[part for _, part in sorted(plan.parts.items())],
        )
        body = new.to_json()
        self._put(self._keys.manifest, body, _JSON, None if old is None else old.etag)
        for key in plan.leftovers:
            if not self._store.delete(key):
                # Better unreadable than out of date.
                self._store.put_bytes(key, b"", content_type="text/plain", metadata={}, overwrite=True)
        sha256 = hashlib.sha256(body).hexdigest()
        if not self._state.finish(self._set, self._writer, sha256, plan.rows, changes):
            raise IndexChangedError
        return new

    def _known(self, manifest: ObjectVersion | None) -> IndexManifest | None:
        """Return the manifest if it is the one that the ledger knows; the parts of another are unknown."""
        state = self._state.state(self._set)
        if manifest is None or state is None or state.place != self._place:
            return None
        if hashlib.sha256(manifest.body).hexdigest() != state.manifest_sha256:
            return None
        try:
            return IndexManifest.model_validate_json(manifest.body)
        except ValidationError:
            return None

    def _apply(self, manifest: IndexManifest, changed: Iterable[str]) -> _Plan:
        """Plan to write the parts that have rows of changed partitions; new rows go behind all others."""
        known = self._state.rows(self._set, keys := sorted(changed))
        videos = self._services.ledger.videos.current_among(self._set, keys)
        rows = self._rows(videos)
        places: dict[str, RowPlace | None] = {}
        edits: defaultdict[int, _Edit] = defaultdict(_Edit)
        counts = {_number(part.path): part.videos for part in manifest.parts}
        new = []
        for key in keys:
            row, place = rows.get(key), known.get(key)
            digest = None if row is None else row_digest(row)
            if place is None and row is not None:
                new.append(row)
            elif place is not None and place.digest != digest:
                edits[place.part].without.add(key)
                if row is None or digest is None:
                    places[key] = None
                else:
                    edits[place.part].rows[key] = row
                    places[key] = RowPlace(place.part, digest)
        for row, number in _placed(new, counts):
            edits[number].rows[row["partition"]] = row
            places[row["partition"]] = RowPlace(number, row_digest(row))
        by_number = {_number(part.path): part for part in manifest.parts}
        parts, bodies = dict(by_number), {}
        for number, edit in edits.items():
            body, over = self._edited(by_number.get(number), edit)
            parts[number], bodies[number] = self._part(number, body), (body, over)
        taken = [f"-{known[key].digest}" for key in places if key in known]
        added = [place.digest for place in places.values() if place is not None]
        return _Plan(parts, bodies, content_version([*taken, *added], manifest.version), places)

    def _edited(self, part: IndexPart | None, edit: _Edit) -> tuple[bytes, str | None]:
        if part is None:
            return self._format.encode(list(edit.rows.values())), None
        stored = self._store.read_version(self._key(_number(part.path)))
        if stored is None or hashlib.sha256(stored.body).hexdigest() != part.sha256:
            raise _UnknownPartError
        try:
            return self._format.merge(stored.body, edit.without, list(edit.rows.values())), stored.etag
        except ValueError:
            raise _UnknownPartError from None

    def _compare_all(self) -> _Plan:
        """Plan to write every part that differs from the ledger; rows stay in their parts."""
        rows = self._rows(self._services.ledger.videos.current(self._set))
        listed = [key for key in self._store.listing(self._keys.folder) if is_index_file(key)]
        versions = {
            _number(key): version
            for key in listed
            if key == self._key(_number(key)) and (version := self._store.read_version(key)) is not None
        }
        contents: dict[int, list[Row]] = {number: [] for number in versions}
        left = dict(rows)
        for number, version in sorted(versions.items()):
            contents[number] = [left.pop(key) for key in self._partitions(version.body) if key in left]
        for row, number in _placed(
            list(left.values()), {key: len(part_rows) for key, part_rows in contents.items()}
        ):
            contents.setdefault(number, []).append(row)
        parts, bodies, places = {}, {}, dict[str, RowPlace | None]()
        for number, part_rows in sorted(contents.items()):
            body = self._format.encode(part_rows)
            before = versions.get(number)
            parts[number] = self._part(number, body)
            if before is None or before.body != body:
                bodies[number] = (body, None if before is None else before.etag)
            places |= {row["partition"]: RowPlace(number, row_digest(row)) for row in part_rows}
        gone = self._state.rows(self._set).keys() - places.keys()
        own = {self._keys.manifest, *(self._key(number) for number in parts)}
        leftovers = [key for key in listed if key not in own]
        leftovers += [key for key in self._keys.old if self._store.head(key) is not None]
        digests = (place.digest for place in places.values() if place is not None)
        return _Plan(parts, bodies, content_version(digests), places | dict.fromkeys(gone), leftovers)

    def _partitions(self, part: bytes) -> list[str]:
        try:
            return self._format.partitions(part)
        except ValueError:
            return []  # damaged, or with other columns: all its rows count as new

    def _rows(self, videos: Iterable[CurrentVideo]) -> dict[str, Row]:
        ordered = sorted(videos, key=lambda video: (str(video.order.stored_at), video.partition))
        return {video.partition: index_row(self._set, video, self._store.uri) for video in ordered}

    def _part(self, number: int, body: bytes) -> IndexPart:
        videos, points = self._format.figures(body)
        return IndexPart(
            path=self._key(number).rpartition("/")[2],
            videos=videos,
            points_charged=points,
            size_bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )

    def _key(self, number: int) -> str:
        return self._keys.part(number, self._format.suffix)

    def _put(self, key: str, body: bytes, content_type: str, over: str | None) -> None:
        self._store.replace_version(key, body, content_type=content_type, over=over)


def _placed(rows: Iterable[Row], counts: Mapping[int, int]) -> Iterable[tuple[Row, int]]:
    """Yield each new row with the number of the part that takes it: the last one until it is full."""
    number = max(counts, default=1)
    count = counts.get(number, 0)
    for row in rows:
        if count >= PART_ROWS:
            number, count = number + 1, 0
        yield row, number
        count += 1


def _number(path: str) -> int:
    """Return the number of a part; 0 for any other file."""
    match = _NUMBER.match(path.rpartition("/")[2])
    return int(match[1]) if match else 0
