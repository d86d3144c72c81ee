-- The questions that fleets ask, in our SQL and in the own dialect of QuestDB: a line with the name, our text, a line `questdb`, theirs.
-- $ignition, $fuel, $odometer, $model, $load and $trouble stand for the attribute in each dialect, $device and $fleet for one of each,
-- $ring for in_geofence and its like, $rated_kg and $nominal_l for a figure of the column `model`.
-- Which of them are those of TSBS, and which can't be: README.md.

-- query q00_count
SELECT count(*) AS n FROM positions
-- questdb
SELECT count() n FROM positions

-- query q01_full_scan
SELECT fleet, count(*) AS n, avg(speed_mps) AS v, max(speed_mps) AS vmax, min($fuel) AS f, sum(CASE WHEN $ignition THEN 1 ELSE 0 END) AS on_n FROM positions GROUP BY fleet
-- questdb
SELECT fleet, count() n, avg(speed_mps) v, max(speed_mps) vmax, min($fuel) f, sum(CASE WHEN $ignition THEN 1 ELSE 0 END) on_n FROM positions

-- query q02_replay_of_a_vehicle_day
SELECT fix_time, lat, lon, altitude_m, speed_mps, course_deg, attributes FROM positions WHERE device = $device AND fix_time >= '2026-03-04' AND fix_time < '2026-03-05' ORDER BY fix_time
-- questdb
SELECT fix_time, lat, lon, altitude_m, speed_mps, course_deg, attributes FROM positions WHERE device = $device AND fix_time IN '2026-03-04'

-- query q03_last_location_of_a_fleet
SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat, last_value(lon ORDER BY fix_time) AS lon, last_value(speed_mps ORDER BY fix_time) AS v FROM positions WHERE fleet = $fleet AND fix_time >= '2026-03-06' GROUP BY device
-- questdb
SELECT device, fix_time, lat, lon, speed_mps FROM positions WHERE fleet = $fleet AND fix_time >= '2026-03-06T00:00:00Z' LATEST ON fix_time PARTITION BY device

-- query q03b_last_location_of_all
SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat, last_value(lon ORDER BY fix_time) AS lon FROM positions GROUP BY device
-- questdb
SELECT device, fix_time, lat, lon FROM positions LATEST ON fix_time PARTITION BY device

-- query q04_low_fuel
SELECT device, fuel FROM (SELECT device, last_value($fuel ORDER BY fix_time) AS fuel FROM positions WHERE fix_time >= '2026-03-06' GROUP BY device) AS l WHERE fuel < 30
-- questdb
SELECT device, fuel FROM (SELECT device, $fuel fuel FROM (SELECT * FROM positions WHERE fix_time >= '2026-03-06T00:00:00Z' LATEST ON fix_time PARTITION BY device)) WHERE fuel < 30

-- query q05_stationary_for_10_minutes
SELECT device, avg(speed_mps) AS v FROM positions WHERE fix_time >= '2026-03-05T12:00:00Z' AND fix_time < '2026-03-05T12:10:00Z' GROUP BY device HAVING avg(speed_mps) < 0.3
-- questdb
SELECT device, v FROM (SELECT device, avg(speed_mps) v FROM positions WHERE fix_time >= '2026-03-05T12:00:00Z' AND fix_time < '2026-03-05T12:10:00Z') WHERE v < 0.3

-- query q06_long_driving_in_4_hours
SELECT device, count(*) AS n FROM (SELECT device, date_bin(INTERVAL '10 minutes', fix_time) AS b FROM positions WHERE fix_time >= '2026-03-05T08:00:00Z' AND fix_time < '2026-03-05T12:00:00Z' GROUP BY device, b HAVING avg(speed_mps) > 0.3) AS w GROUP BY device HAVING count(*) > 12
-- questdb
SELECT device, n FROM (SELECT device, count() n FROM (SELECT device, fix_time, avg(speed_mps) v FROM positions WHERE fix_time >= '2026-03-05T08:00:00Z' AND fix_time < '2026-03-05T12:00:00Z' SAMPLE BY 10m) WHERE v > 0.3) WHERE n > 12

-- query q07_long_driving_in_a_day
SELECT device, count(*) AS n FROM (SELECT device, date_bin(INTERVAL '10 minutes', fix_time) AS b FROM positions WHERE fix_time >= '2026-03-05' AND fix_time < '2026-03-06' GROUP BY device, b HAVING avg(speed_mps) > 0.3) AS w GROUP BY device HAVING count(*) > 30
-- questdb
SELECT device, n FROM (SELECT device, count() n FROM (SELECT device, fix_time, avg(speed_mps) v FROM positions WHERE fix_time IN '2026-03-05' SAMPLE BY 10m) WHERE v > 0.3) WHERE n > 30

-- query q08_daily_driving_hours
SELECT device, avg(h) AS hours FROM (SELECT device, date_bin(INTERVAL '1 day', b) AS d, count(*) / 6.0 AS h FROM (SELECT device, date_bin(INTERVAL '10 minutes', fix_time) AS b FROM positions GROUP BY device, b HAVING avg(speed_mps) > 0.3) AS w GROUP BY device, d) AS x GROUP BY device
-- questdb
SELECT device, avg(h) hours FROM (SELECT device, timestamp_floor('d', fix_time) d, count() / 6.0 h FROM (SELECT device, fix_time, avg(speed_mps) v FROM positions SAMPLE BY 10m) WHERE v > 0.3)

-- query q09_daily_driving_sessions
WITH s AS (SELECT device, date_bin(INTERVAL '10 minutes', fix_time) AS b, avg(speed_mps) > 1.4 AS driving FROM positions GROUP BY 1, 2), c AS (SELECT device, b, driving, lag(driving) OVER (PARTITION BY device ORDER BY b) AS p FROM s), e AS (SELECT device, b, driving, lead(b) OVER (PARTITION BY device ORDER BY b) AS nxt FROM c WHERE p IS NULL OR driving <> p) SELECT device, date_bin(INTERVAL '1 day', b) AS d, avg(CAST(nxt AS BIGINT) - CAST(b AS BIGINT)) / 60e9 AS minutes FROM e WHERE driving GROUP BY 1, 2
-- questdb
WITH s AS (SELECT device, fix_time b, CASE WHEN avg(speed_mps) > 1.4 THEN 1 ELSE 0 END driving FROM positions SAMPLE BY 10m), c AS (SELECT device, b, driving, lag(driving) OVER (PARTITION BY device ORDER BY b) p FROM s), e AS (SELECT device, b, driving, lead(b) OVER (PARTITION BY device ORDER BY b) nxt FROM (SELECT * FROM c WHERE p IS NULL OR driving <> p)) SELECT device, timestamp_floor('d', b) d, avg(nxt - b) / 60e6 minutes FROM e WHERE driving = 1

-- query q10_daily_activity_of_fleets
SELECT fleet, d, sum(n) / 144.0 AS act FROM (SELECT fleet, device, date_bin(INTERVAL '1 day', b) AS d, count(*) AS n FROM (SELECT fleet, device, date_bin(INTERVAL '10 minutes', fix_time) AS b FROM positions GROUP BY fleet, device, b HAVING avg(speed_mps) > 0.3) AS w GROUP BY fleet, device, d) AS x GROUP BY fleet, d
-- questdb
SELECT fleet, d, sum(n) / 144.0 act FROM (SELECT fleet, device, timestamp_floor('d', fix_time) d, count() n FROM (SELECT fleet, device, fix_time, avg(speed_mps) v FROM positions SAMPLE BY 10m) WHERE v > 0.3)

-- query q11_distance_per_vehicle_day
SELECT device, date_bin(INTERVAL '1 day', fix_time) AS d, sum(m) AS m FROM (SELECT device, fix_time, haversine_m(lag(lat) OVER w, lag(lon) OVER w, lat, lon) AS m FROM positions WINDOW w AS (PARTITION BY device ORDER BY fix_time)) AS s GROUP BY 1, 2
-- questdb
SELECT device, timestamp_floor('d', fix_time) d, sum(2 * 6371008.8 * asin(sqrt(power(sin(radians(lat - plat) / 2), 2) + cos(radians(lat)) * cos(radians(plat)) * power(sin(radians(lon - plon) / 2), 2)))) m FROM (SELECT device, fix_time, lat, lon, lag(lat) OVER (PARTITION BY device ORDER BY fix_time) plat, lag(lon) OVER (PARTITION BY device ORDER BY fix_time) plon FROM positions)

-- query q12_odometer_per_vehicle_day
SELECT device, date_bin(INTERVAL '1 day', fix_time) AS d, max($odometer) - min($odometer) AS m FROM positions GROUP BY 1, 2
-- questdb
SELECT device, d, hi - lo m FROM (SELECT device, timestamp_floor('d', fix_time) d, max($odometer) hi, min($odometer) lo FROM positions)

-- query q13_trips_of_a_vehicle
SELECT seg, bool_and(ign) AS trip, min(fix_time) AS t0, max(fix_time) AS t1, max(odo) - min(odo) AS m, max(speed_mps) AS vmax, count(*) AS n FROM (SELECT *, segment_id(chg) OVER (ORDER BY fix_time) AS seg FROM (SELECT fix_time, speed_mps, odo, ign, (lag(ign) OVER w IS DISTINCT FROM ign) OR fix_time - lag(fix_time) OVER w > INTERVAL '15 minutes' AS chg FROM (SELECT fix_time, speed_mps, $odometer AS odo, $ignition AS ign FROM positions WHERE device = $device) AS a WINDOW w AS (ORDER BY fix_time)) AS g) AS s GROUP BY seg
-- questdb
WITH g AS (SELECT fix_time, speed_mps, $odometer odo, CASE WHEN $ignition THEN 1 ELSE 0 END ign FROM positions WHERE device = $device), h AS (SELECT fix_time, speed_mps, odo, ign, lag(ign) OVER (ORDER BY fix_time) p, lag(fix_time) OVER (ORDER BY fix_time) pt FROM g), k AS (SELECT fix_time, speed_mps, odo, ign, CASE WHEN p IS NULL OR ign <> p OR fix_time - pt > 900000000 THEN 1 ELSE 0 END chg FROM h), s AS (SELECT fix_time, speed_mps, odo, ign, sum(chg) OVER (ORDER BY fix_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) seg FROM k) SELECT seg, min(ign) = 1 trip, min(fix_time) t0, max(fix_time) t1, max(odo) - min(odo) m, max(speed_mps) vmax, count() n FROM s

-- query q14_trips_of_all_in_a_day
SELECT device, seg, bool_and(ign) AS trip, min(fix_time) AS t0, max(fix_time) AS t1, max(odo) - min(odo) AS m, max(speed_mps) AS vmax, count(*) AS n FROM (SELECT *, segment_id(chg) OVER (PARTITION BY device ORDER BY fix_time) AS seg FROM (SELECT device, fix_time, speed_mps, odo, ign, (lag(ign) OVER w IS DISTINCT FROM ign) OR fix_time - lag(fix_time) OVER w > INTERVAL '15 minutes' AS chg FROM (SELECT device, fix_time, speed_mps, $odometer AS odo, $ignition AS ign FROM positions WHERE fix_time >= '2026-03-04' AND fix_time < '2026-03-05') AS a WINDOW w AS (PARTITION BY device ORDER BY fix_time)) AS g) AS s GROUP BY device, seg
-- questdb
WITH g AS (SELECT device, fix_time, speed_mps, $odometer odo, CASE WHEN $ignition THEN 1 ELSE 0 END ign FROM positions WHERE fix_time IN '2026-03-04'), h AS (SELECT device, fix_time, speed_mps, odo, ign, lag(ign) OVER (PARTITION BY device ORDER BY fix_time) p, lag(fix_time) OVER (PARTITION BY device ORDER BY fix_time) pt FROM g), k AS (SELECT device, fix_time, speed_mps, odo, ign, CASE WHEN p IS NULL OR ign <> p OR fix_time - pt > 900000000 THEN 1 ELSE 0 END chg FROM h), s AS (SELECT device, fix_time, speed_mps, odo, ign, sum(chg) OVER (PARTITION BY device ORDER BY fix_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) seg FROM k) SELECT device, seg, min(ign) = 1 trip, min(fix_time) t0, max(fix_time) t1, max(odo) - min(odo) m, max(speed_mps) vmax, count() n FROM s

-- query q15_minutes_in_a_polygon
SELECT device, sum(CASE WHEN inside THEN least(dt, 600000) ELSE 0 END) / 60e3 AS minutes FROM (SELECT device, $ring AS inside, CAST(lead(fix_time) OVER (PARTITION BY device ORDER BY fix_time) AS BIGINT) - CAST(fix_time AS BIGINT) AS dt FROM positions WHERE fix_time >= '2026-03-04' AND fix_time < '2026-03-05') AS s GROUP BY device HAVING bool_or(inside)
-- questdb
SELECT device, minutes FROM (SELECT device, sum(CASE WHEN inside = 1 THEN least(dt, 600000000) ELSE 0 END) / 60e6 minutes, max(inside) some FROM (SELECT device, CASE WHEN $ring THEN 1 ELSE 0 END inside, lead(fix_time) OVER (PARTITION BY device ORDER BY fix_time) - fix_time dt FROM positions WHERE fix_time IN '2026-03-04')) WHERE some = 1

-- query q15b_points_in_a_polygon
SELECT count(*) AS n FROM positions WHERE $ring
-- questdb
SELECT count() n FROM positions WHERE $ring

-- query q16_speeding_segments
SELECT device, seg, min(fix_time) AS t0, max(fix_time) AS t1, max(speed_mps) AS vmax, max(odo) - min(odo) AS m, count(*) AS n FROM (SELECT *, segment_id(chg) OVER (PARTITION BY device ORDER BY fix_time) AS seg FROM (SELECT device, fix_time, speed_mps, $odometer AS odo, speed_mps > 25 AS fast, lag(speed_mps > 25) OVER w IS DISTINCT FROM (speed_mps > 25) AS chg FROM positions WINDOW w AS (PARTITION BY device ORDER BY fix_time)) AS g) AS s WHERE fast GROUP BY device, seg HAVING count(*) >= 3
-- questdb
WITH g AS (SELECT device, fix_time, speed_mps, $odometer odo, CASE WHEN speed_mps > 25 THEN 1 ELSE 0 END fast FROM positions), h AS (SELECT device, fix_time, speed_mps, odo, fast, lag(fast) OVER (PARTITION BY device ORDER BY fix_time) p FROM g), k AS (SELECT device, fix_time, speed_mps, odo, fast, CASE WHEN p IS NULL OR fast <> p THEN 1 ELSE 0 END chg FROM h), s AS (SELECT device, fix_time, speed_mps, odo, fast, sum(chg) OVER (PARTITION BY device ORDER BY fix_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) seg FROM k) SELECT * FROM (SELECT device, seg, min(fix_time) t0, max(fix_time) t1, max(speed_mps) vmax, max(odo) - min(odo) m, count() n FROM s WHERE fast = 1) WHERE n >= 3

-- query q17_heat_map_cells
SELECT CAST(floor(lat * 100) AS INT) AS y, CAST(floor(lon * 100) AS INT) AS x, count(*) AS n, avg(speed_mps) AS v FROM positions GROUP BY 1, 2 HAVING count(*) > 20
-- questdb
SELECT * FROM (SELECT floor(lat * 100)::int y, floor(lon * 100)::int x, count() n, avg(speed_mps) v FROM positions) WHERE n > 20

-- query q17b_heat_map_geohash
SELECT geohash(lat, lon, 6) AS g, count(*) AS n FROM positions WHERE fix_time >= '2026-03-04' AND fix_time < '2026-03-05' GROUP BY 1
-- questdb
SELECT make_geohash(lon, lat, 30) g, count() n FROM positions WHERE fix_time IN '2026-03-04'

-- query q18_nearest_at_a_time
SELECT device, t, haversine_m(lat, lon, 52.52, 13.405) AS m FROM (SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat, last_value(lon ORDER BY fix_time) AS lon FROM positions WHERE fix_time > '2026-03-05T11:45:00Z' AND fix_time <= '2026-03-05T12:00:00Z' GROUP BY device) AS l ORDER BY m LIMIT 10
-- questdb
SELECT device, fix_time, 2 * 6371008.8 * asin(sqrt(power(sin(radians(52.52 - lat) / 2), 2) + cos(radians(lat)) * cos(radians(52.52)) * power(sin(radians(13.405 - lon) / 2), 2))) m FROM (SELECT device, fix_time, lat, lon FROM positions WHERE fix_time > '2026-03-05T11:45:00Z' AND fix_time <= '2026-03-05T12:00:00Z' LATEST ON fix_time PARTITION BY device) ORDER BY m LIMIT 10

-- query q19_a_vehicle_by_15_minutes
SELECT date_bin(INTERVAL '15 minutes', fix_time) AS b, avg(speed_mps) AS v, max(speed_mps) AS vmax, last_value(lat ORDER BY fix_time) AS lat, last_value(lon ORDER BY fix_time) AS lon, min($fuel) AS fuel FROM positions WHERE device = $device GROUP BY 1
-- questdb
SELECT fix_time, avg(speed_mps) v, max(speed_mps) vmax, last(lat) lat, last(lon) lon, min($fuel) fuel FROM positions WHERE device = $device SAMPLE BY 15m

-- query q20_gaps_over_5_minutes
SELECT device, from_time, to_time FROM gaps(300.001)
-- questdb
SELECT device, prev, fix_time FROM (SELECT device, fix_time, lag(fix_time) OVER (PARTITION BY device ORDER BY fix_time) prev FROM positions) WHERE fix_time - prev > 300000000

-- query q21_refuelling
SELECT device, fix_time, fuel, pf FROM (SELECT device, fix_time, fuel, lag(fuel) OVER (PARTITION BY device ORDER BY fix_time) AS pf FROM (SELECT device, fix_time, $fuel AS fuel FROM positions) AS a) AS b WHERE fuel - pf > 20
-- questdb
SELECT device, fix_time, fuel, pf FROM (SELECT device, fix_time, fuel, lag(fuel) OVER (PARTITION BY device ORDER BY fix_time) pf FROM (SELECT device, fix_time, $fuel fuel FROM positions)) WHERE fuel - pf > 20

-- query q22_engine_starts
SELECT fleet, date_bin(INTERVAL '1 day', fix_time) AS d, count(*) AS n FROM (SELECT fleet, fix_time, ign, lag(ign) OVER (PARTITION BY device ORDER BY fix_time) AS p FROM (SELECT fleet, device, fix_time, $ignition AS ign FROM positions) AS a) AS b WHERE ign AND NOT p GROUP BY 1, 2
-- questdb
SELECT fleet, timestamp_floor('d', fix_time) d, count() n FROM (SELECT fleet, fix_time, ign, lag(ign) OVER (PARTITION BY device ORDER BY fix_time) p FROM (SELECT fleet, device, fix_time, CASE WHEN $ignition THEN 1 ELSE 0 END ign FROM positions)) WHERE ign = 1 AND p = 0

-- query q23_alarms_in_attributes
SELECT fleet, count(*) AS n FROM positions WHERE attributes LIKE '%harshBraking%' GROUP BY fleet
-- questdb
SELECT fleet, count() n FROM positions WHERE attributes LIKE '%harshBraking%'

-- query q24_last_location_of_a_vehicle
SELECT device, lon, lat FROM positions WHERE device = $device ORDER BY fix_time DESC LIMIT 1
-- questdb
SELECT device, lon, lat FROM positions WHERE device = $device LATEST ON fix_time PARTITION BY device

-- query q25_high_load
SELECT device, kg FROM (SELECT device, last_value($load ORDER BY fix_time) AS kg, last_value($model ORDER BY fix_time) AS model FROM positions WHERE fix_time >= '2026-03-06' GROUP BY device) AS l WHERE kg / $rated_kg > 0.9
-- questdb
SELECT device, kg FROM (SELECT device, $load kg, $model model FROM (SELECT * FROM positions WHERE fix_time >= '2026-03-06T00:00:00Z' LATEST ON fix_time PARTITION BY device)) WHERE kg / $rated_kg > 0.9

-- query q26_fuel_used_beside_nominal
SELECT fleet, sum(CASE WHEN fuel < pf THEN pf - fuel ELSE 0.0 END) / sum(odo - po) * 100000 AS used, avg($nominal_l) AS nominal FROM (SELECT fleet, model, speed_mps, fuel, odo, lag(fuel) OVER w AS pf, lag(odo) OVER w AS po FROM (SELECT fleet, device, fix_time, speed_mps, $model AS model, $fuel AS fuel, $odometer AS odo FROM positions) AS a WINDOW w AS (PARTITION BY device ORDER BY fix_time)) AS b WHERE speed_mps > 0.3 GROUP BY fleet
-- questdb
WITH a AS (SELECT fleet, device, fix_time, speed_mps, $model model, $fuel fuel, $odometer odo FROM positions), b AS (SELECT fleet, model, speed_mps, fuel, odo, lag(fuel) OVER (PARTITION BY device ORDER BY fix_time) pf, lag(odo) OVER (PARTITION BY device ORDER BY fix_time) po FROM a), c AS (SELECT fleet, CASE WHEN fuel < pf THEN pf - fuel ELSE 0.0 END l, odo - po m, $nominal_l n FROM b WHERE speed_mps > 0.3), d AS (SELECT fleet, sum(l) l, sum(m) m, avg(n) nominal FROM c) SELECT fleet, l / m * 100000 used, nominal FROM d

-- query q27_average_load_of_models
SELECT fleet, model, avg(kg / $rated_kg) AS part FROM (SELECT fleet, device, $model AS model, avg($load) AS kg FROM positions GROUP BY 1, 2, 3) AS t GROUP BY fleet, model
-- questdb
SELECT fleet, model, avg(part) part FROM (SELECT fleet, model, kg / $rated_kg part FROM (SELECT fleet, device, $model model, avg($load) kg FROM positions))

-- query q28_daily_activity_of_models
SELECT fleet, model, date_bin(INTERVAL '1 day', b) AS d, count(*) / 144.0 AS act FROM (SELECT fleet, device, $model AS model, date_bin(INTERVAL '10 minutes', fix_time) AS b FROM positions GROUP BY 1, 2, 3, 4 HAVING avg(CASE WHEN $trouble THEN 1.0 ELSE 0.0 END) < 0.5) AS w GROUP BY 1, 2, 3
-- questdb
SELECT fleet, model, timestamp_floor('d', b) d, count() / 144.0 act FROM (SELECT fleet, device, $model model, timestamp_floor('10m', fix_time) b, avg(CASE WHEN $trouble THEN 1.0 ELSE 0.0 END) t FROM positions) WHERE t < 0.5

-- query q29_breakdowns_of_models
SELECT model, count(*) AS n FROM (SELECT model, broken, lead(broken) OVER (PARTITION BY device ORDER BY b) AS nxt FROM (SELECT device, $model AS model, date_bin(INTERVAL '10 minutes', fix_time) AS b, avg(CASE WHEN $trouble THEN 1.0 ELSE 0.0 END) >= 0.5 AS broken FROM positions GROUP BY 1, 2, 3) AS s) AS t WHERE NOT broken AND nxt GROUP BY model
-- questdb
SELECT model, count() n FROM (SELECT model, broken, lead(broken) OVER (PARTITION BY device ORDER BY b) nxt FROM (SELECT device, model, b, CASE WHEN t >= 0.5 THEN 1 ELSE 0 END broken FROM (SELECT device, $model model, timestamp_floor('10m', fix_time) b, avg(CASE WHEN $trouble THEN 1.0 ELSE 0.0 END) t FROM positions))) WHERE broken = 0 AND nxt = 1
