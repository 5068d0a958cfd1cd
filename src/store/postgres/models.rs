//! The models whose points are stored, each with a number and a table of its own: made when the
//! first point of a model comes, and never changed. A new model, revision or length therefore begins
//! with nothing, and what an old one saw goes with the answers it belongs to.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::text;
use crate::store::ModelKey;

/// Models of one database; further ones are refused, as a sign that a model's name changes that
/// should not.
const MODELS_MAX: i32 = 256;

/// Longer vectors have no graph: its nodes would not fit a page.
pub(super) const GRAPH_DIMENSIONS_MAX: u32 = 4_000;

/// Longer vectors do not fit into the index on spaces beside their key. Where they do, a space lies
/// together there and is read page by page; in the table its points lie strewn among all others, and
/// reading it takes four times as long.
const INDEX_DIMENSIONS_MAX: u32 = 1_280;

/// Longer vectors are stored beside their row, where they cost a look a second read.
const ROW_DIMENSIONS_MAX: u32 = 3_072;

/// Whoever numbers a model holds it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7377084520893017447)";

const FIND: &str = "SELECT id FROM models WHERE name = $1 AND revision = $2 AND dimensions = $3";

const ADD: &str = "INSERT INTO models (id, name, revision, dimensions) \
    SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM models RETURNING id";

/// The numbers known in this process.
#[derive(Default)]
pub(super) struct Models {
    known: RwLock<HashMap<ModelKey, i32>>,
}

impl Models {
    /// A model's number, if it is known here.
    pub(super) fn known(&self, model: &ModelKey) -> Option<i32> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(model).copied()
    }

    /// Keeps a number in mind. They are never given anew.
    pub(super) fn learn(&self, model: &ModelKey, number: i32) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(model.clone(), number);
    }
}

/// A model's number, if it has one.
pub(super) async fn find(
    connection: &mut PgConnection,
    model: &ModelKey,
) -> Result<Option<i32>, sqlx::Error> {
    let query = sqlx::query_scalar(FIND)
        .bind(text::written(&model.name))
        .bind(text::written(&model.revision))
        .bind(model.dimensions as i32);
    query.fetch_optional(connection).await
}

/// A model's number; `None` where there are too many. In a transaction of its own, so that nobody
/// waits for its lock longer than that takes.
pub(super) async fn find_or_add(
    connection: &mut PgConnection,
    model: &ModelKey,
) -> Result<Option<i32>, sqlx::Error> {
    if let Some(number) = find(connection, model).await? {
        return Ok(Some(number));
    }
    let mut all = connection.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *all).await?;
    if let Some(number) = find(&mut all, model).await? {
        return Ok(Some(number));
    }
    let query = sqlx::query_scalar::<_, i32>(ADD)
        .bind(text::written(&model.name))
        .bind(text::written(&model.revision))
        .bind(model.dimensions as i32);
    let number = query.fetch_one(&mut *all).await?;
    if number > MODELS_MAX {
        return Ok(None);
    }
    let table = AssertSqlSafe(table(number, model.dimensions));
    sqlx::raw_sql(table).execute(&mut *all).await?;
    all.commit().await?;
    Ok(Some(number))
}

/// The table of one model. Points come and go with their answers; what is deleted still stands in
/// the way of a look through the graph until it is vacuumed away, so that happens early.
fn table(number: i32, dimensions: u32) -> String {
    let beside = if dimensions <= INDEX_DIMENSIONS_MAX {
        "INCLUDE (key, direction)"
    } else {
        ""
    };
    let mut text = format!(
        "CREATE TABLE points_{number} PARTITION OF points FOR VALUES IN ({number}) WITH ( \
         autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, \
         autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05); \
         ALTER TABLE points_{number} \
         ADD CHECK (vector_dims(direction) = {dimensions}); \
         CREATE INDEX points_{number}_space ON points_{number} (space) {beside};"
    );
    if dimensions <= ROW_DIMENSIONS_MAX {
        text += &format!("ALTER TABLE points_{number} ALTER COLUMN direction SET STORAGE PLAIN;");
    }
    if dimensions <= GRAPH_DIMENSIONS_MAX {
        text += &format!(
            "CREATE INDEX points_{number}_graph ON points_{number} \
             USING hnsw ((direction::halfvec({dimensions})) halfvec_cosine_ops);"
        );
    }
    text
}

/// Whether the points of a model have a graph.
pub(super) fn has_graph(model: &ModelKey) -> bool {
    model.dimensions <= GRAPH_DIMENSIONS_MAX
}
