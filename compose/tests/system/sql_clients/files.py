"""Files of the store and an exported one, by a program that knows Parquet and nothing of ours: `files.py STORE EXPORTED`."""

import sys
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as parquet

store, exported = Path(sys.argv[1]), sys.argv[2]
columns = ["device", "fix_time", "lat", "lon", "altitude_m"]


def rows(path):
    table = parquet.ParquetFile(path).read(columns=columns)
    return table.schema, {(row["device"], row["fix_time"]): row for row in table.to_pylist()}


kept = {}
for path in sorted(store.glob("positions/*.parquet")):
    schema, some = rows(path)
    for name in ["lat", "lon"]:
        assert pa.types.is_decimal(schema.field(name).type) and schema.field(name).type.scale == 7, schema
    kept.update(some)
schema, written = rows(exported)
assert str(schema.field("lat").type) == "double" and str(schema.field("device").type) == "string", schema
assert len(kept) == 1533 and kept.keys() == written.keys(), (len(kept), len(written))
for key, row in written.items():
    # To the last bit.
    assert (float(kept[key]["lat"]), float(kept[key]["lon"])) == (row["lat"], row["lon"]), (kept[key], row)
    assert kept[key]["altitude_m"] == row["altitude_m"], (kept[key], row)
print("fine")
