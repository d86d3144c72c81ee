//! Settings as functions: `current_setting` and `set_config`.

use super::settings::Settings;
use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Settings that a running question has changed: names and values. Its connection takes them over when the question has ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes(Arc<Mutex<Vec<(String, String)>>>);

impl Changes {
    fn add(&self, name: &str, value: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), value.to_owned()));
    }

    /// Takes what has been changed since.
    pub(super) fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Those of one connection are the same.
impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Changes {}

impl Hash for Changes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// `current_setting(name [, missing_ok])`.
pub(super) fn current_setting(settings: &Settings) -> ScalarUDF {
    let name = || vec![DataType::Utf8];
    let signature =
        TypeSignature::OneOf(vec![TypeSignature::Exact(name()), TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean])]);
    ScalarUDF::from(CurrentSetting { settings: settings.clone(), signature: Signature::new(signature, Volatility::Stable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    settings: Settings,
    signature: Signature,
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = arrays(&args)?;
        let names = columns[0].as_string::<i32>();
        let missing_ok = columns.get(1).map(|column| column.as_boolean());
        let mut found = StringBuilder::new();
        for (row, name) in names.iter().enumerate() {
            let Some(name) = name else {
                found.append_null();
                continue;
            };
            match self.settings.get(name) {
                Some(value) => found.append_value(value),
                None if missing_ok.is_some_and(|ok| ok.is_valid(row) && ok.value(row)) => found.append_null(),
                None => return exec_err!("unrecognized configuration parameter \"{name}\""),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

/// `set_config(name, value, is_local)`, which gives the new value. It lasts as long as the connection, as `SET` does here.
pub(super) fn set_config(settings: &Settings, changes: &Changes) -> ScalarUDF {
    let signature = TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8, DataType::Boolean]);
    ScalarUDF::from(SetConfig {
        settings: settings.clone(),
        changes: changes.clone(),
        // Not computed beforehand: a plan alone changes nothing.
        signature: Signature::new(signature, Volatility::Volatile),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SetConfig {
    settings: Settings,
    changes: Changes,
    signature: Signature,
}

impl ScalarUDFImpl for SetConfig {
    fn name(&self) -> &str {
        "set_config"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = arrays(&args)?;
        let (names, values) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
        // A copy, so that a row that can't be set is told now.
        let mut settings = self.settings.clone();
        let mut given = StringBuilder::new();
        for (name, value) in names.iter().zip(values) {
            let (Some(name), Some(value)) = (name, value) else {
                return exec_err!("set_config takes a name and a value, not NULL");
            };
            settings.set(name, value).map_err(|failure| DataFusionError::Execution(failure.text()))?;
            self.changes.add(name, value);
            given.append_value(settings.get(name).unwrap_or(value));
        }
        Ok(ColumnarValue::Array(Arc::new(given.finish())))
    }
}

fn arrays(args: &ScalarFunctionArgs) -> Result<Vec<Arc<dyn Array>>> {
    args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect()
}
