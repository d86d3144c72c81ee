"""ADBC's Flight SQL driver: the same questions as over Postgres wire, and the same answers."""

import sys
import adbc_driver_flightsql.dbapi as flight
import adbc_driver_postgresql.dbapi as postgres

address, secret, target = sys.argv[1:]
HEADER = "adbc.flight.sql.authorization_header"


def connect(**options):
    return flight.connect(f"grpc://{address}", db_kwargs=options, autocommit=True)


def table(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetch_arrow_table()


def refused(sql="SELECT 1", **options):
    try:
        with connect(**options) as connection:
            table(connection, sql)
    except flight.Error as error:
        return str(error)
    raise AssertionError(f"answered: {sql}")


by_name = {"username": "admin", "password": secret}
by_token = {HEADER: f"Bearer {secret}"}
with connect(**by_name) as one, connect(**by_token) as other, postgres.connect(target) as rows:
    for sql in [
        "SELECT device, fix_time, lat, lon, valid, altitude_m, speed_mps, attributes FROM positions ORDER BY device, fix_time",
        "SELECT NULL::text AS nothing, true AS yes, 1::bigint AS n, 2.5::float8 AS x, 2.5::real AS r, DATE '2026-01-02' AS day",
        "SELECT ARRAY[1, 2] AS numbers, ARRAY['a', NULL] AS texts, '' AS empty, 'ä🚚' AS text",
        "SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind",
        "SELECT device FROM devices WHERE false",
    ]:
        answers = [table(connection, sql) for connection in (one, other, rows)]
        assert answers[0].column_names == answers[2].column_names, sql
        assert answers[0].to_pylist() == answers[1].to_pylist() == answers[2].to_pylist(), sql
    positions = table(one, "SELECT * FROM positions")
    assert positions.num_rows == 1533, positions.num_rows
    types = {field.name: str(field.type) for field in positions.schema}
    assert types["lat"] == "double" and types["fix_time"] == "timestamp[ms, tz=UTC]", types
    assert types["valid"] == "bool" and types["device"] == "string", types

    # With values, again and again.
    device = positions["device"][0].as_py()
    for lat, more in [(-91.0, True), (91.0, False)]:
        counted = table(one, "SELECT count(*) AS n FROM positions WHERE device = $1 AND lat > $2", (device, lat))
        assert (counted["n"][0].as_py() > 0) == more, counted

    # Rows of which nobody wants all.
    with one.cursor() as cursor:
        cursor.execute("SELECT value FROM generate_series(1, 1000000000000)")
        assert cursor.fetchone() == (1,)

    assert one.adbc_get_table_types() == ["TABLE"]
    assert one.adbc_get_table_schema("positions").names[:3] == ["fix_time", "received_at", "device"]
    assert one.adbc_get_info()["vendor_name"] == "waystream"
    (catalog,) = one.adbc_get_objects(depth="columns").read_all().to_pylist()
    (schema,) = catalog["catalog_db_schemas"]
    assert (catalog["catalog_name"], schema["db_schema_name"]) == ("waystream", "public"), catalog
    found = {table["table_name"]: [column["column_name"] for column in table["table_columns"]] for table in schema["db_schema_tables"]}
    assert {"positions", "events", "devices", "fleets", "geofences", "trips", "stops", "latest_positions"} <= set(found), found
    assert found["positions"] == positions.column_names, found["positions"]

for sql, told in [
    ("DELETE FROM positions", "only reading is possible here"),
    ("SELECT nothing FROM positions", "nothing"),
    ("SELECT * FROM nowhere", "nowhere"),
    ("SELEKT 1", "SELEKT"),
]:
    assert told in refused(sql, **by_name), sql
for wrong in [
    {"username": "nobody", "password": secret},
    {"username": "admin", "password": secret + "0"},
    {HEADER: f"Bearer {secret}0"},
    {},
]:
    assert "user name or token is wrong" in refused(**wrong), wrong
print("fine")
