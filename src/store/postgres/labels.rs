//! Labels in PostgreSQL: nobody waits for them, so all of it are chores.

use std::collections::BTreeSet;

use fgy_cluster::Key;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Postgres, begin_hurried, column, fault, millis, text};
use crate::label::{Judge, Label, Verdict};
use crate::ledger::line::LineId;
use crate::names::{Name, TenantId};
use crate::store::{Error, LABELS_PER_TENANT_MAX, Labels, Reply};

const INSERT: &str = "INSERT INTO labels (id, at, tenant, namespace, policy, entry, similarity_bp, \
    verdict, judge, weight) \
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], \
    $6::bytea[], $7::integer[], $8::text[], $9::text[], $10::integer[]) \
    ON CONFLICT (id) DO UPDATE SET at = excluded.at, verdict = excluded.verdict, \
    judge = excluded.judge, weight = excluded.weight WHERE excluded.at >= labels.at";
const BOUND: &str = "DELETE FROM labels WHERE tenant = $1 AND (at, id) <= \
    (SELECT at, id FROM labels WHERE tenant = $1 ORDER BY at DESC, id DESC LIMIT 1 OFFSET $2)";
const READ: &str = "SELECT id, at, tenant, namespace, policy, entry, similarity_bp, verdict, judge, \
    weight FROM labels WHERE tenant = $1 ORDER BY at DESC, id DESC LIMIT $2";
const FORGET: &str = "DELETE FROM labels WHERE tenant = $1";

impl Labels for Postgres {
    fn label(&self, labels: Vec<Label>) -> Reply<'_, ()> {
        // One statement may not touch a row twice: of a reply's labels the last counts.
        let mut once: Vec<Label> = Vec::with_capacity(labels.len());
        for label in labels {
            once.retain(|it| it.id != label.id);
            once.push(label);
        }
        Box::pin(async move {
            if once.is_empty() {
                return Ok(());
            }
            self.chore(move |connection| {
                Box::pin(async move {
                    let mut all = begin_hurried(connection).await?;
                    insert(&once).execute(&mut *all).await?;
                    let tenants: BTreeSet<&TenantId> = once.iter().map(|it| &it.tenant).collect();
                    for tenant in tenants {
                        let bound = sqlx::query(BOUND)
                            .bind(text::written(tenant.as_str()))
                            .bind(i64::from(LABELS_PER_TENANT_MAX));
                        bound.execute(&mut *all).await?;
                    }
                    all.commit().await
                })
            })
            .await
        })
    }

    fn labels(&self, tenant: TenantId, limit: u32) -> Reply<'_, Vec<Label>> {
        Box::pin(async move {
            let rows = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let query = sqlx::query(READ)
                            .bind(text::written(tenant.as_str()))
                            .bind(i64::from(limit.min(LABELS_PER_TENANT_MAX)));
                        query.fetch_all(connection).await
                    })
                })
                .await?;
            let read = |row| self.one_label(row);
            rows.iter().map(read).collect()
        })
    }

    fn forget_labels(&self, tenant: TenantId) -> Reply<'_, ()> {
        Box::pin(async move {
            self.chore(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query(FORGET).bind(text::written(tenant.as_str()));
                    query.execute(connection).await.map(drop)
                })
            })
            .await
        })
    }
}

impl Postgres {
    fn one_label(&self, row: &PgRow) -> Result<Label, Error> {
        let label = label(row).map_err(|error| fault::of(&self.shown, &error))?;
        label.ok_or_else(|| fault::damaged(&self.shown, "a label"))
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Each column is one parameter, in their order.
fn insert(labels: &[Label]) -> Query<'_> {
    let texts = |of: fn(&Label) -> &str| -> Vec<_> {
        labels
            .iter()
            .map(|label| text::written(of(label)))
            .collect()
    };
    let ids: Vec<[u8; 16]> = labels.iter().map(|it| it.id.0.to_be_bytes()).collect();
    let times: Vec<i64> = labels.iter().map(|it| column(it.at.0)).collect();
    let entries: Vec<Option<[u8; 32]>> = labels.iter().map(|it| it.entry.map(|it| it.0)).collect();
    let near: Vec<Option<i32>> = labels
        .iter()
        .map(|it| it.similarity_bp.map(i32::from))
        .collect();
    let weights: Vec<i32> = labels.iter().map(|it| i32::from(it.weight)).collect();
    sqlx::query(INSERT)
        .bind(ids)
        .bind(times)
        .bind(texts(|it| it.tenant.as_str()))
        .bind(texts(|it| &it.namespace))
        .bind(texts(|it| &it.policy))
        .bind(entries)
        .bind(near)
        .bind(texts(|it| it.verdict.as_str()))
        .bind(texts(|it| it.judge.as_str()))
        .bind(weights)
}

/// `None` where a column holds what was never written.
fn label(row: &PgRow) -> Result<Option<Label>, sqlx::Error> {
    let name = |index: usize| {
        row.try_get::<&str, _>(index)
            .map(|it| Name::from(&*text::read(it)))
    };
    let id = <[u8; 16]>::try_from(row.try_get::<&[u8], _>(0)?).ok();
    let entry: Option<&[u8]> = row.try_get(5)?;
    let similarity: Option<i32> = row.try_get(6)?;
    let (verdict, judge) = (row.try_get(7)?, row.try_get(8)?);
    let read = (id, Verdict::named(verdict), Judge::named(judge));
    let (Some(id), Some(verdict), Some(judge)) = read else {
        return Ok(None);
    };
    Ok(Some(Label {
        id: LineId(u128::from_be_bytes(id)),
        at: millis(row.try_get(1)?),
        tenant: TenantId(name(2)?),
        namespace: name(3)?,
        policy: name(4)?,
        entry: entry.and_then(|entry| entry.try_into().ok()).map(Key),
        similarity_bp: similarity.and_then(|it| u16::try_from(it).ok()),
        verdict,
        judge,
        weight: u16::try_from(row.try_get::<i32, _>(9)?).unwrap_or(u16::MAX),
    }))
}
