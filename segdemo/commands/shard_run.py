"""A run from tar shards or URLs to tar shards and a Parquet index, by Ray's actors; it resumes.

Each batch becomes shards/<hash>.tar, as WebDataset reads it, and then index/<hash>.parquet with a
row an image: what has no row in the index is not finished. A tar without an index is of a batch
that was cut off; it is replaced, or left where the batches were cut differently.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from segdemo.batch import FileStatus, process_images
from segdemo.commands.engines import ray_cluster
from segdemo.commands.progress import report_progress
from segdemo.commands.ray_cluster import Batch, RayCluster
from segdemo.commands.workers import Load
from segdemo.datatypes import InputError
from segdemo.files import ImageFile
from segdemo.images import SUFFIXES
from segdemo.terminal import printable

LoadInto = Callable[[Path], Load]
"""From the folder that results are written to, to what loads."""


def run_on_shards(
    verb: str,
    settings: Mapping[str, Any],
    sources: Sequence[str],
    output: str,
    load_into: LoadInto,
    cluster: RayCluster,
) -> int:
    """Process the images of all sources that an earlier run has not finished; the exit code.

    sources: tar shards, or images and folders of images; paths or URLs that Ray reads. output: a
    folder or URL. Raises InputError for other settings than the earlier run's, and as loading does.
    """
    store = ShardStore.at(output)
    store.check({"verb": verb, **settings})
    finished = store.finished()
    if finished:
        print(printable(f"{len(finished)} photos are finished in {output}, they are left out."))
    mapper = ShardMapper(load_into, store, finished)
    statuses = cluster.map_rows(read_rows(cluster, sources), mapper)
    return report_progress(statuses, None, output)


def run_shards(
    verb: str,
    settings: Mapping[str, Any],
    arguments: argparse.Namespace,
    load_into: LoadInto,
) -> int:
    """Do as `run_on_shards`, with sources, output and cluster from the command line."""
    cluster = ray_cluster(arguments)
    return run_on_shards(
        verb, settings, arguments.shards, arguments.output_shards, load_into, cluster
    )


def read_rows(cluster: RayCluster, sources: Sequence[str]) -> Any:
    """Return Ray's dataset of the sources; raises InputError where they cannot be listed."""
    data = cluster.data()
    tars = [one for one in sources if one.endswith(".tar")]
    if tars and len(tars) < len(sources):
        raise InputError("--shards: give tar shards or images, not both in one run.")
    try:
        if tars:
            return data.read_webdataset(tars, decoder=None, include_paths=True)
        endings = [suffix.lstrip(".") for suffix in sorted(SUFFIXES)]
        return data.read_binary_files(list(sources), include_paths=True, file_extensions=endings)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"--shards cannot be read ({first[:200]}): check the names.") from error


@dataclass(frozen=True)
class ShardStore:
    """Where shards and index are written: a folder, or what PyArrow knows by a URL."""

    place: str
    files: Any = field(repr=False)

    @classmethod
    def at(cls, output: str) -> ShardStore:
        """Open a folder or URL; raises InputError."""
        try:
            from pyarrow import fs
        except ImportError as error:
            raise InputError("--shards needs Ray: pip install 'segdemo[ray]'.") from error
        url = output if "://" in output else str(Path(output).resolve())
        try:
            files, place = fs.FileSystem.from_uri(url)
            for folder in ("shards", "index"):
                files.create_dir(f"{place}/{folder}", recursive=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{output} cannot be opened ({error}): choose another.") from error
        return cls(place, files)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compare the settings with an earlier run's, or store them; raises InputError."""
        from pyarrow import fs

        file = f"{self.place}/settings.json"
        wanted = json.dumps(settings, sort_keys=True, default=str).encode()
        if self.files.get_file_info(file).type == fs.FileType.NotFound:
            self._write(file, wanted)
        elif self._read(file) != wanted:
            raise InputError(
                f"{self.place} holds a run with other settings ({self._read(file)[:300]!r}): give "
                "those, or choose another --output_shards."
            )

    def finished(self) -> frozenset[str]:
        """Return the names of the images that succeeded."""
        from pyarrow import fs
        from pyarrow import parquet as pq

        found: set[str] = set()
        for entry in self.files.get_file_info(fs.FileSelector(f"{self.place}/index")):
            if entry.extension == "parquet":
                table = pq.read_table(
                    entry.path, columns=["name", "succeeded"], filesystem=self.files
                )
                rows = table.to_pylist()
                found.update(row["name"] for row in rows if row["succeeded"])
        return frozenset(found)

    def write(self, rows: Sequence[Mapping[str, Any]], members: Mapping[str, bytes]) -> None:
        """Write a batch: the tar, then its rows in the index."""
        import pyarrow as pa
        from pyarrow import parquet as pq

        names = "\n".join(str(row["name"]) for row in rows)
        shard = hashlib.blake2b(names.encode(), digest_size=16).hexdigest()
        self._write(f"{self.place}/shards/{shard}.tar", tar_of(members))
        table = pa.Table.from_pylist([{**row, "shard": f"shards/{shard}.tar"} for row in rows])
        stream = io.BytesIO()
        pq.write_table(table, stream)
        self._write(f"{self.place}/index/{shard}.parquet", stream.getvalue())

    def _write(self, file: str, content: bytes) -> None:
        with self.files.open_output_stream(f"{file}.part") as stream:
            stream.write(content)
        self.files.move(f"{file}.part", file)

    def _read(self, file: str) -> bytes:
        with self.files.open_input_stream(file) as stream:
            return bytes(stream.read())


@dataclass(frozen=True)
class ShardMapper:
    """Processes images that come as bytes, in a folder of the actor's own; a `Mapper`."""

    load_into: LoadInto
    store: ShardStore
    finished: frozenset[str]

    def __call__(self) -> Callable[[Batch], list[FileStatus]]:
        """Load the handler; raises InputError."""
        folder = tempfile.TemporaryDirectory()
        inside = Path(folder.name)
        handler = self.load_into(inside / "out")()

        def process(batch: Batch, kept: object = folder) -> list[FileStatus]:
            return self._process(batch, inside, handler)

        return process

    def _process(self, batch: Batch, folder: Path, handler: Any) -> list[FileStatus]:
        given = [one for one in images_of(batch) if one[0] not in self.finished]
        statuses, rows = [], []
        members: dict[str, bytes] = {}
        for name, suffix, content in given:
            photo = folder / f"photo{suffix}"
            photo.write_bytes(content)
            (status,) = process_images([ImageFile(photo, name, name)], handler)
            written = [Path(file) for file in status.files or ()]
            inside = {member_name(file.relative_to(folder / "out"), name): file for file in written}
            members |= {member: file.read_bytes() for member, file in inside.items()}
            for file in written:
                file.unlink()
            rows.append(
                {
                    "name": name,
                    "succeeded": status.succeeded,
                    "message": status.message,
                    "seconds": status.seconds,
                    "files": sorted(inside),
                }
            )
            outcome = () if status.succeeded else None
            statuses.append(
                FileStatus(name, status.succeeded, status.message, status.seconds, outcome)
            )
        if rows:
            self.store.write(rows, members)
        return statuses


def images_of(batch: Batch) -> Iterator[tuple[str, str, bytes]]:
    """Yield name without ending, ending and bytes of a batch's images, of either reader.

    A name is its shard's and its key in it, or its path, without what no WebDataset key may hold.
    """
    if "__key__" not in batch:
        for path, content in zip(batch["path"], batch["bytes"], strict=True):
            place = PurePosixPath(str(path))
            yield key_of(str(place.with_suffix(""))), place.suffix.lower(), bytes(content)
        return
    endings = [column for column in batch if f".{column.lower()}" in SUFFIXES]
    for row, (path, key) in enumerate(zip(batch["path"], batch["__key__"], strict=True)):
        for ending in endings:
            content = batch[ending][row]
            if isinstance(content, bytes):
                shard = PurePosixPath(str(path)).stem
                yield key_of(f"{shard}/{key}"), f".{ending.lower()}", content


def key_of(path: str) -> str:
    """Return a name whose first dot begins the ending, as WebDataset wants it."""
    return path.strip("/").replace(".", "_")


def member_name(file: Path, name: str) -> str:
    """Return what a result is called in a shard: a_mask.png of image a becomes a.mask.png."""
    rest = file.as_posix().removeprefix(name).lstrip("_/").replace("/", ".")
    return f"{name}.{rest}"


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """Return a tar archive, the same bytes for the same members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in sorted(members.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
