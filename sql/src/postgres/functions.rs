//! Functions of Postgres that clients call to find out where they are.

use super::configuring::{Changes, current_setting, set_config};
use super::prepare::TYPES;
use super::settings::{SERVER_VERSION, Settings};
use datafusion::arrow::array::{AsArray, Int32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, create_udf,
};
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog as pg;
use std::sync::Arc;

/// What a connection tells of itself.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) user: String,
    pub(super) pid: i32,
    pub(super) settings: Settings,
    /// What the question changes of them.
    pub(super) changes: Changes,
}

/// Functions that give one value whatever they are asked: nothing here has comments, rules, indexes, sizes or other databases.
const NULL_TEXTS: [&str; 19] = [
    "col_description",
    "inet_client_addr",
    "inet_server_addr",
    "obj_description",
    "pg_describe_object",
    "pg_get_function_arg_default",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_partition_constraintdef",
    "pg_get_ruledef",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_size_pretty",
    "pg_tablespace_location",
    "shobj_description",
];

const NULL_SIZES: [&str; 4] = ["pg_database_size", "pg_indexes_size", "pg_table_size", "pg_tablespace_size"];

/// There is one schema to look in, and one user who asks.
const YES: [&str; 10] = [
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_has_role",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_type_is_visible",
];

/// Registers them all.
pub(super) fn register(context: &SessionContext, facts: &Facts) {
    for name in ["has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_any_column_privilege"] {
        context.register_udf(pg::has_privilege_udf::create_has_privilege_udf(name));
    }
    for function in [
        pg::create_current_database_udf(crate::context::CATALOG),
        pg::create_current_schema_udf(),
        pg::create_current_schemas_udf(),
        pg::create_pg_table_is_visible(),
        pg::create_pg_get_partkeydef_udf(),
        pg::create_pg_relation_is_publishable_udf(),
        pg::create_pg_get_statisticsobjdef_columns_udf(),
        pg::create_pg_encoding_to_char_udf(),
        pg::create_pg_relation_size_udf(),
        pg::create_pg_total_relation_size_udf(),
        pg::create_pg_stat_get_numscans(),
        pg::create_pg_get_constraintdef(),
        pg::create_pg_get_partition_ancestors_udf(),
        pg::format_type::create_format_type_udf(),
        pg::pg_get_expr_udf::create_pg_get_expr_udf(),
        pg::quote_ident_udf::create_quote_ident_udf(),
        pg::quote_ident_udf::create_parse_ident_udf(),
        pg::array_bounds_udf::create_array_upper_udf(),
        pg::array_bounds_udf::create_array_lower_udf(),
        current_setting(&facts.settings),
        to_regtype(),
        set_config(&facts.settings, &facts.changes),
    ] {
        context.register_udf(function);
    }
    for name in NULL_TEXTS {
        context.register_udf(constant(name, ScalarValue::Utf8(None)));
    }
    for name in NULL_SIZES {
        context.register_udf(constant(name, ScalarValue::Int64(None)));
    }
    for name in YES {
        context.register_udf(constant(name, ScalarValue::Boolean(Some(true))));
    }
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let version = format!("PostgreSQL {SERVER_VERSION} compatible, waystream {}", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("version", text(&version)),
        ("session_user", text(&facts.user)),
        ("pg_get_userbyid", text(&facts.user)),
        ("pg_backend_pid", ScalarValue::Int32(Some(facts.pid))),
        ("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
        ("pg_is_other_temp_schema", ScalarValue::Boolean(Some(false))),
        ("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
        ("pg_advisory_unlock_all", ScalarValue::Utf8(None)),
        ("txid_current", ScalarValue::Int64(Some(1))),
    ] {
        context.register_udf(constant(name, value));
    }
}

/// A function of any arguments with one value.
fn constant(name: &'static str, value: ScalarValue) -> ScalarUDF {
    let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
    ScalarUDF::from(Constant { name, value, signature: Signature::new(any, Volatility::Stable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `to_regtype(name)`: the number of a type, NULL if there is none of that name. So drivers ask for types of extensions.
fn to_regtype() -> ScalarUDF {
    let one = |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let number = |name: &str| TYPES.iter().find(|(known, oid)| *known == name && *oid > 0).map(|(_, oid)| *oid as i32);
        let numbers = args[0].as_string::<i32>().iter().map(|name| number(name?)).collect::<Int32Array>();
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    };
    create_udf("to_regtype", vec![DataType::Utf8], DataType::Int32, Volatility::Immutable, Arc::new(one))
}
