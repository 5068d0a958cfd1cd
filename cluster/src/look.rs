//! Looking for what is kept, wherever it is, without a flight: at the owners in this region, and then
//! at home for what they do not have. It never makes an answer and never keeps a copy.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::fetch::Coalesce;
use crate::fill::Terms;
use crate::key::Key;
use crate::node::NodeId;
use crate::peer::{Hearing, PeerError, Room};
use crate::tape::Tape;
use crate::wire::{Frame, LookAsk, Rank};

/// How long a peer may take to look for what it keeps.
const LOOKED_WITHIN: Duration = Duration::from_millis(500);

/// The same of one in another region, which may have to be dialled first.
const LOOKED_FAR_WITHIN: Duration = Duration::from_millis(1_000);

impl Cluster {
    /// Kept answers, in the order of the keys: one look at each owner, in this region and then at
    /// home where the scope allows, never a flight. What an owner cannot be asked for is looked for
    /// here: the store may be shared.
    pub async fn look(&self, keys: &[Key], terms: &Terms, scope: Coalesce) -> Vec<Option<Tape>> {
        let asked = |at: Rank, key: &Key| {
            let step = self.step_at(at, key, scope);
            // Where this node stands between the caller and the home, it looks here first.
            let here = at == Rank::Entry && step.at != Rank::Entry;
            step.to.filter(|_| !here)
        };
        let first = keys.iter().map(|key| asked(Rank::Entry, key));
        let mut answers = self.look_at(keys, first.collect(), terms).await;
        // Only then far away.
        let (mut absent, mut rest, mut homes) = (Vec::new(), Vec::new(), Vec::new());
        for (i, key) in keys
            .iter()
            .enumerate()
            .filter(|(i, _)| answers[*i].is_none())
        {
            if let Some((home, rank)) = asked(Rank::Region, key) {
                absent.push(i);
                rest.push(*key);
                homes.push(Some((home, rank)));
            }
        }
        if !rest.is_empty() {
            let found = self.look_at(&rest, homes, terms).await;
            for (i, tape) in absent.into_iter().zip(found) {
                answers[i] = tape;
            }
        }
        answers
    }

    /// One look at each of those named, for the keys they are named for.
    async fn look_at(
        &self,
        keys: &[Key],
        owners: Vec<Option<(NodeId, Rank)>>,
        terms: &Terms,
    ) -> Vec<Option<Tape>> {
        let mut shares: BTreeMap<Option<NodeId>, Vec<usize>> = BTreeMap::new();
        for (i, owner) in owners.into_iter().enumerate() {
            let owner = owner.map(|(owner, _)| owner);
            shares.entry(owner).or_default().push(i);
        }
        let looks = shares.into_iter().map(|(owner, share)| async move {
            let asked: Vec<Key> = share.iter().map(|i| keys[*i]).collect();
            let found = match &owner {
                Some(owner) => self.look_there(owner, &asked, terms).await,
                None => None,
            };
            let found = match found {
                Some(found) => found,
                None => self.fill.look(&asked, terms).await,
            };
            (share, found)
        });
        let mut answers = vec![None; keys.len()];
        for (share, found) in futures_util::future::join_all(looks).await {
            for (i, tape) in share.into_iter().zip(found) {
                answers[i] = tape;
            }
        }
        answers
    }

    /// What a peer keeps of these; `None` where it could not be asked.
    async fn look_there(
        &self,
        owner: &NodeId,
        keys: &[Key],
        terms: &Terms,
    ) -> Option<Vec<Option<Tape>>> {
        let ask = Frame::Look(LookAsk {
            keys: keys.to_vec(),
            terms: *terms,
            ring: self.ring_stamp(),
        });
        let patience = match self.is_far(owner) {
            true => LOOKED_FAR_WITHIN,
            false => LOOKED_WITHIN,
        };
        let hearing = self.call(owner, Room::Look, vec![ask], patience).await;
        let heard = match hearing {
            Ok(hearing) => hear_looked(hearing, keys.len(), patience).await,
            Err(error) => Err(error),
        };
        heard
            .inspect_err(|error| self.found_out(owner, error.event()))
            .ok()
    }
}

async fn hear_looked(
    mut hearing: Hearing,
    count: usize,
    patience: Duration,
) -> Result<Vec<Option<Tape>>, PeerError> {
    let mut found = Vec::with_capacity(count);
    let mut frames = Vec::new();
    while found.len() < count {
        match hearing.next(patience).await? {
            Some(Frame::Absent) => found.push(None),
            Some(Frame::Head(heading)) => frames.push(heading.frame),
            Some(Frame::Chunk(frame)) => frames.push(frame),
            Some(Frame::End) => found.push(Some(Tape::finished(std::mem::take(&mut frames)))),
            _ => return Err(PeerError::Protocol),
        }
    }
    Ok(found)
}
