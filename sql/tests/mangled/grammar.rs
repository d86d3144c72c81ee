//! Texts that are SQL, mostly: of our tables, columns and functions, with what is large, odd or wrong among them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use waystream_sql::functions::ENTRIES;

const TABLES: &[&str] = &[
    "positions",
    "events",
    "trips",
    "stops",
    "latest_positions",
    "devices",
    "fleets",
    "geofences",
    "acknowledgements",
    "waystream.public.positions",
    "information_schema.columns",
    "gaps(1)",
    "gaps(-1, '2026-03-04', NULL)",
    "trips('2026-03-04', NULL, 1, 1)",
    "stops(NULL, NULL, NULL, NULL, -1)",
    "generate_series(1, 10)",
    "(VALUES (1, 'a'), (2, NULL)) AS v(lat, device)",
    "UNNEST([1, 2, 3]) AS u(lat)",
    "nowhere",
    "positions AS a JOIN events AS b ON a.device = b.device AND a.fix_time = b.fix_time",
    "positions NATURAL JOIN events",
    "positions AS a LEFT JOIN LATERAL (SELECT max(lat) AS m FROM events WHERE device = a.device) AS b ON true",
];
const COLUMNS: &[&str] = &[
    "fix_time",
    "received_at",
    "device",
    "fleet",
    "lat",
    "lon",
    "altitude_m",
    "speed_mps",
    "course_deg",
    "valid",
    "attributes",
    "geofence",
    "kind",
    "retracted",
    "*",
    "a.device",
    "q.lat",
    "nothing",
];
const LITERALS: &[&str] = &[
    "0",
    "-1",
    "NULL",
    "true",
    "''",
    "'acme'",
    "'Yard of bolt'",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e400",
    "0.1",
    "'NaN'::double precision",
    "'infinity'::timestamp",
    "TIMESTAMP '2026-03-04T23:55:00Z'",
    "TIMESTAMP '262143-12-31'",
    "DATE '0001-01-01'",
    "INTERVAL '1 day'",
    "INTERVAL '2147483647 months'",
    "now()",
    "[1, 2]",
    "X'ff'",
    "$1",
    "{\"a\": 1}",
];
const OPERATORS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    "<",
    ">=",
    "AND",
    "OR",
    "||",
    "LIKE",
    "~",
    "!~*",
    "IS DISTINCT FROM",
    "->",
    "#",
    "<<",
    "^",
];
const FUNCTIONS: &[&str] = &[
    "abs",
    "round",
    "power",
    "ln",
    "gcd",
    "lcm",
    "factorial",
    "substr",
    "left",
    "split_part",
    "strpos",
    "translate",
    "chr",
    "concat",
    "regexp_replace",
    "regexp_match",
    "to_timestamp",
    "date_trunc",
    "date_bin",
    "date_part",
    "make_date",
    "to_char",
    "array_slice",
    "array_sort",
    "make_array",
    "coalesce",
    "nullif",
    "greatest",
    "arrow_cast",
    "count",
    "sum",
    "avg",
    "stddev",
    "median",
    "approx_percentile_cont",
    "array_agg",
    "string_agg",
    "first_value",
    "nth_value",
    "lag",
    "ntile",
    "row_number",
    "no_function",
];
const TYPES: &[&str] = &[
    "INT",
    "SMALLINT",
    "BIGINT",
    "REAL",
    "DOUBLE",
    "TEXT",
    "BOOLEAN",
    "TIMESTAMP",
    "DATE",
    "INTERVAL",
    "DECIMAL(38, 10)",
    "BYTEA",
    "INT[]",
    "JSON",
];
fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

/// Names of our own functions.
fn ours() -> impl Strategy<Value = String> + Clone {
    let names: Vec<String> = ENTRIES.iter().map(|entry| entry.name().to_owned()).collect();
    select(names)
}

/// Of any types, so mostly wrong.
fn wild() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => word(COLUMNS),
        2 => word(LITERALS),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => (-1e30..1e30).prop_map(|n: f64| n.to_string()),
        1 => ".{0,8}".prop_map(|text: String| format!("'{}'", text.replace('\'', "''"))),
    ];
    let larger = |inner: BoxedStrategy<String>| {
        let some = || inner.clone();
        prop_oneof![
            (some(), word(OPERATORS), some()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
            (word(FUNCTIONS), vec(some(), 0..4)).prop_map(|(name, given)| format!("{name}({})", given.join(", "))),
            (ours(), vec(some(), 0..6)).prop_map(|(name, given)| format!("{name}({})", given.join(", "))),
            (some(), word(TYPES)).prop_map(|(a, to)| format!("CAST(({a}) AS {to})")),
            (some(), some(), some()).prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (some(), vec(some(), 1..3)).prop_map(|(a, list)| format!("({a}) IN ({})", list.join(", "))),
            (some(), some()).prop_map(|(a, by)| format!("{a} OVER (PARTITION BY device ORDER BY {by})")),
            (some(), word(TABLES)).prop_map(|(a, table)| format!("(SELECT {a} FROM {table} LIMIT 1)")),
        ]
    };
    leaf.prop_recursive(3, 16, 4, move |inner| larger(inner.boxed())).boxed()
}

/// A number, of the columns that positions and events have.
fn number() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => word(&["lat", "lon", "extract(epoch FROM fix_time)", "length(device)", "attribute_number(attributes, 'ignition')"]),
        2 => word(&["0", "-1", "0.1", "9223372036854775807", "-9223372036854775808", "1e308", "NULL::double precision"]),
        1 => any::<i32>().prop_map(|n| format!("({n})")),
    ];
    let larger = |inner: BoxedStrategy<String>| {
        let some = || inner.clone();
        prop_oneof![
            (some(), word(&["+", "-", "*", "/", "%"]), some()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            (word(&["abs", "round", "sqrt", "ln", "sin", "floor", "speed_kmh", "-"]), some())
                .prop_map(|(f, a)| format!("{f}({a})")),
            (word(&["power", "nullif", "greatest", "atan2"]), some(), some()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (word(&["haversine_m", "geodesic_m", "bearing_deg"]), some(), some())
                .prop_map(|(f, a, b)| format!("{f}({a}, {b}, lat, lon)")),
            (some(), word(&["SMALLINT", "INT", "BIGINT", "REAL", "DECIMAL(38, 10)"]))
                .prop_map(|(a, to)| format!("CAST({a} AS {to})")),
        ]
    };
    leaf.prop_recursive(3, 12, 2, move |inner| larger(inner.boxed())).boxed()
}

/// A text, a time, or a list.
fn other() -> BoxedStrategy<String> {
    prop_oneof![
        word(&[
            "device",
            "fleet",
            "attributes",
            "fix_time",
            "retracted IS NULL",
            "*",
            "count(*) OVER ()",
            "array_agg(device) OVER ()"
        ]),
        (number(), number()).prop_map(|(a, b)| format!("zone_id({a}, {b})")),
        (number(), number(), 0..20).prop_map(|(a, b, n)| format!("h3_cell({a}, {b}, {n})")),
        (number(), number()).prop_map(|(a, b)| format!("substr(device, CAST({a} AS BIGINT), CAST({b} AS BIGINT))")),
        (word(&["left", "right", "chr", "to_timestamp", "make_array", "arrow_typeof"]), number()).prop_map(|(f, a)| {
            match f.as_str() {
                "left" | "right" => format!("{f}(device, CAST({a} AS BIGINT))"),
                "chr" => format!("chr(CAST({a} AS BIGINT))"),
                _ => format!("{f}({a})"),
            }
        }),
        (word(&["second", "century", "month", "nonsense"]), any::<i32>())
            .prop_map(|(unit, n)| format!("date_trunc('{unit}', fix_time + INTERVAL '{n} seconds')")),
        (word(&["sum", "lag", "stddev", "first_value", "path_m", "ntile"]), number()).prop_map(|(f, a)| match f.as_str() {
            "path_m" => "path_m(lat, lon ORDER BY fix_time) OVER (PARTITION BY device)".to_owned(),
            "ntile" => "ntile(3) OVER (ORDER BY fix_time)".to_owned(),
            _ => format!("{f}({a}) OVER (PARTITION BY device ORDER BY fix_time)"),
        }),
    ]
    .boxed()
}

fn truth() -> BoxedStrategy<String> {
    let one = prop_oneof![
        (number(), word(&["=", "<>", "<", ">="]), number()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
        (number(), number()).prop_map(|(a, b)| format!("in_geofence({a}, {b}, 'Yard of bolt')")),
        word(&[
            "device LIKE '%1'",
            "device ~ '[0-'",
            "fleet IN ('east', 'north')",
            "fleet <> 'north'",
            "attributes IS NOT NULL"
        ]),
        word(TABLES).prop_map(|table| format!("EXISTS (SELECT 1 FROM {table})")),
    ];
    (one.clone(), word(&["AND", "OR", "AND NOT", "IS DISTINCT FROM"]), one)
        .prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})"))
        .boxed()
}

fn expression() -> BoxedStrategy<String> {
    prop_oneof![4 => number(), 3 => other(), 1 => truth(), 1 => wild()].boxed()
}

/// Rows as they are, mostly well asked for.
fn rows() -> BoxedStrategy<String> {
    let table = prop_oneof![4 => word(&["positions", "events", "latest_positions"]), 1 => word(TABLES)];
    let by = prop_oneof![4 => number(), 1 => wild()];
    let limit = prop_oneof![3 => word(&["0", "7", "ALL"]), 1 => wild()];
    let parts = (option::of(truth()), option::of(by), option::of(limit));
    (option::weighted(0.2, Just("DISTINCT ")), vec(expression(), 1..4), table, parts)
        .prop_map(|(distinct, asked, table, (filter, by, limit))| {
            let part = |before: &str, part: Option<String>| part.map(|part| format!(" {before} {part}")).unwrap_or_default();
            let parts = part("WHERE", filter) + &part("ORDER BY", by) + &part("LIMIT", limit);
            format!("SELECT {}{} FROM {table}{parts}", distinct.unwrap_or_default(), asked.join(", "))
        })
        .boxed()
}

/// Rows put together.
fn groups() -> BoxedStrategy<String> {
    let aggregate = || {
        let functions = &["sum", "avg", "min", "max", "count", "stddev", "median", "array_agg", "approx_distinct"];
        (word(functions), number()).prop_map(|(f, a)| format!("{f}({a})"))
    };
    (vec(aggregate(), 1..3), word(&["positions", "events"]), truth(), aggregate(), any::<i32>())
        .prop_map(|(asked, table, filter, having, than)| {
            format!("SELECT device, {} FROM {table} WHERE {filter} GROUP BY device HAVING {having} > {than}", asked.join(", "))
        })
        .boxed()
}

fn query() -> BoxedStrategy<String> {
    prop_oneof![3 => rows(), 1 => groups()].boxed()
}

/// A statement.
pub(crate) fn statement() -> BoxedStrategy<String> {
    prop_oneof![
        5 => query(),
        1 => query().prop_map(|q| format!("EXPLAIN ANALYZE {q}")),
        1 => (query(), query()).prop_map(|(a, b)| format!("{a} UNION ALL {b}")),
        1 => (query(), query()).prop_map(|(a, b)| format!("WITH q AS ({a}), r AS ({b}) SELECT * FROM q, r LIMIT 3")),
        1 => (query(), 1_usize..60).prop_map(|(q, deep)| {
            format!("{}{q}{}", "SELECT * FROM (".repeat(deep), ") AS q".repeat(deep))
        }),
        1 => (query(), wild(), 1_usize..17).prop_map(|(q, e, deep)| {
            format!("SELECT {}{e}{} FROM ({q}) AS q", "abs(".repeat(deep), ")".repeat(deep))
        }),
    ]
    .boxed()
}
