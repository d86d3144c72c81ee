"""psycopg 3: values of all types, both formats, server-side cursors, pipelines, errors, cancelling."""

import sys
import threading
import time
from datetime import datetime, timezone

import psycopg
from psycopg import errors

target = sys.argv[1]

with psycopg.connect(target) as connection:
    assert connection.info.server_version == 160006, connection.info.server_version
    count = connection.execute("SELECT count(*) FROM positions").fetchone()[0]
    assert count == 1533, count
    device, first, last = connection.execute(
        "SELECT device, min(fix_time), max(fix_time) FROM positions GROUP BY device ORDER BY device LIMIT 1"
    ).fetchone()
    assert first.tzinfo is not None and first < last, (first, last)
    # Values as Python has them.
    for format_ in (False, True):
        with connection.cursor(binary=format_) as cursor:
            cursor.execute(
                "SELECT device, fix_time, lat, lon, valid, altitude_m, attributes FROM positions "
                "WHERE device = %s AND fix_time BETWEEN %s AND %s AND lat > %s AND valid = %s ORDER BY fix_time LIMIT %s",
                (device, first, last, -91, True, 5),
            )
            rows = cursor.fetchall()
            assert len(rows) == 5 and rows[0][0] == device and rows[0][1] == first, rows
            assert isinstance(rows[0][2], float) and isinstance(rows[0][4], bool), rows
            # Again and again: psycopg prepares it at the sixth time.
            for n in range(8):
                cursor.execute("SELECT %s::int + 1, %s::text, %s::float8", (n, "x'; --", 1.5))
                assert cursor.fetchone() == (n + 1, "x'; --", 1.5)
            cursor.execute("SELECT count(DISTINCT device) FROM positions WHERE device = ANY(%s)", ([device, "nobody"],))
            assert cursor.fetchone() == (1,)
            cursor.execute("SELECT %s::timestamptz", (datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc),))
            assert cursor.fetchone()[0] == datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
            cursor.execute("SELECT NULL, true, 1::bigint, 2.5::float8, DATE '2026-01-02', ARRAY[1, 2], ARRAY['a', NULL]")
            assert cursor.fetchone()[1:] == (True, 1, 2.5, datetime(2026, 1, 2).date(), [1, 2], ["a", None])
    # A cursor of the server, in parts.
    with connection.cursor(name="all positions") as cursor:
        cursor.itersize = 200
        cursor.execute("SELECT device, fix_time FROM positions WHERE lat > %s", (-91,))
        assert sum(1 for _ in cursor) == count
    with connection.cursor() as cursor, cursor.copy("COPY (SELECT device, lat FROM positions) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["text", "float8"])
        copied = list(copy.rows())
        assert len(copied) == count and isinstance(copied[0][1], float), copied[:2]
    with connection.pipeline():
        answers = [connection.execute("SELECT %s::int * 2", (n,)) for n in range(5)]
    assert [answer.fetchone()[0] for answer in answers] == [0, 2, 4, 6, 8]

with psycopg.connect(target, autocommit=True) as connection:
    for sql, wanted in [
        ("SELECT nothing FROM positions", errors.UndefinedColumn),
        ("SELECT * FROM nowhere", errors.UndefinedTable),
        ("SELEKT 1", errors.SyntaxError),
        ("DELETE FROM positions", errors.ReadOnlySqlTransaction),
    ]:
        try:
            connection.execute(sql)
        except wanted:
            continue
        raise AssertionError(sql)
    connection.execute("SET statement_timeout = 300")
    try:
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")
        raise AssertionError("no timeout")
    except errors.QueryCanceled:
        connection.execute("RESET statement_timeout")
    threading.Thread(target=lambda: (time.sleep(0.5), connection.cancel_safe())).start()
    begun = time.monotonic()
    try:
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        assert time.monotonic() - begun < 10
    assert connection.execute("SELECT 1").fetchone() == (1,)
print("fine")
