//! The cluster as one node sees it, for people: who is in the ring, who is seen, who is walked over.
//! A copy taken at one moment; nothing decides by it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::mask::Reason;
use crate::node::{Member, NodeId, Phase};

/// What one node sees of the cluster.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The agreed ring's number.
    pub epoch: u64,
    /// Its digest: equal digests are equal rings.
    pub digest: [u8; 16],
    /// Who is in the ring or seen, by name.
    pub nodes: Vec<PicturedNode>,
}

/// One node of it.
#[derive(Debug, Clone)]
pub struct PicturedNode {
    /// Name and place.
    pub member: Member,
    /// How much of all keys it owns, in millionths; `None`: it is not in the ring.
    pub share: Option<u32>,
    /// How far it says it is; `None`: it is not seen.
    pub phase: Option<Phase>,
    /// Where it answers its peers.
    pub address: Option<SocketAddr>,
    /// Its number among those who agree.
    pub replica: Option<u64>,
    /// Why this node walks over it now, if it does.
    pub masked: Option<Reason>,
}

impl Cluster {
    /// What this node sees now.
    pub fn picture(&self) -> Picture {
        let placement = self.placement.load();
        let mut nodes: BTreeMap<NodeId, PicturedNode> = BTreeMap::new();
        let shares = placement.ring.shares();
        for (member, share) in placement.ring.members().iter().zip(shares) {
            let node = self.pictured(member, Some(share));
            nodes.insert(member.id.clone(), node);
        }
        let view = self.view();
        for seen in view.iter() {
            let node = nodes
                .entry(seen.member.id.clone())
                .or_insert_with(|| self.pictured(&seen.member, None));
            node.phase = Some(seen.phase);
            node.address = Some(seen.address);
            node.replica = Some(seen.replica);
        }
        Picture {
            epoch: placement.stamp.epoch,
            digest: placement.stamp.digest,
            nodes: nodes.into_values().collect(),
        }
    }

    fn pictured(&self, member: &Member, share: Option<u32>) -> PicturedNode {
        PicturedNode {
            member: member.clone(),
            share,
            phase: None,
            address: None,
            replica: None,
            masked: (member.id != *self.me())
                .then(|| self.why_masked(&member.id))
                .flatten(),
        }
    }
}
