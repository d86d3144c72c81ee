"""ADBC's Postgres driver, which reads by binary COPY into Arrow: the way that DuckDB's extension reads too."""

import sys
import adbc_driver_postgresql.dbapi as adbc

with adbc.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT device, fix_time, lat, valid, altitude_m, attributes FROM positions ORDER BY device, fix_time")
    table = cursor.fetch_arrow_table()
    assert table.num_rows == 1533, table.num_rows
    types = {field.name: str(field.type) for field in table.schema}
    assert types["lat"] == "double" and types["fix_time"].startswith("timestamp[us, tz="), types
    assert types["valid"] == "bool" and types["device"] == "string", types
    cursor.execute("SELECT count(*) FROM positions WHERE device = $1 AND lat > $2", (table["device"][0].as_py(), -91.0))
    assert cursor.fetchone()[0] > 0
    cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
    cursor.execute("SELECT count(*) AS n, max(lat) AS lat FROM positions")
    assert cursor.fetch_arrow_table()["n"].to_pylist() == [1533]
    names = connection.adbc_get_table_schema("positions").names
    assert names[:3] == ["fix_time", "received_at", "device"], names
    assert "positions" in str(connection.adbc_get_objects(depth="tables").read_all().to_pylist())
print("fine")
