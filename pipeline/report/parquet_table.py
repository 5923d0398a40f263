"""A table as Parquet, typed, with the text as it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.report.columns import Column, Kind, Row
from pipeline.report.frames import frames

_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.PROBABILITY: pa.float64(),
    Kind.NUMBER: pa.float64(),
    Kind.WHOLE: pa.int32(),
    Kind.MOMENT: pa.timestamp("s", tz="UTC"),
}


def write_parquet(path: Path, rows: Iterable[Row], columns: tuple[Column, ...]) -> None:
    """Write the rows, a row group a chunk."""
    schema = pa.schema([(column.name, _TYPES[column.kind]) for column in columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for frame in frames(rows, columns):
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            # The metadata pandas adds names its version: equal rows would differ in bytes after an update.
            writer.write_table(table.replace_schema_metadata(None))
