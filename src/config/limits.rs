//! Every limit of a node in one table: its name in the `[limits]` section, what it bounds, its
//! default, and what a sane operator may set it to. Each is enforced where the thing is, and
//! nowhere is there a limit that is not here.

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $default:expr, $least:expr, $most:expr;)+) => {
        /// What a node takes on before it says no. Units are in the names.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// The names, as they stand in a file.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// Sets one by name; else what it may be, or `None` for a name there is not.
            pub(super) fn set(&mut self, name: &str, value: Option<u64>) -> Result<(), Option<(u64, u64)>> {
                match name {
                    $(stringify!($name) => match value {
                        Some(value) if ($least..=$most).contains(&value) => {
                            self.$name = value;
                            Ok(())
                        }
                        _ => Err(Some(($least, $most))),
                    },)+
                    _ => Err(None),
                }
            }
        }
    };
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;

limits! {
    /// A request's body; above it, 413.
    body_bytes_max: 32 * MIB, 1_024, GIB;
    /// A request's line and headers together; above it, 431.
    header_bytes_max: 64 << 10, 4_096, MIB;
    /// From a connection's start to its first byte, and for a TLS handshake; then it is closed.
    header_seconds_max: 10, 1, 600;
    /// From the end of one request to the whole head of the next, and for a reader who takes nothing
    /// of what it asked for; then the connection is closed.
    idle_seconds_max: 75, 1, DAY;
    /// Between two pieces of a request's body; then 408.
    body_chunk_seconds_max: 30, 1, 3_600;
    /// Connections on the public listener; further ones wait to be accepted.
    connections_max: 10_000, 1, 1_000_000;
    /// Requests being answered; above it, 503.
    requests_inflight_max: 20_000, 1, 1_000_000;
    /// Calls in the air that others may join; above it, a miss goes past the cache.
    flights_max: 10_000, 1, 1_000_000;
    /// Listeners of one flight; further ones go past the cache.
    listeners_per_flight_max: 10_000, 1, 1_000_000;
    /// One recorded answer; a longer one is passed on and not kept.
    tape_bytes_max: 64 * MIB, 64 << 10, 4 * GIB;
    /// All recordings and bodies in the air; above it, a miss goes past the cache unrecorded.
    inflight_bytes_max: 512 * MIB, MIB, 1 << 40;
    /// Kept answers in memory that this node owns.
    memory_bytes_max: 256 * MIB, MIB, 1 << 44;
    /// Copies in memory of what others own.
    memory_guest_bytes_max: 64 * MIB, 0, 1 << 44;
    /// What questions mean, in memory, where the store finds neighbours itself; beyond it the oldest
    /// are not found any more.
    points_bytes_max: 256 * MIB, MIB, 1 << 44;
    /// What one tenant may have of the memory, in hundredths, unless its own setting says less.
    tenant_memory_percent_max: 50, 1, 100;
    /// Answers waiting to be written to the store; above it, they are kept in memory alone.
    keep_queue_bytes_max: 64 * MIB, MIB, 1 << 40;
    /// Connections to a shared store, all together.
    store_connections_max: 10, 3, 1_000;
    /// Ledger lines not yet in the store; above it, answers go out unbilled and are counted.
    journal_bytes_max: GIB, 16 * MIB, 1 << 44;
    /// Until a provider takes the connection; then 502.
    provider_connect_seconds_max: 10, 1, 600;
    /// Until a provider's first byte; then 504.
    provider_first_byte_seconds_max: 300, 1, DAY;
    /// Between two pieces of a provider's answer; then the answer is broken off.
    provider_chunk_seconds_max: 120, 1, DAY;
    /// Connections kept open to one provider while nothing is asked.
    provider_idle_connections_max: 64, 0, 10_000;
    /// Texts in one embeddings request; above it, the request goes past the cache.
    embedding_items_max: 2_048, 1, 100_000;
    /// While draining: not ready, but still taking requests, until balancers have noticed.
    drain_ready_seconds: 5, 0, 3_600;
    /// While draining: for answers under way, streams above all.
    drain_seconds: 120, 0, DAY;
}
