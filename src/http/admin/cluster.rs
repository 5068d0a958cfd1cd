//! The cluster as this node sees it: members, ring, shares, who agrees, the lease; and the two
//! commands that concern one node alone: to begin a cluster, and to leave it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fgy_cluster::{PicturedNode, Standing};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Admin, AdminError};

/// What one node sees of the cluster.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    node: String,
    phase: &'static str,
    ring: RingStatus,
    /// Whether all that this ring moved away from this node has been given to its new owners, or
    /// tried: then the next node may be restarted.
    handoff_done: bool,
    /// Kept answers that are still to be given.
    handoff_pending: u64,
    /// Flights in the air at this node.
    flights: usize,
    flight_bytes: u64,
    lease: LeaseStatus,
    agreement: Agreement,
    members: Vec<MemberStatus>,
}

#[derive(Serialize, JsonSchema)]
struct RingStatus {
    /// The number of the agreement that set it.
    epoch: u64,
    /// Equal digests are equal rings.
    digest: String,
}

/// Whether this node may serve what is kept.
#[derive(Serialize, JsonSchema)]
struct LeaseStatus {
    holds: bool,
    /// For how long, if nobody renews it; none: for ever.
    left_millis: Option<u64>,
}

/// How the agreement stands; some of it is a rumour.
#[derive(Serialize, JsonSchema)]
struct Agreement {
    role: &'static str,
    leader: Option<String>,
    term: u64,
    applied: u64,
    written: u64,
    changing: bool,
    /// What has gone wrong for good.
    trouble: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct MemberStatus {
    node: String,
    region: String,
    zone: String,
    weight: u8,
    /// The part of all keys it owns, 0 to 1; none: it is not in the ring.
    share: Option<f64>,
    /// How far it says it is; none: it is not seen.
    phase: Option<&'static str>,
    address: Option<String>,
    /// Why this node asks it nothing now; none: it may be asked.
    masked: Option<&'static str>,
    /// `voter` or `learner`; none: it does not agree yet.
    part: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Begun {
    begun: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Leaving {
    leaving: bool,
}

pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Json<Status> {
    let cluster = &admin.edge.gateway.cluster;
    let (picture, standing) = (cluster.picture(), admin.control.standing());
    let (lease, handoff) = (admin.control.lease(), cluster.handoff());
    let members = picture.nodes.into_iter();
    Json(Status {
        node: cluster.me().to_string(),
        phase: cluster.phase().name(),
        ring: RingStatus {
            epoch: picture.epoch,
            digest: hex(&picture.digest),
        },
        handoff_done: handoff.done_at_epoch >= picture.epoch,
        handoff_pending: handoff.pending,
        flights: cluster.flights(),
        flight_bytes: cluster.bytes_in_flight(),
        lease: LeaseStatus {
            holds: lease.holds(),
            left_millis: u64::try_from(lease.left().as_millis())
                .ok()
                .filter(|_| standing.role != "alone"),
        },
        members: members.map(|node| member(node, &standing)).collect(),
        agreement: Agreement {
            role: standing.role,
            leader: standing.leader.map(|leader| leader.to_string()),
            term: standing.term,
            applied: standing.applied,
            written: standing.written,
            changing: standing.changing,
            trouble: standing.trouble,
        },
    })
}

fn member(node: PicturedNode, standing: &Standing) -> MemberStatus {
    let id = &node.member.id;
    let part = if standing.voters.contains(id) {
        Some("voter")
    } else {
        standing.learners.contains(id).then_some("learner")
    };
    MemberStatus {
        part,
        node: id.to_string(),
        region: node.member.region.to_string(),
        zone: node.member.zone.to_string(),
        weight: node.member.weight,
        share: node.share.map(|share| f64::from(share) / 1e6),
        phase: node.phase.map(|phase| phase.name()),
        address: node.address.map(|address| address.to_string()),
        masked: node.masked.map(|why| why.name()),
    }
}

pub(super) async fn bootstrap(State(admin): State<Arc<Admin>>) -> Result<Json<Begun>, AdminError> {
    admin.control.initialise().await?;
    Ok(Json(Begun { begun: true }))
}

pub(super) async fn drain(State(admin): State<Arc<Admin>>) -> Json<Leaving> {
    tracing::info!("told to leave");
    admin.leaving.cancel();
    Json(Leaving { leaving: true })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
