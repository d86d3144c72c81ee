"""SQLAlchemy: connecting, asking with its expressions, savepoints, streaming, and what it finds out about tables."""

import sys
from sqlalchemy import MetaData, Table, create_engine, func, inspect, select, text

engine = create_engine(sys.argv[1], pool_pre_ping=True)
with engine.connect() as connection:
    assert connection.execute(text("SELECT count(*) FROM positions WHERE lat > :lat"), {"lat": -91}).scalar() == 1533
    with connection.begin_nested():
        assert connection.execute(text("SELECT 1")).scalar() == 1
    streamed = connection.execution_options(stream_results=True, max_row_buffer=100).execute(text("SELECT device FROM positions"))
    assert sum(1 for _ in streamed) == 1533

inspector = inspect(engine)
names = set(inspector.get_table_names())
assert {"positions", "events", "devices", "fleets", "geofences", "trips", "stops", "latest_positions"} <= names, names
assert "pg_class" not in names
columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("positions")}
assert columns["fix_time"] == "TIMESTAMP" and columns["lat"] == "DOUBLE PRECISION" and columns["device"] == "TEXT", columns
assert inspector.get_pk_constraint("positions")["constrained_columns"] == []
assert inspector.get_foreign_keys("positions") == [] and inspector.get_indexes("positions") == []
assert inspector.get_unique_constraints("positions") == [] and inspector.get_check_constraints("positions") == []
assert inspector.get_table_comment("positions") == {"text": None} and inspector.get_table_options("positions") == {}
assert inspector.get_view_names() == [] and inspector.get_schema_names() == ["information_schema", "public"]
assert inspector.has_table("positions") and not inspector.has_table("nowhere")

positions = Table("positions", MetaData(), autoload_with=engine)
with engine.connect() as connection:
    by_device = (
        select(positions.c.device, func.count().label("n"), func.max(positions.c.fix_time))
        .where(positions.c.device.in_(connection.scalars(select(positions.c.device).distinct()).all()), positions.c.lat.between(-90, 90))
        .group_by(positions.c.device)
        .order_by(positions.c.device)
        .limit(3)
        .offset(1)
    )
    rows = connection.execute(by_device).all()
    assert len(rows) == 3 and all(row.n > 0 for row in rows), rows
print("fine")
