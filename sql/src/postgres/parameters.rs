//! Values for `$1`: which types a statement takes, and how values are read.

use super::binary;
use super::failure::Failure;
use super::frontend::Bind;
use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use arrow_pg::datatypes::field_into_pg_type;
use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, Result, ScalarValue};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::api::stmt::StoredStatement;
use std::collections::HashMap;
use std::sync::Arc;

/// Most parameters of a statement: what the protocol can count.
const MAX_PARAMETERS: usize = u16::MAX as usize;

/// One parameter.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// As values are sent.
    pub(super) wire: Type,
    /// As the statement takes it, where the client has not said what it sends.
    inferred: Option<DataType>,
}

/// The parameters of a statement: of the types that the client has named, else as they are used.
pub(super) fn of_plan(plan: &LogicalPlan, named: &[u32]) -> Result<Vec<Parameter>, Failure> {
    let fields = plan.get_parameter_fields().map_err(crate::SqlError::from)?;
    let hints = hints(plan).map_err(crate::SqlError::from)?;
    let number = |id: &str| id.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
    let used = fields.keys().map(|id| number(id).ok_or_else(|| Failure::error("42P02", format!("there is no parameter {id}"))));
    let count = used.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0).max(named.len());
    if count > MAX_PARAMETERS {
        return Err(Failure::error("54000", format!("more than {MAX_PARAMETERS} parameters")));
    }
    let one = |index: usize| {
        let id = format!("${}", index + 1);
        let named = named.get(index).and_then(|oid| Type::from_oid(*oid)).filter(|named| *named != Type::UNKNOWN);
        if let Some(wire) = named {
            return Ok(Parameter { wire, inferred: None });
        }
        let inferred = match fields.get(&id).cloned().flatten() {
            Some(field) => Some((field_into_pg_type(&field)?, field.data_type().clone())),
            None => match hints.get(&id) {
                Some(field) => Some((field_into_pg_type(field)?, field.data_type().clone())),
                None => None,
            },
        };
        let (wire, inferred) = inferred.unwrap_or((Type::TEXT, DataType::Utf8));
        let wire = if wire == Type::UNKNOWN { Type::TEXT } else { wire };
        Ok(Parameter { wire, inferred: Some(inferred) })
    };
    (0..count).map(one).collect()
}

/// What the engine doesn't tell of types: `$1::type` says it itself, and `x = ANY($1)` means a list of what `x` is.
fn hints(plan: &LogicalPlan) -> Result<HashMap<String, FieldRef>> {
    let mut found = HashMap::new();
    plan.apply_with_subqueries(|node| {
        let columns = merge_schema(&node.inputs());
        node.apply_expressions(|expression| {
            expression.apply(|e| {
                match e {
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = cast.expr.as_ref() {
                            found.insert(placeholder.id.clone(), Arc::clone(&cast.field));
                        }
                    }
                    Expr::ScalarFunction(call) if call.name() == "array_has" => {
                        if let [Expr::Placeholder(placeholder), element] = &call.args[..] {
                            let element = match element.get_type(&columns) {
                                Ok(DataType::Utf8View | DataType::LargeUtf8 | DataType::Null) | Err(_) => DataType::Utf8,
                                Ok(other) => other,
                            };
                            let list = DataType::new_list(element, true);
                            found.insert(placeholder.id.clone(), Arc::new(Field::new("list", list, true)));
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// Values in text, as a message has them.
pub(super) fn in_text(values: Vec<Option<Bytes>>) -> Bind {
    Bind { portal: String::new(), statement: String::new(), formats: Vec::new(), values, result_formats: Vec::new() }
}

/// Reads the values of a message.
pub(super) fn values(bind: &Bind, parameters: &[Parameter]) -> Result<ParamValues, Failure> {
    let (given, taken) = (bind.values.len(), parameters.len());
    if given != taken {
        return Err(Failure::error("08P01", format!("{given} values for a statement that takes {taken}")));
    }
    check_formats(&bind.formats, taken)?;
    let mut read = Vec::with_capacity(taken);
    for (index, parameter) in parameters.iter().enumerate() {
        let binary = is_binary(&bind.formats, index);
        let value = bind.values[index].as_ref();
        let scalar = match (value, text_type(parameter)) {
            (Some(bytes), Some(to)) if !binary => from_text(bytes, &to)?,
            // Lists have types that begin so.
            (Some(bytes), None) if !binary && parameter.wire.name().starts_with('_') => {
                from_wire(Some(without_spaces(bytes)), false, parameter)?
            }
            _ => from_wire(value.cloned(), binary, parameter)?,
        };
        read.push(ScalarAndMetadata::from(scalar));
    }
    Ok(ParamValues::List(read))
}

/// There are none, one for all, or one for each.
pub(super) fn check_formats(formats: &[i16], columns: usize) -> Result<(), Failure> {
    let known = formats.iter().all(|format| matches!(format, 0 | 1));
    if known && (formats.len() <= 1 || formats.len() == columns) {
        return Ok(());
    }
    Err(Failure::error("08P01", format!("{} formats for {columns} columns or values", formats.len())))
}

fn is_binary(formats: &[i16], index: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all == 1,
        each => each.get(index) == Some(&1),
    }
}

/// What is read from text as SQL reads a literal in quotes.
fn text_type(parameter: &Parameter) -> Option<DataType> {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Some(match (&parameter.wire, &parameter.inferred) {
        (&Type::OID, _) => DataType::Int64,
        (_, Some(inferred)) if !inferred.is_nested() => inferred.clone(),
        (&Type::BOOL, None) => DataType::Boolean,
        (&Type::INT2, None) => DataType::Int16,
        (&Type::INT4, None) => DataType::Int32,
        (&Type::INT8, None) => DataType::Int64,
        (&Type::FLOAT4, None) => DataType::Float32,
        (&Type::FLOAT8, None) => DataType::Float64,
        (&Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UUID | &Type::JSON | &Type::JSONB, None) => {
            DataType::Utf8
        }
        (&Type::TIMESTAMP, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        (&Type::TIMESTAMPTZ, None) => utc(),
        (&Type::DATE, None) => DataType::Date32,
        (&Type::INTERVAL, None) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}

fn from_text(bytes: &[u8], to: &DataType) -> Result<ScalarValue, Failure> {
    let wrong = |why: String| Failure::error("22P02", format!("a value can't be read: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|e| wrong(e.to_string()))?;
    // Postgres writes true and false so.
    let text = match (to, text) {
        (DataType::Boolean, "t") => "true",
        (DataType::Boolean, "f") => "false",
        (_, text) => text,
    };
    ScalarValue::Utf8(Some(text.to_owned())).cast_to(to).map_err(|e| wrong(e.strip_backtrace()))
}

/// A list as text, `{a, "b c"}`, without the spaces round its elements, which mean nothing.
fn without_spaces(text: &[u8]) -> Bytes {
    let (mut out, mut spaces) = (Vec::with_capacity(text.len()), Vec::new());
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            spaces.push(byte);
            continue;
        } else {
            let begins = matches!(out.last(), None | Some(b'{' | b','));
            if begins || matches!(byte, b'}' | b',') {
                spaces.clear();
            }
            quoted = byte == b'"';
        }
        out.append(&mut spaces);
        out.push(byte);
    }
    out.into()
}

fn from_wire(value: Option<Bytes>, binary: bool, parameter: &Parameter) -> Result<ScalarValue, Failure> {
    if let Some(value) = &value {
        if binary {
            binary::check(&parameter.wire, value)?;
        } else if parameter.wire == Type::INTERVAL_ARRAY {
            // The crate that reads intervals as text panics at digits of other scripts.
            return Err(Failure::error("0A000", "lists of intervals are taken in binary only"));
        }
    }
    let one = pgwire::messages::extendedquery::Bind::new(None, None, vec![i16::from(binary)], vec![value], Vec::new());
    let statement = StoredStatement::new(String::new(), (), vec![Some(parameter.wire.clone())]);
    let portal = Portal::try_new(&one, Arc::new(statement))?;
    // Decimals of several sizes in one list are more than the crate can do.
    let floats = (parameter.wire == Type::NUMERIC_ARRAY).then(|| DataType::new_list(DataType::Float64, true));
    let inferred = [parameter.inferred.as_ref().or(floats.as_ref())];
    let ParamValues::List(mut values) = deserialize_parameters_with_server_types(&portal, &inferred, &[])? else {
        return Err(Failure::error("XX000", "a value has a name"));
    };
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(with_enough_digits(value.value)),
        _ => Err(Failure::error("0A000", format!("values of the type {} can't be read", parameter.wire))),
    }
}

/// A decimal has as many digits as stand behind its point, and one at least. The crate counts 0.05 as one digit, and NULL as none.
fn with_enough_digits(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Decimal128(number, digits, scale) => {
            ScalarValue::Decimal128(number, digits.max(scale.unsigned_abs()).max(1), scale)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_between_elements_mean_nothing() {
        for (list, expected) in [
            ("{a,b}", "{a,b}"),
            (" { a , b c ,\"d , e\" } ", "{a,b c,\"d , e\"}"),
            (r#"{"a\" , b" , "c\\\\" , d}"#, r#"{"a\" , b","c\\\\",d}"#),
            ("{ }", "{}"),
            ("", ""),
        ] {
            assert_eq!(without_spaces(list.as_bytes()), expected, "{list}");
        }
    }
}
