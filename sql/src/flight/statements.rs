//! Statements: what they take and give, and their rows.

use super::Shared;
use super::call::Call;
use super::failure;
use super::handle::{Asked, Handle};
use super::rows::{self, Pieces, plain};
use crate::engine::Question;
use crate::{SqlError, metrics};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;
use tonic::Status;

/// Most parameters of a statement, as over Postgres wire.
const MAX_PARAMETERS: usize = u16::MAX as usize;

impl Shared {
    /// What a handle asks, within what its client may see now.
    async fn question(&self, call: &Call, handle: Handle) -> Result<Question, Status> {
        let (sql, values) = match handle.values.is_empty() {
            true => (handle.sql, None),
            // Reading what lies about itself may panic: not here.
            false => {
                let read = self.engine.aside(move || handle.values().map(|values| (handle.sql, values))).await;
                let read = read.map_err(|_| SqlError::invalid("values can't be read"));
                read.flatten().map_err(failure::of)?
            }
        };
        let question = self.engine.question(&call.scope()?, &sql);
        Ok(Question { manner: Arc::new(Asked(values)), ..question })
    }

    /// Columns of the rows, exactly as they will come: clients hold the rows against them.
    pub(super) async fn columns(&self, call: &Call, handle: Handle) -> Result<SchemaRef, Status> {
        let work = async {
            let question = self.question(call, handle).await?;
            let look = self.engine.look(question, |planned, manner| async move {
                let rows = planned.start(manner.as_ref()).await?;
                Ok(rows.create_physical_plan().await?.schema())
            });
            look.await.map_err(failure::of)
        };
        Ok(plain(call.guarded(work).await?.as_ref()))
    }

    /// Columns of the rows, and of the values that the statement takes.
    pub(super) async fn prepare(&self, call: &Call, handle: Handle) -> Result<(SchemaRef, Schema), Status> {
        let work = async {
            let question = self.question(call, handle).await?;
            let look = self.engine.look(question, |planned, _| async move {
                Ok((Arc::clone(planned.plan().schema().inner()), parameters(planned.plan())?))
            });
            look.await.map_err(failure::of)
        };
        let (columns, parameters) = call.guarded(work).await?;
        Ok((plain(columns.as_ref()), parameters))
    }

    /// Checks that values can be read.
    pub(super) async fn try_values(&self, call: &Call, handle: Handle) -> Result<(), Status> {
        self.question(call, handle).await.map(drop)
    }

    /// The rows.
    pub(super) async fn rows(&self, call: &Call, handle: Handle) -> Result<Pieces, Status> {
        let place = self.streams.try_take(call.scope()?.organisation(), self.engine.is_for_one());
        let place = place.ok_or_else(|| failure::busy("too many streams of rows at once: try again later"))?;
        let work = async {
            let question = self.question(call, handle).await?;
            metrics::flight_query();
            self.engine.start(question).await.map_err(failure::of)
        };
        let result = call.guarded(work).await?;
        Ok(rows::stream(&self.engine, result, call, place))
    }
}

/// The parameters of a statement in their order, each of the type that it is used as; text, where nothing tells.
fn parameters(plan: &LogicalPlan) -> Result<Schema, SqlError> {
    let used = plan.get_parameter_fields()?;
    let number = |id: &str| id.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
    let numbers = used.keys().map(|id| number(id).ok_or_else(|| SqlError::invalid(format!("there is no parameter {id}"))));
    let count = numbers.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0);
    if count > MAX_PARAMETERS {
        return Err(SqlError::invalid(format!("more than {MAX_PARAMETERS} parameters")));
    }
    let one = |number: usize| {
        let id = format!("${number}");
        let data_type = used.get(&id).and_then(Option::as_ref).map(|field| field.data_type().clone());
        Field::new(id, data_type.filter(|known| !known.is_null()).unwrap_or(DataType::Utf8), true)
    };
    Ok(plain(&Schema::new((1..=count).map(one).collect::<Vec<_>>())).as_ref().clone())
}
