//! The admin API described for programs, in OpenAPI 3.1: generated from the table of its routes
//! and from the types they take and give. Nothing is written by hand but what no type knows.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::May;
use super::routes::{Described, Route, routes};

/// Made once: the program does not change while it runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document(&routes()).to_string());

pub(super) async fn show() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.as_str()).into_response()
}

/// What is said where something cannot be done.
#[derive(JsonSchema)]
#[schemars(rename = "Error")]
#[expect(
    dead_code,
    reason = "the form of http::error's bodies, for the description alone"
)]
struct Complaint {
    error: Said,
}

#[derive(JsonSchema)]
#[schemars(rename = "ErrorSaid")]
#[expect(dead_code, reason = "as above")]
struct Said {
    /// What to do.
    message: String,
    r#type: String,
    /// A short name that does not change.
    code: Option<String>,
    param: Option<String>,
}

fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut types = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let calls = paths.entry(route.path).or_insert_with(|| json!({}));
        calls[route.method.as_str().to_ascii_lowercase()] = call(route, &mut types);
    }
    let probe = json!({"get": {
        "operationId": "get-healthz", "summary": "Alive", "security": [],
        "responses": {"200": {"description": "the process lives"}},
    }});
    paths.insert("/healthz".into(), probe);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "fgy admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Any node answers. Amounts are nano-dollars, times Unix milliseconds. \
                            A list is read page by page: give `next` as `after`, until it is null.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"admin": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer", "description": "FGY_ADMIN_TOKEN"},
                "read": {"type": "http", "scheme": "bearer", "description": "FGY_ADMIN_READ_TOKEN"},
            },
            "schemas": types.take_definitions(true),
        },
    })
}

fn call(route: &Route, types: &mut SchemaGenerator) -> Value {
    let mut call = json!({
        "operationId": name(route),
        "summary": route.says,
        "responses": {
            "200": {"description": "done", "content": content(route.gives, types)},
            "default": {
                "description": "not done, and what to do",
                "content": {"application/json": {"schema": types.subschema_for::<Complaint>()}},
            },
        },
    });
    if route.may == May::Read {
        call["security"] = json!([{"admin": []}, {"read": []}]);
    }
    let mut parameters = path_parameters(route.path);
    if let Some(query) = route.query {
        parameters.extend(query_parameters(&query(types), types));
    }
    if route.once {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": {"type": "string"},
            "description": "Marks retries: while a key made under it is held, no other is made, \
                            and none is shown again.",
        }));
    }
    if !parameters.is_empty() {
        call["parameters"] = parameters.into();
    }
    if let Some(takes) = route.takes {
        call["requestBody"] = json!({"required": true, "content": content(takes, types)});
    }
    call
}

/// `post-tenants-id-keys`: unique, as method and path together are.
fn name(route: &Route) -> String {
    let path = route.path.trim_start_matches("/admin/v1");
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let method = route.method.as_str().to_ascii_lowercase();
    format!("{method}-{}", words.join("-"))
}

fn content(
    (media_type, described): (&'static str, Option<Described>),
    types: &mut SchemaGenerator,
) -> Value {
    let is_json = media_type == "application/json";
    let schema = match described {
        Some(described) => Value::from(described(types)),
        None if is_json => json!({"type": "object"}),
        None => json!({"type": "string"}),
    };
    json!({media_type: {"schema": schema}})
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let parameter =
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    names.map(parameter).collect()
}

/// The members of the type that a query string is read into.
fn query_parameters(query: &Schema, types: &mut SchemaGenerator) -> Vec<Value> {
    let reference = query.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|path| path.rsplit('/').next());
    // Taken out: a query string is described member by member, not as a type.
    let whole = name.and_then(|name| types.definitions().get(name).cloned());
    let whole = whole.unwrap_or_else(|| query.clone().into());
    let required: Vec<&str> = whole["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let members = whole["properties"].as_object().into_iter().flatten();
    let parameters = members.map(|(name, schema)| {
        let required = required.contains(&name.as_str());
        json!({"name": name, "in": "query", "required": required, "schema": schema})
    });
    parameters.collect()
}
