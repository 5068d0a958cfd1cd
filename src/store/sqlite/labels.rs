//! Labels in SQLite.

use std::collections::BTreeSet;

use fgy_cluster::Key;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use super::{Sqlite, column, fault, millis};
use crate::label::{Judge, Label, Verdict};
use crate::ledger::line::LineId;
use crate::names::{Name, TenantId};
use crate::store::{Error, LABELS_PER_TENANT_MAX, Labels, Reply};

/// Labels of one INSERT.
const INSERT_LABELS: usize = 64;

const INSERT: &str = "INSERT INTO labels (id, at, tenant, namespace, policy, entry, similarity_bp, \
    verdict, judge, weight) ";
const REPLACE: &str = " ON CONFLICT (id) DO UPDATE SET at = excluded.at, verdict = excluded.verdict, \
    judge = excluded.judge, weight = excluded.weight WHERE excluded.at >= labels.at";
const BOUND: &str = "DELETE FROM labels WHERE tenant = ?1 AND (at, id) <= \
    (SELECT at, id FROM labels WHERE tenant = ?1 ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?2)";
const READ: &str = "SELECT id, at, tenant, namespace, policy, entry, similarity_bp, verdict, judge, \
    weight FROM labels WHERE tenant = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
const FORGET: &str = "DELETE FROM labels WHERE tenant = ?1";

impl Labels for Sqlite {
    fn label(&self, labels: Vec<Label>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer().await?;
            let mut all = self.begin(&mut writer).await?;
            for some in labels.chunks(INSERT_LABELS) {
                let mut query = QueryBuilder::new(INSERT);
                query
                    .push_values(some, |mut row, label| {
                        row.push_bind(label.id.0.to_be_bytes().to_vec())
                            .push_bind(column(label.at.0))
                            .push_bind(label.tenant.to_string())
                            .push_bind(label.namespace.to_string())
                            .push_bind(label.policy.to_string())
                            .push_bind(label.entry.map(|key| key.0.to_vec()))
                            .push_bind(label.similarity_bp.map(i64::from))
                            .push_bind(label.verdict.as_str())
                            .push_bind(label.judge.as_str())
                            .push_bind(i64::from(label.weight));
                    })
                    .push(REPLACE);
                let done = query.build().persistent(false).execute(&mut *all).await;
                done.map_err(|error| self.fault(error))?;
            }
            let tenants: BTreeSet<&TenantId> = labels.iter().map(|label| &label.tenant).collect();
            for tenant in tenants {
                let bound = sqlx::query(BOUND)
                    .bind(tenant.to_string())
                    .bind(i64::from(LABELS_PER_TENANT_MAX));
                let done = bound.execute(&mut *all).await;
                done.map_err(|error| self.fault(error))?;
            }
            all.commit().await.map_err(|error| self.fault(error))
        })
    }

    fn labels(&self, tenant: TenantId, limit: u32) -> Reply<'_, Vec<Label>> {
        Box::pin(async move {
            let query = sqlx::query(READ)
                .bind(tenant.to_string())
                .bind(i64::from(limit.min(LABELS_PER_TENANT_MAX)));
            let rows = query.fetch_all(&self.readers).await;
            let rows = rows.map_err(|error| self.fault(error))?;
            let read = |row| self.one_label(row);
            rows.iter().map(read).collect()
        })
    }

    fn forget_labels(&self, tenant: TenantId) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer().await?;
            let query = sqlx::query(FORGET).bind(tenant.to_string());
            let done = query.execute(&mut *writer).await;
            done.map(drop).map_err(|error| self.fault(error))
        })
    }
}

impl Sqlite {
    fn one_label(&self, row: &SqliteRow) -> Result<Label, Error> {
        let label = label(row).map_err(|error| self.fault(error))?;
        label.ok_or_else(|| fault::damaged(&self.path, "a label"))
    }
}

/// `None` where a column holds what was never written.
fn label(row: &SqliteRow) -> Result<Option<Label>, sqlx::Error> {
    let name = |index: usize| row.try_get::<&str, _>(index).map(Name::from);
    let id = <[u8; 16]>::try_from(row.try_get::<&[u8], _>(0)?).ok();
    let entry: Option<&[u8]> = row.try_get(5)?;
    let similarity: Option<i64> = row.try_get(6)?;
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
        weight: u16::try_from(row.try_get::<i64, _>(9)?).unwrap_or(u16::MAX),
    }))
}
