//! How a lone node's state becomes the first state of a cluster: a file as if everything up to that
//! index had been agreed by this one replica and written out. Indexes go on from there, because a
//! kept answer is measured against them. It never touches a file that belongs to a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use openraft::CommittedLeaderId;

use super::agreed::Agreed;
use super::file::{File, Identity, RowError, put};
use super::machine::save;
use super::types::{LogId, Membership, Placed, SnapshotMeta, Stored};
use crate::control::{ControlError, State};
use crate::node::Member;

/// Writes the file of `replica`. It blocks.
pub(in crate::control) fn found<S: State>(
    path: &Path,
    replica: u64,
    me: &Member,
    (index, state): (u64, Arc<S>),
) -> Result<(), ControlError> {
    let refused = |error: io::Error| ControlError::Refused(path.to_owned(), error);
    let (file, identity) = File::open(path, replica)?;
    // One that belongs to no cluster has agreed on nothing; it may be left of an earlier attempt.
    if identity.cluster != 0 {
        return Err(refused(ErrorKind::AlreadyExists.into()));
    }
    let at = LogId::new(CommittedLeaderId::new(0, 0), index);
    let nodes = BTreeMap::from([(replica, Placed::of(me))]);
    let membership = Membership::new(vec![BTreeSet::from([replica])], nodes);
    let meta = SnapshotMeta {
        last_log_id: Some(at),
        last_membership: Stored::new(Some(at), membership),
        snapshot_id: format!("founded-{index}"),
    };
    let written = file.write(|rows| {
        let agreed = Agreed::of(state);
        let bytes = serde_json::to_vec(&agreed).map_err(RowError::Json)?;
        put(rows, "state", &agreed)?;
        put(rows, "membership", &meta.last_membership)?;
        put(rows, "applied", &meta.last_log_id)?;
        put(rows, "purged", &at)?;
        save(rows, &meta, &bytes)?;
        let identity = Identity {
            cluster: replica,
            ..identity
        };
        put(rows, "identity", &identity)
    });
    written.map_err(|error| refused(io::Error::other(error)))
}
