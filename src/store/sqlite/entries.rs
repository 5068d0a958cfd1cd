//! Answers in SQLite. It never looks inside their bytes.

use std::collections::HashMap;

use bytes::Bytes;
use fgy_cluster::Key;
use sqlx::query::QueryScalar;
use sqlx::sqlite::{SqliteArguments, SqliteRow, SqliteTransaction};
use sqlx::{QueryBuilder, Row, Sqlite as Driver};

use super::{Sqlite, column, fault, millis};
use crate::answer::stamp::{Millis, Stamp};
use crate::names::{Name, TenantId};
use crate::store::{Entries, Error, KEYS_MAX, Put, Reply, Scope, Stored};

const GET: &str = "SELECT key, tenant, agent, model, namespace, policy, source, epoch, began, \
    until, bytes FROM entries WHERE key = ?1 AND until > ?2";

// The keys come as one parameter, so that one prepared statement serves any number of them.
const GET_MANY: &str = "SELECT key, tenant, agent, model, namespace, policy, source, epoch, began, \
    until, bytes FROM entries WHERE key IN (SELECT unhex(value) FROM json_each(?1)) AND until > ?2";

const PUT: &str = "INSERT INTO entries (key, tenant, agent, model, namespace, policy, source, \
    epoch, began, until, last_used, bytes) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, ?11) \
    ON CONFLICT (key) DO UPDATE SET tenant = excluded.tenant, agent = excluded.agent, \
    model = excluded.model, namespace = excluded.namespace, policy = excluded.policy, \
    source = excluded.source, epoch = excluded.epoch, began = excluded.began, \
    until = excluded.until, last_used = max(last_used, excluded.last_used), \
    bytes = excluded.bytes WHERE excluded.began >= began";

const TOUCH: &str = "UPDATE entries SET last_used = ?2 WHERE key = ?1 AND last_used < ?2";

// Which ones are gone is told, since their points in memory go with them.
const FORGET_EXPIRED: &str = "DELETE FROM entries WHERE rowid IN \
    (SELECT rowid FROM entries WHERE until <= ?1 ORDER BY until LIMIT ?2) RETURNING key";

const TRIM: &str = "DELETE FROM entries WHERE rowid IN \
    (SELECT rowid FROM entries WHERE policy = ?1 AND tenant = ?2 ORDER BY last_used LIMIT \
    max(0, min(?4, (SELECT count(*) FROM entries WHERE policy = ?1 AND tenant = ?2) - ?3))) \
    RETURNING key";

impl Entries for Sqlite {
    fn get(&self, key: Key, now: Millis) -> Reply<'_, Option<Stored>> {
        Box::pin(async move {
            let query = sqlx::query(GET).bind(key.0.to_vec()).bind(column(now.0));
            let row = query.fetch_optional(&self.readers).await;
            let row = row.map_err(|error| self.fault(error))?;
            Ok(row
                .map(|row| self.stored(&row))
                .transpose()?
                .map(|(_, stored)| stored))
        })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key], now: Millis) -> Reply<'a, Vec<Option<Stored>>> {
        Box::pin(async move {
            if keys.len() > KEYS_MAX {
                return Err(Error::too_many_keys(keys.len()));
            }
            let quoted: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            let list = format!("[{}]", quoted.join(","));
            let query = sqlx::query(GET_MANY).bind(list).bind(column(now.0));
            let rows = query
                .fetch_all(&self.readers)
                .await
                .map_err(|error| self.fault(error))?;
            let found = rows.iter().map(|row| self.stored(row));
            let found = found.collect::<Result<HashMap<Key, Stored>, Error>>()?;
            Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
        })
    }

    fn put(&self, puts: Vec<Put>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer().await?;
            let mut all = self.begin(&mut writer).await?;
            for put in &puts {
                self.insert(&mut all, put).await?;
            }
            all.commit().await.map_err(|error| self.fault(error))?;
            // Before the writer is let go, so that nobody's deletion comes in between.
            puts.iter().for_each(|put| self.index_put(put));
            Ok(())
        })
    }

    fn touch(&self, uses: Vec<(Key, Millis)>) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer().await?;
            let mut all = self.begin(&mut writer).await?;
            for (key, used) in uses {
                let query = sqlx::query(TOUCH).bind(key.0.to_vec()).bind(column(used.0));
                query
                    .execute(&mut *all)
                    .await
                    .map_err(|error| self.fault(error))?;
            }
            all.commit().await.map_err(|error| self.fault(error))
        })
    }

    fn count(&self, scope: Scope) -> Reply<'_, u64> {
        Box::pin(async move {
            let mut query = QueryBuilder::new("SELECT count(*) FROM entries WHERE TRUE");
            conditions(&mut query, &scope);
            let count = query
                .build_query_scalar::<i64>()
                .fetch_one(&self.readers)
                .await;
            count
                .map(i64::unsigned_abs)
                .map_err(|error| self.fault(error))
        })
    }

    fn forget(&self, scope: Scope, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            let mut query = QueryBuilder::new(
                "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE TRUE",
            );
            conditions(&mut query, &scope);
            query.push(" LIMIT ").push_bind(i64::from(limit));
            query.push(") RETURNING key");
            self.remove(query.build_query_scalar()).await
        })
    }

    fn forget_expired(&self, now: Millis, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            let query = sqlx::query_scalar(FORGET_EXPIRED)
                .bind(column(now.0))
                .bind(i64::from(limit));
            self.remove(query).await
        })
    }

    fn trim(&self, policy: Name, tenant: TenantId, keep_max: u64, limit: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            let query = sqlx::query_scalar(TRIM)
                .bind(policy.to_string())
                .bind(tenant.to_string())
                .bind(column(keep_max))
                .bind(i64::from(limit));
            self.remove(query).await
        })
    }
}

impl Sqlite {
    /// Runs a deletion and removes the points of what it tells to be gone; how many those are.
    async fn remove(&self, query: Deletion<'_>) -> Result<u64, Error> {
        let mut writer = self.writer().await?;
        let gone = query.fetch_all(&mut *writer).await;
        let gone = gone.map_err(|error| self.fault(error))?;
        let keys: Vec<Key> = gone
            .iter()
            .filter_map(|key| key.as_slice().try_into().ok().map(Key))
            .collect();
        self.index.remove(&keys);
        Ok(gone.len() as u64)
    }

    fn stored(&self, row: &SqliteRow) -> Result<(Key, Stored), Error> {
        let (key, stamp) = self.stamp(row)?;
        let bytes = row.try_get::<Vec<u8>, _>(10);
        let bytes = Bytes::from(bytes.map_err(|error| self.fault(error))?);
        Ok((key, Stored { stamp, bytes }))
    }

    /// A key and its stamp, from a row that begins with them.
    pub(super) fn stamp(&self, row: &SqliteRow) -> Result<(Key, Stamp), Error> {
        let damaged = || fault::damaged(&self.path, "a key has not 32 bytes");
        let read = || -> Result<_, sqlx::Error> {
            let key = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(0)?);
            let source = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(6)?);
            let (Ok(key), Ok(source)) = (key, source) else {
                return Ok(None);
            };
            let stamp = Stamp {
                tenant: TenantId::from(row.try_get::<&str, _>(1)?),
                agent: Name::from(row.try_get::<&str, _>(2)?),
                model: Name::from(row.try_get::<&str, _>(3)?),
                namespace: Name::from(row.try_get::<&str, _>(4)?),
                policy: Name::from(row.try_get::<&str, _>(5)?),
                source: Key(source),
                epoch: row.try_get::<i64, _>(7)?.max(0).unsigned_abs(),
                began: millis(row.try_get(8)?),
                until: millis(row.try_get(9)?),
            };
            Ok(Some((Key(key), stamp)))
        };
        read()
            .map_err(|error| self.fault(error))?
            .ok_or_else(damaged)
    }

    /// Writes an answer, and its point if it was the later one. (The trigger `entries_replaced` took
    /// an earlier answer's point away.)
    async fn insert(&self, all: &mut SqliteTransaction<'_>, put: &Put) -> Result<(), Error> {
        let done = insert(all, put).await.map_err(|error| self.fault(error))?;
        match &put.point {
            Some(point) if done > 0 => self.insert_point(all, put.key, point).await,
            _ => Ok(()),
        }
    }
}

/// A deletion that tells the keys it removed.
type Deletion<'q> = QueryScalar<'q, Driver, Vec<u8>, SqliteArguments>;

/// How many rows it wrote: none where an answer that began later is there.
async fn insert(all: &mut SqliteTransaction<'_>, put: &Put) -> Result<u64, sqlx::Error> {
    let Put {
        key, stamp, bytes, ..
    } = put;
    let Stamp {
        tenant,
        agent,
        model,
        namespace,
        policy,
        source,
        epoch,
        began,
        until,
    } = stamp;
    let query = sqlx::query(PUT)
        .bind(key.0.to_vec())
        .bind(tenant.to_string())
        .bind(agent.to_string())
        .bind(model.to_string())
        .bind(namespace.to_string())
        .bind(policy.to_string())
        .bind(source.0.to_vec())
        .bind(column(*epoch))
        .bind(column(began.0))
        .bind(column(until.0))
        .bind(bytes.to_vec());
    let done = query.execute(&mut **all).await?;
    Ok(done.rows_affected())
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
            query.push(condition).push_bind(name.to_owned());
        }
    }
    if let Some(moment) = began_before {
        query.push(" AND began < ").push_bind(column(moment.0));
    }
    if let Some(source) = source {
        query.push(" AND (key = ").push_bind(source.0.to_vec());
        query
            .push(" OR (source <> key AND source = ")
            .push_bind(source.0.to_vec())
            .push("))");
    }
}
