//! `trips(…)` and `stops(…)`: the tables of these names as the dataflow would have told them, out of positions and by rules that the
//! asker says.

use super::arguments::{filled, number, range};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, TimeUnit, TimestampMillisecondType};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Expr, LimitEffect, LogicalPlan, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use waystream_domain::{Fix, FleetRules, Journeys, LatLon, Timestamp, TripRules};

/// The positions from `$1` to `$2` as the events of trips and stops that they tell, with the columns that the views of these ask for.
/// The times are below the window: only these positions are read.
const EVENTS: &str = "
    SELECT device, fleet, fix_time AS received_at, false AS retracted, attribute_text(attributes, 'kind') AS kind, attributes
    FROM (SELECT device, fleet, fix_time, unnest(string_to_array(told, '\n')) AS attributes FROM (
        SELECT device, fleet, fix_time,
               told_of_journeys(fix_time, lat, lon, speed_mps, ignition, odometer_m) OVER (PARTITION BY device ORDER BY fix_time) AS told
        FROM positions WHERE valid AND NOT (lat = 0 AND lon = 0) AND fix_time >= $1 AND fix_time <= $2) AS fixes
    WHERE told IS NOT NULL) AS lines";

/// What [`EVENTS`] calls the window function. Nobody else may: it is not registered for questions.
const TOLD: &str = "told_of_journeys";

/// One of the functions over the positions of one scope.
#[derive(Debug)]
pub(crate) struct JourneysTable {
    name: &'static str,
    plan: LogicalPlan,
}

impl JourneysTable {
    /// Of the view of this name.
    pub(crate) async fn new(name: &'static str, view: &str, context: &SessionContext) -> Result<Self> {
        let mut state = context.state();
        state.register_udwf(Arc::new(told_by(TripRules::default())))?;
        let plan = state.create_logical_plan(&format!("WITH events AS ({EVENTS}) {view}")).await?;
        Ok(Self { name, plan })
    }
}

impl TableFunctionImpl for JourneysTable {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let arguments = args.exprs();
        let name = self.name;
        if arguments.len() > 5 {
            return plan_err!("{name} takes two times, stop_after_s, leave_m and gap_s: {name}('2026-03-04', NULL, 300)");
        }
        let [from, to] = range(name, arguments)?;
        // What is out of range for an integer is out of range for the rules too.
        let seconds = |i: usize| number(name, "seconds", arguments.get(i)).map(|n| n.map(|n: f64| n.round() as u32));
        let rules = FleetRules {
            stop_after_s: seconds(2)?,
            leave_m: number(name, "metres", arguments.get(3))?,
            gap_s: seconds(4)?,
            ..FleetRules::default()
        };
        if let Err(why) = rules.check() {
            return plan_err!("{name}: {why}");
        }
        let plan = by(self.plan.clone(), rules.trips(TripRules::default()))?;
        Ok(Arc::new(ViewTable::new(filled(name, plan, &[from, to])?, None)))
    }
}

/// The same plan by other rules. They are not arguments of the window function, as each row would bring them anew.
fn by(plan: LogicalPlan, rules: TripRules) -> Result<LogicalPlan> {
    let told = WindowFunctionDefinition::WindowUDF(Arc::new(told_by(rules)));
    let replaced = |expr: Expr| {
        expr.transform_up(|expr| {
            Ok(match expr {
                Expr::WindowFunction(mut window) if window.fun.name() == TOLD => {
                    window.fun = told.clone();
                    Transformed::yes(Expr::WindowFunction(window))
                }
                other => Transformed::no(other),
            })
        })
    };
    Ok(plan.transform_up(|node| node.map_expressions(replaced))?.data)
}

fn told_by(rules: TripRules) -> WindowUDF {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let number = DataType::Float64;
    let arguments = vec![time, number.clone(), number.clone(), DataType::Float32, DataType::Boolean, number];
    WindowUDF::from(Told { signature: Signature::exact(arguments, Volatility::Immutable), rules })
}

/// By each fix in order of time: what it tells, a JSON object a line; NULL if nothing.
#[derive(Debug)]
struct Told {
    signature: Signature,
    rules: TripRules,
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Told {}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl WindowUDFImpl for Told {
    fn name(&self) -> &str {
        TOLD
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(OfDevice(Journeys::new(self.rules))))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Utf8, true)))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

/// Row by row, so that a track need not be in memory.
#[derive(Debug)]
struct OfDevice(Journeys);

impl OfDevice {
    fn next(&mut self, columns: &[ArrayRef], row: usize) -> Result<Option<String>> {
        let Some(fix) = fix(columns, row) else { return Ok(None) };
        let mut lines = Vec::new();
        for (kind, mut attributes) in self.0.take(fix) {
            attributes.set("kind", kind.as_str());
            match serde_json::to_string(&attributes) {
                Ok(line) => lines.push(line),
                Err(why) => return exec_err!("what a fix tells could not be written: {why}"),
            }
        }
        Ok((!lines.is_empty()).then(|| lines.join("\n")))
    }
}

/// `None` where there is no time or place.
fn fix(columns: &[ArrayRef], row: usize) -> Option<Fix> {
    let [times, lats, lons, speeds, ignitions, odometers, ..] = columns else { return None };
    let number = |column: &ArrayRef| column.is_valid(row).then(|| column.as_primitive::<Float64Type>().value(row));
    let ms = times.is_valid(row).then(|| times.as_primitive::<TimestampMillisecondType>().value(row))?;
    let speed_mps = speeds.is_valid(row).then(|| speeds.as_primitive::<Float32Type>().value(row));
    let mut fix = Fix::new(Timestamp::from_millis(ms)?, LatLon::new(number(lats)?, number(lons)?)?, speed_mps);
    fix.ignition = ignitions.is_valid(row).then(|| ignitions.as_boolean().value(row));
    fix.set_odometer(number(odometers));
    Some(fix)
}

impl PartitionEvaluator for OfDevice {
    fn is_causal(&self) -> bool {
        true
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        Ok(Arc::new((0..rows).map(|row| self.next(values, row)).collect::<Result<StringArray>>()?))
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(self.next(values, range.start)?))
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }
}
