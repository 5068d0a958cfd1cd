//! The smallest JSON value that meets a JSON schema, so that structured output and tool arguments
//! parse at the asker's. Not a validator: what it does not know becomes `null`. Pure.

use serde_json::{Map, Value};

/// Deepest nesting followed; a schema may refer to itself.
const DEPTH_MAX: u32 = 16;

/// A value for `schema`, strings and numbers naming call `call`.
pub(super) fn of(schema: &Value, call: u64) -> Value {
    value(schema, schema, "value", call, DEPTH_MAX)
}

fn value(root: &Value, schema: &Value, name: &str, call: u64, depth: u32) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let inner = |schema: &Value, name: &str| value(root, schema, name, call, depth - 1);
    if let Some(fixed) = fixed(schema) {
        return fixed.clone();
    }
    if let Some(target) = target(root, schema) {
        return inner(target, name);
    }
    match kind(schema) {
        Some("object") => Value::Object(object(schema, &inner)),
        Some("array") => Value::Array(array(schema, name, &inner)),
        Some("string") => format!("{name}-{call}").into(),
        Some("integer" | "number") => number(schema, call).into(),
        Some("boolean") => true.into(),
        _ => Value::Null,
    }
}

/// A value the schema itself names.
fn fixed(schema: &Value) -> Option<&Value> {
    schema.get("const").or_else(|| schema.get("enum")?.get(0))
}

/// Where a schema points: a reference inside the root, or the first of its alternatives.
fn target<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let reference = schema.get("$ref").and_then(Value::as_str);
    if let Some(path) = reference.and_then(|reference| reference.strip_prefix('#')) {
        return root.pointer(path);
    }
    ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|of| schema.get(of)?.get(0))
}

fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first()?.as_str(),
        Some(kind) => kind.as_str(),
        None => schema.get("properties").map(|_| "object"),
    }
}

fn object(schema: &Value, inner: &dyn Fn(&Value, &str) -> Value) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, schema)| (name.clone(), inner(schema, name)))
        .collect()
}

fn array(schema: &Value, name: &str, inner: &dyn Fn(&Value, &str) -> Value) -> Vec<Value> {
    let count = schema
        .get("minItems")
        .and_then(Value::as_u64)
        .unwrap_or(1)
        .clamp(1, 16);
    let items = schema.get("items");
    items
        .map(|items| (0..count).map(|_| inner(items, name)).collect())
        .unwrap_or_default()
}

/// The call number, as far as the schema's bounds allow it.
fn number(schema: &Value, call: u64) -> i64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    let call = i64::try_from(call).unwrap_or(i64::MAX);
    call.min(bound("maximum").unwrap_or(i64::MAX))
        .max(bound("minimum").unwrap_or(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn samples_meet_their_schemas() {
        let table = [
            (json!({"type": "string"}), json!("value-7")),
            (json!({"enum": ["b", "a"]}), json!("b")),
            (json!({"type": "integer", "maximum": 5}), json!(5)),
            (json!({"type": ["number", "null"], "minimum": 9}), json!(9)),
            (
                json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}),
                json!(true),
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
                json!([7, 7]),
            ),
            (
                json!({"type": "object", "properties": {"a": {"const": 1}}}),
                json!({"a": 1}),
            ),
            (
                json!({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}),
                json!(true),
            ),
            (json!({"type": "object"}), json!({})),
            (json!({"type": "unheard of"}), json!(null)),
        ];
        for (schema, sample) in table {
            assert_eq!(of(&schema, 7), sample, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let endless = json!({"type": "array", "items": {"$ref": "#"}});
        assert!(of(&endless, 1).to_string().ends_with(&"]".repeat(7)));
    }
}
