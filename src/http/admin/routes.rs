//! The one table of what the admin API answers: method, path, who may, what it takes and gives,
//! and who answers. The router is made of it and so is its description, so that neither can have
//! what the other lacks.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::page::PageQuery;
use super::{
    Admin, May, audit, cluster, explain, feedback, metrics, money, openapi, policies, prices,
    providers, purge, tenants,
};

/// How a type describes itself.
pub(super) type Described = fn(&mut SchemaGenerator) -> Schema;

/// One call.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Which token it takes.
    pub(super) may: May,
    /// What it does, in a line.
    pub(super) says: &'static str,
    /// Its query string.
    pub(super) query: Option<Described>,
    /// Its body: of which media type, and how it looks where that is JSON.
    pub(super) takes: Option<(&'static str, Option<Described>)>,
    /// Whether it heeds an `Idempotency-Key`.
    pub(super) once: bool,
    /// Its answer, likewise.
    pub(super) gives: (&'static str, Option<Described>),
    pub(super) answered_by: MethodRouter<Arc<Admin>>,
}

const JSON: &str = "application/json";

impl Route {
    fn new(
        (method, path): (Method, &'static str),
        may: May,
        says: &'static str,
        answered_by: MethodRouter<Arc<Admin>>,
    ) -> Route {
        Route {
            method,
            path,
            may,
            says,
            query: None,
            takes: None,
            once: false,
            gives: (JSON, None),
            answered_by,
        }
    }

    fn query<T: JsonSchema>(mut self) -> Route {
        self.query = Some(described::<T>);
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Route {
        self.takes = Some((JSON, Some(described::<T>)));
        self
    }

    fn takes_text(mut self, media_type: &'static str) -> Route {
        self.takes = Some((media_type, None));
        self
    }

    fn once(mut self) -> Route {
        self.once = true;
        self
    }

    fn gives<T: JsonSchema>(mut self) -> Route {
        self.gives = (JSON, Some(described::<T>));
        self
    }

    fn gives_text(mut self, media_type: &'static str) -> Route {
        self.gives = (media_type, None);
        self
    }
}

fn described<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn reads<H, T>(path: &'static str, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>>,
    T: 'static,
{
    Route::new((Method::GET, path), May::Read, says, get(handler))
}

/// A question whose words do not fit into a query string: it changes nothing.
fn asks<H, T>(path: &'static str, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>>,
    T: 'static,
{
    Route::new((Method::POST, path), May::Read, says, post(handler))
}

fn posts<H, T>(path: &'static str, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>>,
    T: 'static,
{
    Route::new((Method::POST, path), May::Change, says, post(handler))
}

fn puts<H, T>(path: &'static str, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>>,
    T: 'static,
{
    Route::new((Method::PUT, path), May::Change, says, put(handler))
}

fn deletes<H, T>(path: &'static str, says: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<Admin>>,
    T: 'static,
{
    Route::new((Method::DELETE, path), May::Change, says, delete(handler))
}

/// Everything that is answered, but for the probe.
pub(super) fn routes() -> Vec<Route> {
    vec![
        reads(
            "/admin/v1/tenants",
            "Tenants and their keys, by id",
            tenants::list,
        )
        .query::<PageQuery>()
        .gives::<tenants::Listed>(),
        posts(
            "/admin/v1/tenants",
            "A new tenant and its first key, shown once",
            tenants::create,
        )
        .takes::<tenants::NewTenant>()
        .gives::<tenants::Shown>(),
        puts(
            "/admin/v1/tenants/{id}",
            "Other settings, as a whole",
            tenants::change,
        )
        .takes::<crate::registry::TenantSettings>()
        .gives::<tenants::Shown>(),
        deletes(
            "/admin/v1/tenants/{id}",
            "A tenant, its keys and its answers end",
            tenants::delete,
        )
        .gives::<tenants::Deleted>(),
        posts(
            "/admin/v1/tenants/{id}/keys",
            "One more key, shown once",
            tenants::add_key,
        )
        .takes::<tenants::NewKey>()
        .once()
        .gives::<tenants::Shown>(),
        posts(
            "/admin/v1/tenants/{id}/rotate",
            "A new key in place of the old",
            tenants::rotate,
        )
        .takes::<tenants::NewKey>()
        .once()
        .gives::<tenants::Shown>(),
        deletes(
            "/admin/v1/tenants/{id}/keys/{key}",
            "A key ends now",
            tenants::revoke,
        )
        .gives::<tenants::Shown>(),
        reads(
            "/admin/v1/policies",
            "Policies, in the order that decides between equals",
            policies::list,
        )
        .query::<PageQuery>()
        .gives::<policies::Listed>(),
        posts(
            "/admin/v1/policies",
            "Every policy of a YAML file, by name",
            policies::apply,
        )
        .takes_text("application/yaml")
        .gives::<policies::Applied>(),
        deletes(
            "/admin/v1/policies/{name}",
            "One policy less",
            policies::remove,
        )
        .gives::<super::Removed>(),
        reads("/admin/v1/providers", "Providers, by name", providers::list)
            .query::<PageQuery>()
            .gives::<providers::Listed>(),
        posts(
            "/admin/v1/providers",
            "Providers, by name",
            providers::apply,
        )
        .takes::<providers::Given>()
        .gives::<providers::Applied>(),
        deletes(
            "/admin/v1/providers/{name}",
            "One provider less",
            providers::remove,
        )
        .gives::<super::Removed>(),
        reads(
            "/admin/v1/prices",
            "The prices in force, by model",
            prices::list,
        )
        .query::<PageQuery>()
        .gives::<prices::Listed>(),
        posts(
            "/admin/v1/prices",
            "The operator's prices, as a whole",
            prices::apply,
        )
        .takes_text("application/toml")
        .gives::<prices::Applied>(),
        posts(
            "/admin/v1/purge",
            "What is named is never served again",
            purge::purge,
        )
        .takes::<purge::Purge>()
        .gives::<purge::Purged>(),
        asks(
            "/admin/v1/explain",
            "What would happen to a request, and why",
            explain::explain,
        )
        .takes::<explain::Question>()
        .gives::<crate::gateway::Explanation>(),
        posts(
            "/admin/v1/feedback",
            "A word on anybody's reply: wrong and stale answers are evicted",
            feedback::hear,
        )
        .takes::<crate::feedback::Said>()
        .gives::<crate::feedback::Heard>(),
        reads("/admin/v1/stats", "Hit rates and money", money::stats)
            .query::<money::StatsQuery>()
            .gives::<money::Stats>(),
        reads(
            "/admin/v1/statements/{tenant}",
            "A tenant's bill for a month",
            money::statement,
        )
        .query::<money::StatementQuery>()
        .gives::<crate::ledger::statement::Statement>(),
        reads(
            "/admin/v1/statements/{tenant}/lines",
            "The lines a bill is folded from",
            money::lines,
        )
        .query::<money::LinesQuery>()
        .gives::<money::Lines>(),
        reads(
            "/admin/v1/cluster",
            "Members, ring, shares, who agrees, lease, as this node sees them",
            cluster::status,
        )
        .gives::<cluster::Status>(),
        posts(
            "/admin/v1/cluster/bootstrap",
            "This node begins a new cluster, where no shared store says who does",
            cluster::bootstrap,
        )
        .gives::<cluster::Begun>(),
        posts(
            "/admin/v1/cluster/drain",
            "This node leaves: its keys go to others, then its process ends",
            cluster::drain,
        )
        .gives::<cluster::Leaving>(),
        reads(
            "/admin/v1/audit",
            "Who changed what, the latest first",
            audit::list,
        )
        .query::<PageQuery>()
        .gives::<audit::Listed>(),
        reads("/admin/v1/openapi.json", "This description", openapi::show),
        reads("/metrics", "What is measured, for Prometheus", metrics)
            .gives_text("application/openmetrics-text"),
    ]
}
