"""What Grafana's PostgreSQL data source asks: of the server, of tables and columns, and for panels with its macros expanded."""

import sys
import psycopg

SEARCH_PATH = """
              SELECT
                CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
              FROM
                generate_series(
                  array_lower(string_to_array(current_setting('search_path'),','),1),
                  array_upper(string_to_array(current_setting('search_path'),','),1)
                ) as i,
                string_to_array(current_setting('search_path'),',') s
"""
TABLES = f"""SELECT CASE WHEN quote_ident(table_schema) IN ({SEARCH_PATH})
          THEN quote_ident(table_name)
          ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
        END AS "table"
        FROM information_schema.tables
        WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog',
                                 '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information', 'timescaledb_experimental')
        ORDER BY CASE WHEN quote_ident(table_schema) IN ({SEARCH_PATH}) THEN 0 ELSE 1 END, 1"""


def columns(table):
    return f"""SELECT quote_ident(column_name) AS "column", data_type AS "type"
        FROM information_schema.columns
        WHERE
          CASE WHEN array_length(parse_ident('{table}'),1) = 2
            THEN quote_ident(table_schema) = (parse_ident('{table}'))[1]
              AND quote_ident(table_name) = (parse_ident('{table}'))[2]
            ELSE quote_ident(table_name) = '{table}'
              AND quote_ident(table_schema) IN ({SEARCH_PATH})
          END"""


with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    def ask(sql, *values):
        # Grafana's driver prepares what it asks.
        return connection.execute(sql, values or None, prepare=True).fetchall()

    assert ask("SELECT current_setting('server_version_num')::int/100") == [(1600,)]
    assert ask("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'") == []
    names = [name for (name,) in ask(TABLES)]
    assert names == ["acknowledgements", "devices", "events", "fleets", "geofences", "latest_positions", "positions", "stops", "trips"], names
    for name in ("positions", "public.positions"):
        found = dict(ask(columns(name)))
        assert set(found) >= {"fix_time", "lat", "device"}, (name, found)

    first, last = ask("SELECT min(fix_time), max(fix_time) FROM positions")[0]
    iso = lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = f"fix_time BETWEEN '{iso(first)}' AND '{iso(last)}'"
    epochs = f"extract(epoch from fix_time) >= {int(first.timestamp())} AND extract(epoch from fix_time) <= {int(last.timestamp()) + 1}"
    # $__timeGroupAlias(fix_time, '5m'), $__timeFilter(fix_time)
    groups = ask(f"""SELECT floor(extract(epoch from fix_time)/300)*300 AS "time", device AS metric, avg(speed_mps) AS "speed"
        FROM positions WHERE {whole} GROUP BY 1, 2 ORDER BY 1, 2""")
    assert len(groups) > 8 and groups[0][0] % 300 == 0, groups[:2]
    # $__time(fix_time) and $__timeEpoch(fix_time)
    points = ask(f"""SELECT fix_time AS "time", lat, lon FROM positions WHERE {whole} ORDER BY 1 LIMIT 10""")
    assert points[0][0] == first, points[0]
    assert ask(f"""SELECT extract(epoch from fix_time) as "time", lat FROM positions WHERE {epochs} ORDER BY 1 LIMIT 1""")[0][0] == first.timestamp()
    assert ask(f"SELECT extract(epoch from max(fix_time))::bigint FROM positions WHERE {epochs}")[0][0] == int(last.timestamp())
    # $__unixEpochGroupAlias, date_trunc, a variable's list, and a table panel.
    assert ask(f"SELECT date_trunc('hour', fix_time) AS \"time\", count(*) FROM positions WHERE {whole} GROUP BY 1 ORDER BY 1")
    devices = [device for (device,) in ask("SELECT DISTINCT device AS __text FROM positions ORDER BY 1")]
    listed = ",".join(f"'{device}'" for device in devices)
    assert ask(f"SELECT count(*) FROM positions WHERE device IN ({listed})") == [(1533,)]
    assert ask("SELECT device, max(fix_time) AS \"last seen\" FROM latest_positions GROUP BY 1 ORDER BY 2 DESC LIMIT 100")
print("fine")
