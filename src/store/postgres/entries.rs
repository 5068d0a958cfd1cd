//! Answers in PostgreSQL. It never looks inside their bytes. Whatever touches several rows does so
//! in the order of their keys, so that two nodes never wait for each other in a circle.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use fgy_cluster::Key;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres as Driver, QueryBuilder, Row};

use super::{Postgres, begin_hurried, column, fault, millis, text, vectors};
use crate::answer::stamp::{Millis, Stamp};
use crate::names::{Name, TenantId};
use crate::store::{Entries, Error, KEYS_MAX, Point, Put, Reply, Scope, Stored};

const GET: &str = "SELECT key, tenant, agent, model, namespace, policy, source, epoch, began, \
    until, bytes FROM entries WHERE key = ANY($1) AND until > $2";

const PUT: &str = "INSERT INTO entries (key, tenant, agent, model, namespace, policy, source, \
    epoch, began, until, last_used, bytes) \
    SELECT key, tenant, agent, model, namespace, policy, source, epoch, began, until, began, bytes \
    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
    $7::bytea[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[]) AS new (key, tenant, \
    agent, model, namespace, policy, source, epoch, began, until, bytes) \
    ON CONFLICT (key) DO UPDATE SET tenant = excluded.tenant, agent = excluded.agent, \
    model = excluded.model, namespace = excluded.namespace, policy = excluded.policy, \
    source = excluded.source, epoch = excluded.epoch, began = excluded.began, \
    until = excluded.until, last_used = greatest(entries.last_used, excluded.last_used), \
    bytes = excluded.bytes WHERE excluded.began >= entries.began RETURNING key";

const TOUCH: &str = "WITH used AS MATERIALIZED (SELECT entries.key, new.last_used \
    FROM unnest($1::bytea[], $2::bigint[]) AS new (key, last_used) \
    JOIN entries ON entries.key = new.key AND entries.last_used < new.last_used \
    ORDER BY entries.key FOR NO KEY UPDATE OF entries) \
    UPDATE entries SET last_used = used.last_used FROM used WHERE entries.key = used.key";

const FORGET_EXPIRED: &str = "DELETE FROM entries WHERE key IN \
    (SELECT key FROM entries WHERE until <= $1 ORDER BY until LIMIT $2)";

const TRIM: &str = "DELETE FROM entries WHERE key IN \
    (SELECT key FROM entries WHERE policy = $1 AND tenant = $2 ORDER BY last_used LIMIT \
    greatest(0, least($4, (SELECT count(*) FROM entries WHERE policy = $1 AND tenant = $2) - $3)))";

impl Entries for Postgres {
    fn get(&self, key: Key, now: Millis) -> Reply<'_, Option<Stored>> {
        Box::pin(async move {
            let rows = self.rows(vec![key.0], now).await?;
            let row = rows.first().map(|row| self.stored(row)).transpose()?;
            Ok(row.map(|(_, stored)| stored))
        })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key], now: Millis) -> Reply<'a, Vec<Option<Stored>>> {
        Box::pin(async move {
            if keys.len() > KEYS_MAX {
                return Err(Error::too_many_keys(keys.len()));
            }
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let rows = self.rows(keys.iter().map(|key| key.0).collect(), now);
            let rows = rows.await?;
            let found = rows.iter().map(|row| self.stored(row));
            let found = found.collect::<Result<HashMap<Key, Stored>, Error>>()?;
            Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
        })
    }

    fn put(&self, puts: Vec<Put>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut points = puts.iter().filter_map(|put| put.point.as_deref());
            points.try_for_each(Point::fits)?;
            let puts = Arc::new(winners(puts));
            if puts.is_empty() {
                return Ok(());
            }
            let numbers = self.numbers(&puts).await?;
            let written = puts.clone();
            self.chore(move |connection| {
                Box::pin(async move {
                    let mut all = begin_hurried(connection).await?;
                    let stay = insert(&mut all, &puts).await?;
                    let stay: Vec<&Put> =
                        puts.iter().filter(|put| stay.contains(&put.key)).collect();
                    vectors::replace(&mut all, &stay, &numbers).await?;
                    all.commit().await
                })
            })
            .await?;
            self.points.written(&written);
            Ok(())
        })
    }

    fn touch(&self, uses: Vec<(Key, Millis)>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut latest = BTreeMap::new();
            for (key, used) in uses {
                let known = latest.entry(key.0).or_insert(used);
                *known = used.max(*known);
            }
            let (keys, uses): (Vec<[u8; 32]>, Vec<i64>) = latest
                .into_iter()
                .map(|(key, used)| (key, column(used.0)))
                .unzip();
            self.chore(move |connection| {
                Box::pin(async move {
                    let mut all = begin_hurried(connection).await?;
                    let touch = sqlx::query(TOUCH).bind(keys).bind(uses);
                    touch.execute(&mut *all).await?;
                    all.commit().await
                })
            })
            .await
        })
    }

    fn count(&self, scope: Scope) -> Reply<'_, u64> {
        Box::pin(async move {
            let mut query = QueryBuilder::new("SELECT count(*) FROM entries WHERE TRUE");
            conditions(&mut query, &scope);
            let count = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let count = query.build_query_scalar::<i64>();
                        count.fetch_one(connection).await
                    })
                })
                .await?;
            Ok(count.unsigned_abs())
        })
    }

    fn forget(&self, scope: Scope, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            let mut query = QueryBuilder::new(
                "DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE TRUE",
            );
            conditions(&mut query, &scope);
            query.push(" LIMIT ").push_bind(i64::from(limit)).push(")");
            self.chore(move |connection| {
                Box::pin(async move {
                    let done = query.build().execute(connection).await?;
                    Ok(done.rows_affected())
                })
            })
            .await
        })
    }

    fn forget_expired(&self, now: Millis, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            self.chore(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query(FORGET_EXPIRED)
                        .bind(column(now.0))
                        .bind(i64::from(limit));
                    Ok(query.execute(connection).await?.rows_affected())
                })
            })
            .await
        })
    }

    fn trim(&self, policy: Name, tenant: TenantId, keep_max: u64, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            self.chore(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query(TRIM)
                        .bind(text::written(&policy))
                        .bind(text::written(tenant.as_str()))
                        .bind(column(keep_max))
                        .bind(i64::from(limit));
                    Ok(query.execute(connection).await?.rows_affected())
                })
            })
            .await
        })
    }
}

impl Postgres {
    /// The keys come as one parameter, so that one prepared statement serves any number of them.
    async fn rows(&self, keys: Vec<[u8; 32]>, now: Millis) -> Result<Vec<PgRow>, Error> {
        self.look(move |connection| {
            Box::pin(async move {
                let query = sqlx::query(GET).bind(keys).bind(column(now.0));
                query.fetch_all(connection).await
            })
        })
        .await
    }

    fn stored(&self, row: &PgRow) -> Result<(Key, Stored), Error> {
        let read = || -> Result<_, sqlx::Error> {
            let Some((key, stamp)) = stamp(row)? else {
                return Ok(None);
            };
            let bytes = Bytes::copy_from_slice(row.try_get::<&[u8], _>(10)?);
            Ok(Some((key, Stored { stamp, bytes })))
        };
        read()
            .map_err(|error| fault::of(&self.shown, &error))?
            .ok_or_else(|| fault::damaged(&self.shown, "a key has not 32 bytes"))
    }
}

/// An entry's key and stamp, from the first ten columns; `None` where a key has not 32 bytes.
pub(super) fn stamp(row: &PgRow) -> Result<Option<(Key, Stamp)>, sqlx::Error> {
    let name = |index: usize| {
        row.try_get::<&str, _>(index)
            .map(|it| Name::from(&*text::read(it)))
    };
    let key = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(0)?);
    let source = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(6)?);
    let (Ok(key), Ok(source)) = (key, source) else {
        return Ok(None);
    };
    let stamp = Stamp {
        tenant: TenantId(name(1)?),
        agent: name(2)?,
        model: name(3)?,
        namespace: name(4)?,
        policy: name(5)?,
        source: Key(source),
        epoch: row.try_get::<i64, _>(7)?.max(0).unsigned_abs(),
        began: millis(row.try_get(8)?),
        until: millis(row.try_get(9)?),
    };
    Ok(Some((Key(key), stamp)))
}

/// Of several puts under one key the one that stays, in the order of the keys: one statement may
/// not change one row twice.
fn winners(puts: Vec<Put>) -> Vec<Put> {
    let mut winners = BTreeMap::<Key, Put>::new();
    for put in puts {
        let beaten = winners
            .get(&put.key)
            .is_some_and(|known| known.stamp.began > put.stamp.began);
        if !beaten {
            winners.insert(put.key, put);
        }
    }
    winners.into_values().collect()
}

/// One statement, whatever the number of rows: each column is one parameter. Tells which of them
/// are the database's answers now.
async fn insert(connection: &mut PgConnection, puts: &[Put]) -> Result<HashSet<Key>, sqlx::Error> {
    let names = |of: fn(&Stamp) -> &str| -> Vec<_> {
        puts.iter()
            .map(|put| text::written(of(&put.stamp)))
            .collect()
    };
    let numbers = |of: fn(&Stamp) -> u64| -> Vec<i64> {
        puts.iter().map(|put| column(of(&put.stamp))).collect()
    };
    let query = sqlx::query(PUT)
        .bind(puts.iter().map(|put| put.key.0).collect::<Vec<_>>())
        .bind(names(|stamp| stamp.tenant.as_str()))
        .bind(names(|stamp| &stamp.agent))
        .bind(names(|stamp| &stamp.model))
        .bind(names(|stamp| &stamp.namespace))
        .bind(names(|stamp| &stamp.policy))
        .bind(
            puts.iter()
                .map(|put| put.stamp.source.0)
                .collect::<Vec<_>>(),
        )
        .bind(numbers(|stamp| stamp.epoch))
        .bind(numbers(|stamp| stamp.began.0))
        .bind(numbers(|stamp| stamp.until.0))
        .bind(puts.iter().map(|put| &put.bytes[..]).collect::<Vec<_>>());
    let rows = query.fetch_all(connection).await?;
    let key = |row: &PgRow| row.try_get::<[u8; 32], _>(0).map(Key);
    rows.iter().map(key).collect()
}

/// One condition for each part of the scope that is set; the text depends on nothing else.
fn conditions(query: &mut QueryBuilder<Driver>, scope: &Scope) {
    let Scope {
        tenant,
        agent,
        model,
        namespace,
        began_before,
        source,
    } = scope;
    let names = [
        (" AND tenant = ", tenant.as_ref().map(TenantId::as_str)),
        (" AND agent = ", agent.as_deref()),
        (" AND model = ", model.as_deref()),
        (" AND namespace = ", namespace.as_deref()),
    ];
    for (condition, name) in names {
        if let Some(name) = name {
            query
                .push(condition)
                .push_bind(text::written(name).into_owned());
        }
    }
    if let Some(moment) = began_before {
        query.push(" AND began < ").push_bind(column(moment.0));
    }
    if let Some(source) = source {
        query.push(" AND (key = ").push_bind(source.0);
        query
            .push(" OR (source <> key AND source = ")
            .push_bind(source.0)
            .push("))");
    }
}
