//! Tables that are questions over other tables: `trips` and `stops` out of the dataflow's events, so that live and history have one
//! definition.

/// Name and contents, in terms of the tables of a scope.
pub(crate) const VIEWS: [(&str, &str); 2] = [("trips", TRIPS), ("stops", STOPS)];

/// One row for each trip: of its end if that was told, else of its beginning. Both have the time at which it began.
const TRIPS: &str = "
    SELECT device, fleet, started_at, ended_at, duration_s, distance_m, odometer_distance_m, driving_s, idle_s, max_speed_mps,
           start_lat, start_lon, end_lat, end_lon, reason
    FROM (SELECT *, row_number() OVER (PARTITION BY device, started_at ORDER BY kind, received_at DESC) AS place FROM (
        SELECT device, fleet, kind, received_at,
               attribute_time(attributes, 'started_at') AS started_at, attribute_time(attributes, 'ended_at') AS ended_at,
               attribute_number(attributes, 'duration_s') AS duration_s,
               attribute_number(attributes, 'distance_m') AS distance_m,
               attribute_number(attributes, 'odometer_distance_m') AS odometer_distance_m,
               attribute_number(attributes, 'driving_s') AS driving_s, attribute_number(attributes, 'idle_s') AS idle_s,
               attribute_number(attributes, 'max_speed_mps') AS max_speed_mps,
               attribute_number(attributes, 'start_lat') AS start_lat, attribute_number(attributes, 'start_lon') AS start_lon,
               attribute_number(attributes, 'end_lat') AS end_lat, attribute_number(attributes, 'end_lon') AS end_lon,
               attribute_text(attributes, 'reason') AS reason
        FROM events WHERE kind IN ('trip_end', 'trip_start') AND NOT retracted) AS told) AS ranked
    WHERE place = 1";

/// One row for each stop: of the moving off that ended it if that was told, else of the standing.
const STOPS: &str = "
    SELECT device, fleet, started_at, ended_at, duration_s, idle_s, lat, lon, reason
    FROM (SELECT *, row_number() OVER (PARTITION BY device, started_at ORDER BY kind, received_at DESC) AS place FROM (
        SELECT device, fleet, kind, received_at,
               attribute_time(attributes, 'started_at') AS started_at, attribute_time(attributes, 'ended_at') AS ended_at,
               attribute_number(attributes, 'duration_s') AS duration_s, attribute_number(attributes, 'idle_s') AS idle_s,
               attribute_number(attributes, 'stop_lat') AS lat, attribute_number(attributes, 'stop_lon') AS lon,
               attribute_text(attributes, 'reason') AS reason
        FROM events WHERE kind IN ('moving', 'stopped') AND NOT retracted) AS told) AS ranked
    WHERE place = 1";
