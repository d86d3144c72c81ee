//! Attributes that many trackers report, as columns of their own type behind those of the store.

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use waystream_store::POSITION_COLUMNS;

/// What the column and the attribute are called, and the function that reads it.
const COMMON: [(&str, &str); 12] = [
    ("ignition", "attribute_flag"),
    ("motion", "attribute_flag"),
    ("odometer_m", "attribute_number"),
    ("engine_hours_h", "attribute_number"),
    ("fuel_l", "attribute_number"),
    ("fuel_level", "attribute_number"),
    ("power_v", "attribute_number"),
    ("battery_v", "attribute_number"),
    ("battery_level", "attribute_number"),
    ("satellites", "attribute_number"),
    ("alarm", "attribute_text"),
    ("driver_id", "attribute_text"),
];

/// Positions as people see them, with those of the columns that are `wanted`. Each attribute looks through the JSON by itself, and only
/// where its name is in it.
pub(crate) fn with_columns(
    positions: LogicalPlanBuilder,
    functions: &dyn FunctionRegistry,
    wanted: impl Fn(&str) -> bool,
) -> Result<LogicalPlanBuilder> {
    let mut columns: Vec<_> = POSITION_COLUMNS.into_iter().filter(|name| wanted(name)).map(col).collect();
    for (name, function) in COMMON.into_iter().filter(|(name, _)| wanted(name)) {
        columns.push(functions.udf(function)?.call(vec![col("attributes"), lit(name)]).alias(name));
    }
    positions.project(columns)
}
