//! Who owns a key: consistent hashing over the members, with a walk of distinct successors.
//! Pure. It knows nothing of who can be reached; the asker says whom to walk over.

use std::hash::{BuildHasher, Hash, Hasher};

use ::ring::digest::{Context, SHA256};
use hashring::HashRing;
use siphasher::sip::SipHasher;

use crate::key::Key;
use crate::node::{Member, NodeId};

/// Points on the ring for each unit of weight; see [`Member::WEIGHT`].
const POINTS_PER_WEIGHT: u16 = 256;

/// The members placed on a circle.
#[derive(Debug, Clone)]
pub struct Ring {
    members: Vec<Member>,
    /// Where each point stands and whose it is, in order.
    points: Vec<(u64, u16)>,
}

/// A point before it is placed. Hashed as fixed bytes: the derived form would depend on the
/// width of a word and on the compiler.
struct Point<'a> {
    id: &'a NodeId,
    index: u16,
    owner: u16,
}

impl Hash for Point<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.id.as_str().as_bytes());
        state.write(&[0]);
        state.write(&self.index.to_le_bytes());
    }
}

/// Where points stand: the ring's own hash, SipHash with fixed keys, the same on every node and in
/// every release. Named here because the ring hands its points out in order but not their places.
#[derive(Clone, Copy)]
struct Places;

impl BuildHasher for Places {
    type Hasher = SipHasher;

    fn build_hasher(&self) -> SipHasher {
        SipHasher::new()
    }
}

impl Ring {
    /// Places the members. Their order does not matter; a name given twice counts once.
    pub fn of(members: impl IntoIterator<Item = Member>) -> Ring {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members.dedup_by(|a, b| a.id == b.id);
        let mut circle = HashRing::new();
        circle.batch_add(
            members
                .iter()
                .zip(0u16..)
                .flat_map(|(member, owner)| {
                    let count = u16::from(member.weight) * POINTS_PER_WEIGHT;
                    (0..count).map(move |index| Point {
                        id: &member.id,
                        index,
                        owner,
                    })
                })
                .collect(),
        );
        let mut points: Vec<(u64, u16)> = circle
            .into_iter()
            .map(|point| (Places.hash_one(&point), point.owner))
            .collect();
        // Of two points on one place the lower name comes first, on every node alike.
        points.sort_unstable();
        Ring { members, points }
    }

    /// The members, ordered by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What makes two rings the same: who is in them, and how points are placed. Nodes compare it
    /// with every message.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut context = Context::new(&SHA256);
        context.update(b"fgy ring 1");
        context.update(&POINTS_PER_WEIGHT.to_le_bytes());
        for member in &self.members {
            for text in [member.id.as_str(), &member.region, &member.zone] {
                context.update(&(text.len() as u64).to_le_bytes());
                context.update(text.as_bytes());
            }
            context.update(&[member.weight]);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.finish().as_ref()[..16]);
        digest
    }

    /// How much of all keys each member owns, in millionths, in the order of [`Ring::members`].
    pub fn shares(&self) -> Vec<u32> {
        let mut owned = vec![0u128; self.members.len()];
        let last = self.points.last().map_or(0, |(place, _)| *place);
        let mut before = last;
        for (place, owner) in &self.points {
            // The first point owns what lies behind the last as well: the circle closes.
            owned[usize::from(*owner)] += u128::from(place.wrapping_sub(before));
            before = *place;
        }
        owned
            .iter()
            .map(|keys| ((keys * 1_000_000) >> 64) as u32)
            .collect()
    }

    /// The owner of a key: the first of its successors that `usable` accepts.
    pub fn owner(&self, key: &Key, usable: impl Fn(&NodeId) -> bool) -> Option<&NodeId> {
        // Nearly always the first point decides, and this is asked for every request.
        let (_, first) = self.points.get(self.start(key)).or(self.points.first())?;
        let first = &self.members[usize::from(*first)].id;
        if usable(first) {
            return Some(first);
        }
        self.successors(key)
            .into_iter()
            .map(|member| &member.id)
            .find(|id| usable(id))
    }

    /// The owner of a key among the members of one region, the same as on a ring of them alone: a
    /// member's points stand where they stand whoever else is there. So the owner within its own
    /// region is the owner among all.
    pub fn owner_in(
        &self,
        region: &str,
        key: &Key,
        usable: impl Fn(&NodeId) -> bool,
    ) -> Option<&NodeId> {
        let (before, after) = self.points.split_at(self.start(key));
        let first = after
            .iter()
            .chain(before)
            .map(|(_, owner)| &self.members[usize::from(*owner)])
            .find(|member| member.region == region)?;
        if usable(&first.id) {
            return Some(&first.id);
        }
        let walk = self.walk(key).filter(|member| member.region == region);
        spread(walk)
            .into_iter()
            .map(|member| &member.id)
            .find(|id| usable(id))
    }

    /// The region of a key's owner.
    pub(crate) fn home(&self, key: &Key) -> Option<&str> {
        let (_, first) = self.points.get(self.start(key)).or(self.points.first())?;
        Some(&self.members[usize::from(*first)].region)
    }

    /// The regions in the order in which they would take a key over.
    pub(crate) fn homes(&self, key: &Key) -> Vec<&str> {
        let mut homes: Vec<&str> = Vec::new();
        for member in self.walk(key) {
            if !homes.contains(&member.region.as_str()) {
                homes.push(&member.region);
            }
        }
        homes
    }

    /// A member by its name.
    pub(crate) fn member(&self, id: &NodeId) -> Option<&Member> {
        let found = self.members.binary_search_by(|member| member.id.cmp(id));
        found.ok().map(|i| &self.members[i])
    }

    /// The distinct members in the order in which they would take the key over: the owner, then
    /// those in other zones than any before them, then the rest.
    pub fn successors(&self, key: &Key) -> Vec<&Member> {
        spread(self.walk(key))
    }

    /// The first point at or after a key.
    fn start(&self, key: &Key) -> usize {
        self.points
            .partition_point(|(place, _)| *place < key.prefix())
    }

    /// The distinct members clockwise from a key.
    fn walk(&self, key: &Key) -> impl Iterator<Item = &Member> {
        let mut seen = vec![false; self.members.len()];
        let (before, after) = self.points.split_at(self.start(key));
        after.iter().chain(before).filter_map(move |(_, owner)| {
            let owner = usize::from(*owner);
            (!std::mem::replace(&mut seen[owner], true)).then(|| &self.members[owner])
        })
    }
}

/// Members in the order of the walk, but first those in other zones than any before them.
fn spread<'a>(walk: impl Iterator<Item = &'a Member>) -> Vec<&'a Member> {
    let mut first = Vec::new();
    let mut rest = Vec::new();
    for member in walk {
        let apart = first
            .iter()
            .all(|taken: &&Member| taken.zone != member.zone);
        if apart {
            first.push(member)
        } else {
            rest.push(member)
        }
    }
    first.append(&mut rest);
    first
}

#[cfg(test)]
mod tests;
