#![doc = include_str!("../README.md")]

mod away;
mod budget;
mod cluster;
pub mod control;
mod fault;
mod fetch;
mod fill;
mod flight;
pub mod fuzz;
mod giving;
mod gossip;
mod handoff;
mod health;
mod host;
mod key;
mod lease;
mod look;
pub mod mask;
mod node;
mod peer;
mod picture;
mod placement;
mod rates;
mod ring;
mod rings;
mod sealed;
mod secret;
mod stats;
mod sync;
mod tape;
mod tasks;
mod transport;
mod view;
mod wire;

pub use budget::{Budget, Holding};
pub use cluster::{Cluster, Company, Desk, Desks};
pub use control::{
    Carry, Control, ControlError, ReplicaSettings, Standing, State, Timers, Uncarried,
};
pub use fault::{Credential, Fault, HeardBy, Refusal};
pub use fetch::{Coalesce, Fetched, Join, Part, Want};
pub use fill::{BoxFuture, Copied, Fill, Filling, Secret, Terms};
pub use flight::{FlightLimits, Flights, Freshness, Landing, Seat};
pub use giving::{GivingLimits, Handoff};
pub use gossip::{Ended, Gossip, GossipSettings, GossipStats};
pub use health::{Health, HealthStats, Pinger, Stall, Unanswered};
pub use key::{Key, NotAKey};
pub use lease::Lease;
pub use mask::Mask;
pub use node::{Incarnation, Member, NodeId, Phase};
pub use peer::measure;
pub use peer::{Denial, Identity, PeerError, PeerLimits, PeerStats, Peers, RefusedCounts};
pub use picture::{Picture, PicturedNode};
pub use ring::Ring;
pub use rings::{RingConfig, Rings};
pub use sealed::{Malformed, Sealed};
pub use secret::{ClusterSecret, ClusterSecrets};
pub use stats::{Count, Stats};
pub use tape::{Frame, Player, Recorder, Tape};
pub use tasks::Tasks;
pub use transport::{
    Arrived, Arriving, Faults, Faulty, Listener, Memory, MemoryNet, Plain, Proven, Stream, Tls,
    TlsSettings, Transport, WallClock,
};
pub use view::{Seen, View};
