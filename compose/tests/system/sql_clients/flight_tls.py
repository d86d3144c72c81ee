"""ADBC's Flight SQL driver over TLS: it speaks with whom it trusts, and nobody else."""

import sys
import adbc_driver_flightsql.dbapi as flight

address, secret, root = sys.argv[1:]
by_name = {"username": "admin", "password": secret}
with open(root, encoding="ascii") as file:
    trusting = {**by_name, "adbc.flight.sql.client_option.tls_root_certs": file.read()}


def answer(options):
    with flight.connect(f"grpc+tls://{address}", db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        return cursor.fetchone()


assert answer(trusting) == (42,)
try:
    answer(by_name)
    raise AssertionError("it trusts anybody")
except flight.Error:
    pass
print("fine")
