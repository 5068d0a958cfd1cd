//! Ledger lines in SQLite. Lines are added and read; no statement here changes or removes one.

use fgy_cluster::Key;
use futures_util::TryStreamExt;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{SqliteRow, SqliteTransaction};
use sqlx::{QueryBuilder, Row, Sqlite as Driver};

use super::{Sqlite, column, fault, millis};
use crate::answer::usage::Usage;
use crate::ledger::line::{Line, LineId, Outcome};
use crate::ledger::money::NanoUsd;
use crate::ledger::totals::{Period, Place, Sum, Totals};
use crate::names::{Name, TenantId};
use crate::store::{Error, Ledger, PAGE_LINES_MAX, Reply};

/// Lines of one INSERT: large enough to make the round trip cheap, small enough for SQLite's
/// limit on parameters.
const INSERT_LINES: usize = 64;

const INSERT: &str = "INSERT INTO lines (id, at, tenant, agent, namespace, model, path, outcome, \
    reason, key, status, delivered, input, cached_input, output, estimated, price_version, priced, \
    cost, saved, fee, embedding, idempotency, similarity_bp) ";

// The most frequent first: models beyond the limit of `Totals` are summed as others.
const TOTALS: &str = "SELECT outcome, model, count(*) AS replies, sum(input), sum(cached_input), \
    sum(output), sum(1 - priced), sum(cost), sum(saved), sum(fee), sum(embedding) \
    FROM lines WHERE tenant = ?1 AND at >= ?2 AND at < ?3 \
    GROUP BY outcome, model ORDER BY replies DESC, model";

const PAGE: &str = "SELECT id, at, tenant, agent, namespace, model, path, outcome, reason, key, \
    status, delivered, input, cached_input, output, estimated, price_version, priced, cost, saved, \
    fee, embedding, idempotency, similarity_bp \
    FROM lines WHERE tenant = ?1 AND at < ?2 AND (at, id) > (?3, ?4) ORDER BY at, id LIMIT ?5";

const LINE: &str = "SELECT id, at, tenant, agent, namespace, model, path, outcome, reason, key, \
    status, delivered, input, cached_input, output, estimated, price_version, priced, cost, saved, \
    fee, embedding, idempotency, similarity_bp FROM lines WHERE id = ?1";

impl Ledger for Sqlite {
    fn post(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer().await?;
            // The journal forgets these lines once we return, so their commit waits for the disk.
            // Should this future be dropped half-way, later commits wait too: slower, not wrong.
            let wait = sqlx::query("PRAGMA synchronous = FULL")
                .execute(&mut *writer)
                .await;
            wait.map_err(|error| self.fault(error))?;
            let mut all = self.begin(&mut writer).await?;
            for some in lines.chunks(INSERT_LINES) {
                insert(&mut all, some)
                    .await
                    .map_err(|error| self.fault(error))?;
            }
            all.commit().await.map_err(|error| self.fault(error))?;
            let hurry = sqlx::query("PRAGMA synchronous = NORMAL")
                .execute(&mut *writer)
                .await;
            hurry.map(drop).map_err(|error| self.fault(error))
        })
    }

    fn line(&self, id: LineId) -> Reply<'_, Option<Line>> {
        Box::pin(async move {
            let query = sqlx::query(LINE).bind(id.0.to_be_bytes().to_vec());
            let row = query.fetch_optional(&self.readers).await;
            let row = row.map_err(|error| self.fault(error))?;
            row.map(|row| self.read_line(&row)).transpose()
        })
    }

    fn totals(&self, tenant: TenantId, period: Period) -> Reply<'_, Totals> {
        Box::pin(async move {
            let mut totals = Totals::default();
            let query = sqlx::query(TOTALS)
                .bind(tenant.to_string())
                .bind(column(period.from.0))
                .bind(column(period.to.0));
            let mut rows = query.fetch(&self.readers);
            while let Some(row) = rows.try_next().await.map_err(|error| self.fault(error))? {
                let (outcome, model, sum) = total(&row).map_err(|error| self.fault(error))?;
                let damaged = |()| fault::damaged(&self.path, "an unknown outcome");
                totals.add(outcome.parse().map_err(damaged)?, &model, &sum);
            }
            Ok(totals)
        })
    }

    fn page(
        &self,
        tenant: TenantId,
        period: Period,
        after: Option<Place>,
        limit: u32,
    ) -> Reply<'_, Vec<Line>> {
        Box::pin(async move {
            // No id is shorter than the empty one, so this stands before all lines of its moment.
            let (mut at, mut id) = (period.from, Vec::new());
            if let Some(after) = after.filter(|after| after.at >= period.from) {
                (at, id) = (after.at, after.id.0.to_be_bytes().to_vec());
            }
            let query = sqlx::query(PAGE)
                .bind(tenant.to_string())
                .bind(column(period.to.0))
                .bind(column(at.0))
                .bind(id)
                .bind(i64::from(limit.min(PAGE_LINES_MAX)));
            let rows = query
                .fetch_all(&self.readers)
                .await
                .map_err(|error| self.fault(error))?;
            rows.iter().map(|row| self.read_line(row)).collect()
        })
    }
}

impl Sqlite {
    fn read_line(&self, row: &SqliteRow) -> Result<Line, Error> {
        let line = line(row).map_err(|error| self.fault(error))?;
        line.ok_or_else(|| fault::damaged(&self.path, "a ledger line"))
    }
}

async fn insert(all: &mut SqliteTransaction<'_>, lines: &[Line]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::new(INSERT);
    query
        .push_values(lines, values)
        .push(" ON CONFLICT (id) DO NOTHING");
    // Only the full-sized text comes again and is worth keeping prepared.
    let query = query.build().persistent(lines.len() == INSERT_LINES);
    query.execute(&mut **all).await.map(drop)
}

/// One line's values in the order of the columns.
fn values(mut row: Separated<'_, Driver, &'static str>, line: &Line) {
    let Line {
        id,
        at,
        tenant,
        agent,
        namespace,
        model,
        path,
        outcome,
        ..
    } = line;
    row.push_bind(id.0.to_be_bytes().to_vec())
        .push_bind(column(at.0))
        .push_bind(tenant.to_string())
        .push_bind(agent.to_string())
        .push_bind(namespace.to_string())
        .push_bind(model.to_string())
        .push_bind(path.to_string())
        .push_bind(outcome.token());
    let Line {
        reason,
        key,
        status,
        delivered,
        usage,
        price_version,
        priced,
        ..
    } = line;
    let Usage {
        input,
        cached_input,
        output,
        estimated,
    } = usage;
    row.push_bind(reason.to_string())
        .push_bind(key.map(|key| key.0.to_vec()))
        .push_bind(i64::from(*status))
        .push_bind(*delivered)
        .push_bind(i64::from(*input))
        .push_bind(i64::from(*cached_input))
        .push_bind(i64::from(*output))
        .push_bind(*estimated)
        .push_bind(i64::from(*price_version))
        .push_bind(*priced);
    let Line {
        cost,
        saved,
        fee,
        embedding,
        idempotency,
        similarity_bp,
        ..
    } = line;
    row.push_bind(column(cost.0))
        .push_bind(column(saved.0))
        .push_bind(column(fee.0))
        .push_bind(column(embedding.0))
        .push_bind(idempotency.map(|digest| digest.to_vec()))
        .push_bind(similarity_bp.map(i64::from));
}

/// `None` where a column holds what was never written.
fn line(row: &SqliteRow) -> Result<Option<Line>, sqlx::Error> {
    let name = |index: usize| row.try_get::<&str, _>(index).map(Name::from);
    let number = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|it| it.max(0).unsigned_abs())
    };
    let money = |index: usize| number(index).map(NanoUsd);
    let digest = |index: usize| -> Result<Option<Option<[u8; 32]>>, sqlx::Error> {
        let bytes: Option<&[u8]> = row.try_get(index)?;
        Ok(bytes.map(|bytes| bytes.try_into().ok()))
    };
    let id = <[u8; 16]>::try_from(row.try_get::<&[u8], _>(0)?).ok();
    let outcome: Option<Outcome> = row.try_get::<&str, _>(7)?.parse().ok();
    let (key, idempotency) = (digest(9)?, digest(22)?);
    let (Some(id), Some(outcome)) = (id, outcome) else {
        return Ok(None);
    };
    if key == Some(None) || idempotency == Some(None) {
        return Ok(None);
    }
    Ok(Some(Line {
        id: LineId(u128::from_be_bytes(id)),
        at: millis(row.try_get(1)?),
        tenant: TenantId(name(2)?),
        agent: name(3)?,
        namespace: name(4)?,
        model: name(5)?,
        path: name(6)?,
        outcome,
        reason: name(8)?,
        key: key.flatten().map(Key),
        status: row.try_get(10)?,
        delivered: row.try_get(11)?,
        usage: Usage {
            input: row.try_get(12)?,
            cached_input: row.try_get(13)?,
            output: row.try_get(14)?,
            estimated: row.try_get(15)?,
        },
        price_version: row.try_get(16)?,
        priced: row.try_get(17)?,
        cost: money(18)?,
        saved: money(19)?,
        fee: money(20)?,
        embedding: money(21)?,
        idempotency: idempotency.flatten(),
        similarity_bp: row.try_get(23)?,
    }))
}

fn total(row: &SqliteRow) -> Result<(String, Name, Sum), sqlx::Error> {
    let number = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|it| it.max(0).unsigned_abs())
    };
    let sum = Sum {
        replies: number(2)?,
        input: number(3)?,
        cached_input: number(4)?,
        output: number(5)?,
        unpriced: number(6)?,
        cost: number(7).map(NanoUsd)?,
        saved: number(8).map(NanoUsd)?,
        fee: number(9).map(NanoUsd)?,
        embedding: number(10).map(NanoUsd)?,
    };
    Ok((row.try_get(0)?, Name::from(row.try_get::<&str, _>(1)?), sum))
}
