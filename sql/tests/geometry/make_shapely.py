"""Pairs of geometries and what shapely says of them: shapely.csv, by shapely 2.2.0 (GEOS 3.14.1).

usage: make_shapely.py > shapely.csv
"""
import csv, itertools, random, sys
from shapely import wkt
random.seed(20240229)
fixed = [
 "POINT(0 0)", "POINT(2 2)", "POINT(4 2)", "POINT(21.0122 52.2297)", "POINT(-179.9999999 -89.9999999)", "POINT(5 5)",
 "MULTIPOINT(0 0,2 2)", "MULTIPOINT(4 2,4 4)", "MULTIPOINT(1 1,3 3,9 9)",
 "LINESTRING(0 0,4 4)", "LINESTRING(0 4,4 0)", "LINESTRING(0 0,4 0,4 4,0 4,0 0)", "LINESTRING(1 1,3 3)", "LINESTRING(-1 2,5 2)",
 "LINESTRING(4 0,4 4)", "LINESTRING(10 10,12 11.5,13 10)",
 "MULTILINESTRING((0 0,1 1),(3 3,4 4))", "MULTILINESTRING((0 2,2 2),(2 2,4 2))",
 "POLYGON((0 0,4 0,4 4,0 4,0 0))", "POLYGON((1 1,3 1,3 3,1 3,1 1))", "POLYGON((4 0,8 0,8 4,4 4,4 0))",
 "POLYGON((0 0,10 0,10 10,0 10,0 0),(1 1,1 9,9 9,9 1,1 1))", "POLYGON((6 6,7 6,7 7,6 7,6 6))", "POLYGON((20 20,24 20,22 24,20 20))",
 "POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,1 3,3 3,3 1,1 1))", "POLYGON((2 -1,5 2,2 5,-1 2,2 -1))",
 "MULTIPOLYGON(((0 0,1 0,1 1,0 1,0 0)),((3 3,5 3,5 5,3 5,3 3)))", "MULTIPOLYGON(((0 0,4 0,4 4,0 4,0 0),(1 1,1 3,3 3,3 1,1 1)),((1.5 1.5,2.5 1.5,2.5 2.5,1.5 2.5,1.5 1.5)))",
 "POLYGON((20.85 52.1,21.27 52.1,21.27 52.37,20.85 52.37,20.85 52.1))",
]
def number(): return random.randint(-40, 40) / 4
def place(): return f"{number():.17g} {number():.17g}"
def some(kind):
    while True:
        if kind == "POINT": text = f"POINT({place()})"
        elif kind == "LINESTRING": text = f"LINESTRING({','.join(place() for _ in range(random.randint(2, 6)))})"
        elif kind == "MULTIPOINT": text = f"MULTIPOINT({','.join(place() for _ in range(random.randint(2, 5)))})"
        else:
            ring = [place() for _ in range(random.randint(3, 7))]; text = f"POLYGON(({','.join(ring + ring[:1])}))"
        g = wkt.loads(text)
        if g.is_valid and (kind in ("POINT", "MULTIPOINT") or g.length > 0): return text
pairs = list(itertools.combinations_with_replacement(fixed, 2))
kinds = ["POINT", "LINESTRING", "MULTIPOINT", "POLYGON"]
for _ in range(160): pairs.append((some(random.choice(kinds)), some(random.choice(kinds))))
for text in fixed: assert wkt.loads(text).is_valid, text
out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow("a b within contains intersects distance length_a area_a".split())
flag = lambda b: "true" if b else "false"
for a, b in pairs:
    ga, gb = wkt.loads(a), wkt.loads(b)
    # Of points and areas PostGIS says length 0.
    length = ga.length if "LINE" in a else 0.0
    out.writerow([a, b, flag(ga.within(gb)), flag(ga.contains(gb)), flag(ga.intersects(gb)), repr(float(ga.distance(gb))), repr(float(length)), repr(float(ga.area))])
