//! Lines for tests and benchmarks: filled in throughout, different by their number.

use fgy_cluster::Key;

use super::line::{Line, LineId, Outcome};
use super::money::NanoUsd;
use crate::answer::stamp::Millis;
use crate::answer::usage::Usage;

/// A delivered hit of tenant `acme`, one millisecond after the line numbered before it.
pub fn line(number: u128) -> Line {
    Line {
        id: LineId(number),
        at: Millis(1_793_491_200_000 + (number % 1_000_000_000) as u64),
        tenant: "acme".into(),
        agent: "faq-bot".into(),
        namespace: "staging".into(),
        model: "gpt-4o-mini".into(),
        path: "/v1/chat/completions".into(),
        outcome: Outcome::Hit,
        reason: "".into(),
        key: Some(Key([number as u8; 32])),
        status: 200,
        delivered: true,
        usage: Usage {
            input: 1200,
            cached_input: 200,
            output: 300,
            estimated: false,
        },
        price_version: 1,
        priced: true,
        cost: NanoUsd(345_000),
        saved: NanoUsd(345_000),
        fee: NanoUsd(51_750),
        embedding: NanoUsd(0),
        idempotency: Some([7; 32]),
        similarity_bp: None,
    }
}
