//! What a call is about, and which kind of connection it travels on: plain tables, with the
//! windows of each kind and why. Nothing here connects.

use std::sync::LazyLock;

use http::Uri;

use crate::wire::BODY_BYTES_MAX;

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    /// Whether one is there.
    Ping,
    /// Agreement.
    Control,
    /// An answer, kept or made.
    Fetch,
    /// Kept answers.
    Look,
    /// The application's own.
    Ask,
    /// A kept answer, given to who owns its key now.
    Give,
}

/// A kind of connection: what is small and urgent never waits behind what is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Control,
    Peek,
    Bulk,
}

static URIS: LazyLock<[Uri; 6]> =
    LazyLock::new(|| Room::ALL.map(|room| Uri::from_static(room.target())));

impl Room {
    pub(crate) const ALL: [Room; 6] = [
        Room::Ping,
        Room::Control,
        Room::Fetch,
        Room::Look,
        Room::Ask,
        Room::Give,
    ];

    /// The kind of connection it travels on.
    pub(crate) fn class(self) -> Class {
        match self {
            Room::Ping | Room::Control => Class::Control,
            Room::Look | Room::Ask => Class::Peek,
            Room::Fetch | Room::Give => Class::Bulk,
        }
    }

    /// The longest ask, whole.
    pub(crate) fn ask_bytes_max(self) -> usize {
        match self {
            Room::Ping => 1024,
            Room::Look => 1024 * 1024,
            // One long frame, and what stands beside it.
            Room::Control | Room::Fetch | Room::Ask | Room::Give => BODY_BYTES_MAX + 128 * 1024,
        }
    }

    pub(super) fn uri(self) -> Uri {
        URIS[self as usize].clone()
    }

    pub(super) fn of_path(path: &str) -> Option<Room> {
        Room::ALL.into_iter().find(|room| path == room.path())
    }

    fn target(self) -> &'static str {
        match self {
            Room::Ping => "http://x/ping",
            Room::Control => "http://x/control",
            Room::Fetch => "http://x/fetch",
            Room::Look => "http://x/look",
            Room::Ask => "http://x/ask",
            Room::Give => "http://x/give",
        }
    }

    fn path(self) -> &'static str {
        &self.target()["http://x".len()..]
    }
}

impl Class {
    pub(super) const ALL: [Class; 3] = [Class::Control, Class::Peek, Class::Bulk];

    /// Calls at once on one connection, each way.
    pub(crate) fn streams_max(self) -> usize {
        match self {
            Class::Control => 128,
            Class::Peek => 128,
            Class::Bulk => 1024,
        }
    }

    /// What one reply may have under way unread. A stream of tokens needs little even far away; a
    /// kept answer should cross an ocean in one go.
    pub(super) fn stream_window_bytes(self) -> u32 {
        match self {
            Class::Control | Class::Peek => 1024 * 1024,
            Class::Bulk => 64 * 1024,
        }
    }

    /// What a connection may have under way unread: room for every call's window, so that calls
    /// nobody reads cannot hold up one that somebody does.
    pub(super) fn connection_window_bytes(self) -> u32 {
        self.stream_window_bytes() * self.streams_max() as u32
    }

    /// Connections of this kind to one peer.
    pub(crate) fn connections_max(self) -> usize {
        match self {
            Class::Control => 1,
            Class::Peek | Class::Bulk => 2,
        }
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of_number(number: u8) -> Option<Class> {
        Class::ALL
            .into_iter()
            .find(|class| class.number() == number)
    }
}
