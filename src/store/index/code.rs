//! A direction in small numbers: eight bits a dimension and one scale as it is kept, twelve bits as
//! it is asked for. The scale is one over the length of the small numbers, so that a product is a
//! cosine whatever was lost in rounding. Whole-number loops over slices of one length, which the
//! compiler turns into vector instructions; nothing here is `unsafe`.

use super::signs;

/// A direction as it is kept, on disk and in memory.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Code {
    /// One over the length of `values`.
    pub(in crate::store) scale: f32,
    /// Each dimension, -127 to 127.
    pub(in crate::store) values: Box<[i8]>,
}

/// A direction as it is asked for. Finer than a code: asking costs no room.
pub(in crate::store) struct Query {
    scale: f32,
    values: Box<[i16]>,
    /// As [`signs`] compares them.
    pub(super) signs: Box<[u64]>,
}

const KEPT_MAX: f32 = 127.0;
/// So that a product of [`super::super::point::DIMENSIONS_MAX`] dimensions stays below 2^31.
const ASKED_MAX: f32 = 4_095.0;

impl Code {
    /// The nearest code. All zeros, of scale 0 and near nothing, for what has no direction.
    pub(in crate::store) fn of(vector: &[f32]) -> Self {
        let values: Box<[i8]> = rounded(vector, KEPT_MAX).map(|it| it as i8).collect();
        let scale = scale(values.iter().map(|it| i32::from(*it)));
        Self { scale, values }
    }
}

impl Query {
    pub(in crate::store) fn of(vector: &[f32]) -> Self {
        let values: Box<[i16]> = rounded(vector, ASKED_MAX).map(|it| it as i16).collect();
        let scale = scale(values.iter().map(|it| i32::from(*it)));
        let signs = signs::asked(&values);
        Self {
            scale,
            values,
            signs,
        }
    }

    /// The cosine to a code of as many dimensions.
    pub(super) fn cosine(&self, scale: f32, values: &[i8]) -> f32 {
        let product = dot(&self.values, values) as f32;
        (product * self.scale * scale).clamp(-1.0, 1.0)
    }
}

/// Whole numbers up to `most`, in proportion.
fn rounded(vector: &[f32], most: f32) -> impl Iterator<Item = f32> {
    let largest = vector.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    let by = if largest > 0.0 { most / largest } else { 0.0 };
    vector.iter().map(move |it| (it * by).round())
}

fn scale(values: impl Iterator<Item = i32>) -> f32 {
    let square: i64 = values.map(|it| i64::from(it) * i64::from(it)).sum();
    if square == 0 {
        0.0
    } else {
        (square as f32).sqrt().recip()
    }
}

/// In steps of a fixed length, whose sums are independent of each other.
fn dot(asked: &[i16], kept: &[i8]) -> i32 {
    const STEP: usize = 32;
    let (asked_steps, asked_rest) = asked.as_chunks::<STEP>();
    let (kept_steps, kept_rest) = kept.as_chunks::<STEP>();
    let step = |asked: &[i16], kept: &[i8]| -> i32 {
        let pairs = asked.iter().zip(kept);
        pairs
            .map(|(asked, kept)| i32::from(*asked) * i32::from(i16::from(*kept)))
            .sum()
    };
    let steps = asked_steps.iter().zip(kept_steps);
    let most: i32 = steps.map(|(asked, kept)| step(asked, kept)).sum();
    most + step(asked_rest, kept_rest)
}
