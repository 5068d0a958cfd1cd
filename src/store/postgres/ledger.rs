//! Ledger lines in PostgreSQL. Lines are added and read; no statement here changes or removes one.

use fgy_cluster::Key;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{Postgres, begin_durable, column, fault, millis, text};
use crate::answer::usage::Usage;
use crate::ledger::line::{Line, LineId, Outcome};
use crate::ledger::money::NanoUsd;
use crate::ledger::totals::{Period, Place, Sum, Totals};
use crate::names::{Name, TenantId};
use crate::store::{Error, Ledger, PAGE_LINES_MAX, Reply};

const POST: &str = "INSERT INTO lines (id, at, tenant, agent, namespace, model, path, outcome, \
    reason, key, status, delivered, input, cached_input, output, estimated, price_version, priced, \
    cost, saved, fee, embedding, idempotency, similarity_bp) \
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], \
    $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::integer[], $12::boolean[], \
    $13::bigint[], $14::bigint[], $15::bigint[], $16::boolean[], $17::bigint[], $18::boolean[], \
    $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bytea[], $24::integer[]) \
    ON CONFLICT (id) DO NOTHING";

// The most frequent first: models beyond the limit of `Totals` are summed as others. Sums stop at
// what a column holds.
const TOTALS: &str = "SELECT outcome, model, count(*) AS replies, \
    least(sum(input), 9223372036854775807)::bigint, \
    least(sum(cached_input), 9223372036854775807)::bigint, \
    least(sum(output), 9223372036854775807)::bigint, \
    count(*) FILTER (WHERE NOT priced), \
    least(sum(cost), 9223372036854775807)::bigint, \
    least(sum(saved), 9223372036854775807)::bigint, \
    least(sum(fee), 9223372036854775807)::bigint, \
    least(sum(embedding), 9223372036854775807)::bigint \
    FROM lines WHERE tenant = $1 AND at >= $2 AND at < $3 \
    GROUP BY outcome, model ORDER BY replies DESC, model";

const PAGE: &str = "SELECT id, at, tenant, agent, namespace, model, path, outcome, reason, key, \
    status, delivered, input, cached_input, output, estimated, price_version, priced, cost, saved, \
    fee, embedding, idempotency, similarity_bp \
    FROM lines WHERE tenant = $1 AND at < $2 AND (at, id) > ($3, $4) ORDER BY at, id LIMIT $5";

const LINE: &str = "SELECT id, at, tenant, agent, namespace, model, path, outcome, reason, key, \
    status, delivered, input, cached_input, output, estimated, price_version, priced, cost, saved, \
    fee, embedding, idempotency, similarity_bp FROM lines WHERE id = $1";

impl Ledger for Postgres {
    fn post(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        Box::pin(async move {
            if lines.is_empty() {
                return Ok(());
            }
            self.chore(move |connection| {
                Box::pin(async move {
                    // The journal forgets these lines once we return.
                    let mut all = begin_durable(connection).await?;
                    insert(&mut all, &lines).await?;
                    all.commit().await
                })
            })
            .await
        })
    }

    fn line(&self, id: LineId) -> Reply<'_, Option<Line>> {
        Box::pin(async move {
            let row = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let query = sqlx::query(LINE).bind(id.0.to_be_bytes());
                        query.fetch_optional(connection).await
                    })
                })
                .await?;
            row.map(|row| self.read_line(&row)).transpose()
        })
    }

    fn totals(&self, tenant: TenantId, period: Period) -> Reply<'_, Totals> {
        Box::pin(async move {
            let rows = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let query = sqlx::query(TOTALS)
                            .bind(text::written(tenant.as_str()))
                            .bind(column(period.from.0))
                            .bind(column(period.to.0));
                        query.fetch_all(connection).await
                    })
                })
                .await?;
            let mut totals = Totals::default();
            for row in rows {
                let read = total(&row).map_err(|error| fault::of(&self.shown, &error));
                let (outcome, model, sum) = read?;
                let damaged = |()| fault::damaged(&self.shown, "an unknown outcome");
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
            let rows = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let query = sqlx::query(PAGE)
                            .bind(text::written(tenant.as_str()))
                            .bind(column(period.to.0))
                            .bind(column(at.0))
                            .bind(id)
                            .bind(i64::from(limit.min(PAGE_LINES_MAX)));
                        query.fetch_all(connection).await
                    })
                })
                .await?;
            rows.iter().map(|row| self.read_line(row)).collect()
        })
    }
}

impl Postgres {
    fn read_line(&self, row: &PgRow) -> Result<Line, Error> {
        let line = line(row).map_err(|error| fault::of(&self.shown, &error))?;
        line.ok_or_else(|| fault::damaged(&self.shown, "a ledger line"))
    }
}

/// One statement, whatever the number of lines: each column is one parameter, in their order.
async fn insert(connection: &mut PgConnection, lines: &[Line]) -> Result<(), sqlx::Error> {
    let names = |of: fn(&Line) -> &str| -> Vec<_> {
        lines.iter().map(|line| text::written(of(line))).collect()
    };
    let numbers =
        |of: fn(&Line) -> u64| -> Vec<i64> { lines.iter().map(|line| column(of(line))).collect() };
    let flags = |of: fn(&Line) -> bool| -> Vec<bool> { lines.iter().map(of).collect() };
    let small = |of: fn(&Line) -> Option<u16>| -> Vec<Option<i32>> {
        lines.iter().map(|line| of(line).map(i32::from)).collect()
    };
    let digests = |of: fn(&Line) -> Option<[u8; 32]>| -> Vec<_> { lines.iter().map(of).collect() };
    let ids: Vec<[u8; 16]> = lines.iter().map(|line| line.id.0.to_be_bytes()).collect();
    let query = sqlx::query(POST)
        .bind(ids)
        .bind(numbers(|line| line.at.0))
        .bind(names(|line| line.tenant.as_str()))
        .bind(names(|line| &line.agent))
        .bind(names(|line| &line.namespace))
        .bind(names(|line| &line.model))
        .bind(names(|line| &line.path))
        .bind(names(|line| line.outcome.token()))
        .bind(names(|line| &line.reason))
        .bind(digests(|line| line.key.map(|key| key.0)))
        .bind(small(|line| Some(line.status)))
        .bind(flags(|line| line.delivered))
        .bind(numbers(|line| line.usage.input.into()))
        .bind(numbers(|line| line.usage.cached_input.into()))
        .bind(numbers(|line| line.usage.output.into()))
        .bind(flags(|line| line.usage.estimated))
        .bind(numbers(|line| line.price_version.into()))
        .bind(flags(|line| line.priced))
        .bind(numbers(|line| line.cost.0))
        .bind(numbers(|line| line.saved.0))
        .bind(numbers(|line| line.fee.0))
        .bind(numbers(|line| line.embedding.0))
        .bind(digests(|line| line.idempotency))
        .bind(small(|line| line.similarity_bp));
    query.execute(connection).await.map(drop)
}

/// `None` where a column holds what was never written.
fn line(row: &PgRow) -> Result<Option<Line>, sqlx::Error> {
    let name = |index: usize| {
        row.try_get::<&str, _>(index)
            .map(|it| Name::from(&*text::read(it)))
    };
    let number = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|it| it.max(0).unsigned_abs())
    };
    let tokens = |index: usize| number(index).map(|it| u32::try_from(it).ok());
    let money = |index: usize| number(index).map(NanoUsd);
    let small = |index: usize| {
        row.try_get::<Option<i32>, _>(index)
            .map(|it| it.map(|it| u16::try_from(it).ok()))
    };
    let digest = |index: usize| -> Result<Option<Option<[u8; 32]>>, sqlx::Error> {
        let bytes: Option<&[u8]> = row.try_get(index)?;
        Ok(bytes.map(|bytes| bytes.try_into().ok()))
    };
    let id = <[u8; 16]>::try_from(row.try_get::<&[u8], _>(0)?).ok();
    let outcome: Option<Outcome> = row.try_get::<&str, _>(7)?.parse().ok();
    let (key, idempotency, similarity_bp) = (digest(9)?, digest(22)?, small(23)?);
    if key == Some(None) || idempotency == Some(None) || similarity_bp == Some(None) {
        return Ok(None);
    }
    let (Some(id), Some(outcome), Some(Some(status))) = (id, outcome, small(10)?) else {
        return Ok(None);
    };
    let (Some(input), Some(cached_input), Some(output), Some(price_version)) =
        (tokens(12)?, tokens(13)?, tokens(14)?, tokens(16)?)
    else {
        return Ok(None);
    };
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
        status,
        delivered: row.try_get(11)?,
        usage: Usage {
            input,
            cached_input,
            output,
            estimated: row.try_get(15)?,
        },
        price_version,
        priced: row.try_get(17)?,
        cost: money(18)?,
        saved: money(19)?,
        fee: money(20)?,
        embedding: money(21)?,
        idempotency: idempotency.flatten(),
        similarity_bp: similarity_bp.flatten(),
    }))
}

fn total(row: &PgRow) -> Result<(String, Name, Sum), sqlx::Error> {
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
    let model = Name::from(&*text::read(row.try_get(1)?));
    Ok((row.try_get(0)?, model, sum))
}
