//! A line as the journal holds it: a version byte, then the fields in a fixed order, names cut to
//! a bounded length so that every line fits. Old versions stay readable for ever; it knows nothing
//! of files.

use fgy_cluster::Key;
use serde::{Deserialize, Serialize};

use crate::answer::stamp::Millis;
use crate::answer::usage::Usage;
use crate::ledger::line::{Line, LineId, Outcome};
use crate::ledger::money::NanoUsd;
use crate::names::TenantId;

/// The newest version this build writes and reads.
pub(super) const VERSION: u8 = 1;
/// Longer names are cut here, at a character's end: a caller can make no line too long to bill.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// No record is longer: six names and less than 300 bytes of numbers.
pub(super) const RECORD_BYTES_MAX: usize = 2_048;

/// Version 1. Never changed: a new field makes a new version.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    id: u128,
    at: u64,
    tenant: &'a str,
    agent: &'a str,
    namespace: &'a str,
    model: &'a str,
    path: &'a str,
    outcome: Outcome,
    reason: &'a str,
    key: Option<[u8; 32]>,
    status: u16,
    delivered: bool,
    input: u32,
    cached_input: u32,
    output: u32,
    estimated: bool,
    price_version: u32,
    priced: bool,
    cost: u64,
    saved: u64,
    fee: u64,
    embedding: u64,
    idempotency: Option<[u8; 32]>,
    similarity_bp: Option<u16>,
}

/// Writes a line into a buffer and gives the part that was written.
pub(super) fn encode<'b>(line: &Line, buffer: &'b mut [u8; RECORD_BYTES_MAX]) -> Option<&'b [u8]> {
    buffer[0] = VERSION;
    let body = postcard::to_slice(&Record::of(line), &mut buffer[1..])
        .ok()?
        .len();
    buffer.get(..=body)
}

/// Reads a record back; `None` if it is damaged or newer than [`VERSION`].
pub(super) fn decode(record: &[u8]) -> Option<Line> {
    match record.split_first()? {
        (1, body) => postcard::from_bytes::<Record<'_>>(body)
            .ok()
            .map(Record::line),
        _ => None,
    }
}

impl<'a> Record<'a> {
    fn of(line: &'a Line) -> Self {
        let Line {
            id,
            at,
            tenant,
            agent,
            namespace,
            model,
            path,
            outcome,
            reason,
            ..
        } = line;
        let Line {
            key,
            status,
            delivered,
            usage,
            price_version,
            priced,
            ..
        } = line;
        let Line {
            cost,
            saved,
            fee,
            embedding,
            idempotency,
            similarity_bp,
            ..
        } = line;
        let Usage {
            input,
            cached_input,
            output,
            estimated,
        } = *usage;
        Self {
            id: id.0,
            at: at.0,
            tenant: cut(tenant.as_str()),
            agent: cut(agent),
            namespace: cut(namespace),
            model: cut(model),
            path: cut(path),
            outcome: *outcome,
            reason: cut(reason),
            key: key.map(|key| key.0),
            status: *status,
            delivered: *delivered,
            input,
            cached_input,
            output,
            estimated,
            price_version: *price_version,
            priced: *priced,
            cost: cost.0,
            saved: saved.0,
            fee: fee.0,
            embedding: embedding.0,
            idempotency: *idempotency,
            similarity_bp: *similarity_bp,
        }
    }

    fn line(self) -> Line {
        let Self {
            input,
            cached_input,
            output,
            estimated,
            ..
        } = self;
        Line {
            id: LineId(self.id),
            at: Millis(self.at),
            tenant: TenantId::from(self.tenant),
            agent: self.agent.into(),
            namespace: self.namespace.into(),
            model: self.model.into(),
            path: self.path.into(),
            outcome: self.outcome,
            reason: self.reason.into(),
            key: self.key.map(Key),
            status: self.status,
            delivered: self.delivered,
            usage: Usage {
                input,
                cached_input,
                output,
                estimated,
            },
            price_version: self.price_version,
            priced: self.priced,
            cost: NanoUsd(self.cost),
            saved: NanoUsd(self.saved),
            fee: NanoUsd(self.fee),
            embedding: NanoUsd(self.embedding),
            idempotency: self.idempotency,
            similarity_bp: self.similarity_bp,
        }
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples::line;

    fn through(line: &Line) -> Option<Line> {
        let mut buffer = [0; RECORD_BYTES_MAX];
        decode(encode(line, &mut buffer)?)
    }

    #[test]
    fn every_field_comes_back() {
        let mut other = line(u128::MAX);
        (other.outcome, other.key, other.idempotency) = (Outcome::Refused, None, None);
        (other.delivered, other.priced, other.usage.estimated) = (false, false, true);
        (other.similarity_bp, other.embedding) = (Some(9_731), NanoUsd(12));
        for line in [line(1), other] {
            assert_eq!(through(&line), Some(line));
        }
    }

    #[test]
    fn the_longest_line_there_can_be_fits() {
        let long = "é".repeat(5_000);
        let mut line = line(u128::MAX);
        line.tenant = long.as_str().into();
        for name in [
            &mut line.agent,
            &mut line.namespace,
            &mut line.model,
            &mut line.path,
        ] {
            *name = long.as_str().into();
        }
        line.reason = long.as_str().into();
        line.at = Millis(u64::MAX);
        let most = NanoUsd(u64::MAX);
        (line.cost, line.saved, line.fee, line.embedding) = (most, most, most, most);
        (line.status, line.price_version) = (u16::MAX, u32::MAX);
        (line.key, line.idempotency) = (Some(Key([255; 32])), Some([255; 32]));
        line.usage.input = u32::MAX;
        line.similarity_bp = Some(u16::MAX);
        let back = through(&line).unwrap();
        assert_eq!(back.model.len(), NAME_BYTES_MAX);
        assert!(long.starts_with(&*back.model));
        assert_eq!((back.fee, back.key), (line.fee, line.key));
    }

    #[test]
    fn records_of_version_1_stay_readable() {
        // The digest of what version 1 wrote for sample line 5: released journals hold such bytes.
        let mut buffer = [0; RECORD_BYTES_MAX];
        let written = encode(&line(5), &mut buffer).unwrap();
        assert_eq!(
            blake3::hash(written).to_hex().as_str(),
            GOLDEN,
            "{written:?}"
        );
    }

    const GOLDEN: &str = "e94d5ddba5b4271da9694b76506cb9634b40825057aca1cb8b7b7e6b4fc0c263";

    #[test]
    fn damage_and_the_future_are_no_lines() {
        let mut buffer = [0; RECORD_BYTES_MAX];
        let good = encode(&line(1), &mut buffer).unwrap().to_vec();
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length]), None, "cut to {length}");
        }
        assert_eq!(decode(&[&[VERSION + 1], &good[1..]].concat()), None);
    }
}
