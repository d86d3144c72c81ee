//! Single attributes out of the JSON of the column `attributes`. `None` if it is not there, of another type, or not JSON.

use serde_json::Value;

/// As text: texts as they are, numbers and flags as written in JSON.
pub(super) fn text(json: &str, name: &str) -> Option<String> {
    match value(json, name)? {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A number.
pub(super) fn number(json: &str, name: &str) -> Option<f64> {
    value(json, name)?.as_f64()
}

/// Yes or no.
pub(super) fn flag(json: &str, name: &str) -> Option<bool> {
    value(json, name)?.as_bool()
}

fn value(json: &str, name: &str) -> Option<Value> {
    // Most rows don't have the attribute, and looking for its name is cheaper than parsing. A name that JSON escapes is looked for
    // by parsing.
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if plain && !json.contains(name) {
        return None;
    }
    match serde_json::from_str(json).ok()? {
        Value::Object(mut all) => all.swap_remove(name),
        _ => None,
    }
}
