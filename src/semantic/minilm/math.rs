//! The arithmetic around the matrices, in plain code that a compiler turns into the widest
//! instructions of whoever calls it. Sums are taken in sixteen lanes and joined in one order, and
//! no product is fused with a sum: every processor gives the same bits.

/// Lanes of a sum.
const LANES: usize = 16;

#[inline(always)]
fn join(lanes: [f32; LANES], with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            lanes[at] = with(lanes[at], lanes[at + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Folds `each` of the numbers, lane by lane; what is left over goes into the first lanes.
#[inline(always)]
fn fold(row: &[f32], each: impl Fn(f32) -> f32, with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for at in 0..LANES {
            lanes[at] = with(lanes[at], each(chunk[at]));
        }
    }
    for (lane, number) in lanes.iter_mut().zip(rest) {
        *lane = with(*lane, each(*number));
    }
    join(lanes, with)
}

/// The greatest size in a row; zero for none.
#[inline(always)]
pub(super) fn greatest_size(row: &[f32]) -> f32 {
    // Not `f32::max`, whose care for what is no number costs three instructions.
    fold(row, f32::abs, |a, b| if a > b { a } else { b })
}

#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    fold(row, |number| number, |a, b| a + b)
}

/// A layer's normalisation: weights and biases.
pub(super) struct Norm {
    pub(super) weights: Vec<f32>,
    pub(super) biases: Vec<f32>,
}

impl Norm {
    /// As the model was trained with.
    const EPSILON: f32 = 1e-12;

    /// Normalises one row: mean zero, variance one, then weights and biases.
    #[inline(always)]
    pub(super) fn apply(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row) / count;
        row.iter_mut().for_each(|number| *number -= mean);
        let variance = fold(row, |number| number * number, |a, b| a + b) / count;
        let by = (variance + Self::EPSILON).sqrt().recip();
        let both = self.weights.iter().zip(&self.biases);
        for (number, (weight, bias)) in row.iter_mut().zip(both) {
            *number = *number * by * weight + bias;
        }
    }
}

/// `e` to the power of numbers not above 88, within two units of the last place; what is below
/// -87 is as good as zero.
#[inline(always)]
fn exp(number: f32) -> f32 {
    const ROUNDER: f32 = 12_582_912.0;
    let number = if number < -87.0 { -87.0 } else { number };
    let shifted = number * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    // ln 2 in two parts, so that what is left is exact to its last bit.
    let rest = number - whole * 0.693_359_4 - whole * -2.121_944_4e-4;
    let mut series = 1.987_569_1e-4;
    for factor in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        series = series * rest + factor;
    }
    let series = series * rest * rest + rest + 1.0;
    // Two to the whole part: added to the exponent's bits.
    let exponent = (shifted.to_bits() as i32 - ROUNDER.to_bits() as i32) << 23;
    f32::from_bits((series.to_bits() as i32 + exponent) as u32)
}

/// What a neuron gives: `x · Φ(x)`, with the error function by Abramowitz and Stegun 7.1.26,
/// whose error is below 1.5e-7.
#[inline(always)]
pub(super) fn gelu(row: &mut [f32]) {
    for number in row {
        let x = *number;
        let size = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * size);
        let mut series = 1.061_405_4;
        for factor in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            series = series * t + factor;
        }
        let erf = 1.0 - series * t * exp(-size * size);
        *number = 0.5 * x * (1.0 + erf.copysign(x));
    }
}

/// Turns scores into weights that are not yet divided by their sum, which it gives.
#[inline(always)]
pub(super) fn soften(scores: &mut [f32]) -> f32 {
    let least = f32::MIN;
    let mut lanes = [least; LANES];
    let chunks = scores.chunks_exact(LANES);
    let rest = chunks.remainder();
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    for chunk in chunks {
        for at in 0..LANES {
            lanes[at] = greater(lanes[at], chunk[at]);
        }
    }
    for (lane, score) in lanes.iter_mut().zip(rest) {
        *lane = greater(*lane, *score);
    }
    let greatest = join(lanes, greater);
    scores
        .iter_mut()
        .for_each(|score| *score = exp(*score - greatest));
    sum(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_e_are_right_to_the_last_places() {
        for step in -8_700..=200 {
            let x = step as f32 / 100.0;
            let (found, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / right - 1.0).abs() < 3e-7, "{x}: {found} {right}");
        }
        assert!(exp(-1e9) < 1e-37);
    }

    /// Values of `x · Φ(x)` to seven places.
    #[test]
    fn neurons_give_what_the_function_gives() {
        let known = [
            (-6.0, -5.919_5e-9),
            (-3.0, -0.004_049_694),
            (-1.0, -0.158_655_25),
            (-0.5, -0.154_268_77),
            (0.0, 0.0),
            (0.1, 0.053_982_785),
            (1.0, 0.841_344_8),
            (2.5, 2.484_475_8),
            (8.0, 8.0),
        ];
        for (x, right) in known {
            let mut row = [x];
            gelu(&mut row);
            assert!((row[0] - right).abs() < 1e-6, "{x}: {} {right}", row[0]);
        }
    }

    #[test]
    fn rows_of_every_length_are_folded_whole() {
        for length in [1, 15, 16, 17, 33, 384] {
            let mut row: Vec<f32> = (1..=length).map(|n| n as f32).collect();
            assert_eq!(sum(&row), (length * (length + 1) / 2) as f32);
            row[length / 2] = -1e6;
            assert_eq!(greatest_size(&row), 1e6, "{length}");
        }
    }

    #[test]
    fn softened_scores_keep_their_ratios() {
        let mut scores: Vec<f32> = (0..37).map(|n| n as f32 / 4.0 - 500.0).collect();
        let sum = soften(&mut scores);
        assert_eq!(scores[36], 1.0);
        for pair in scores.windows(2) {
            assert!((pair[1] / pair[0] - 0.25_f32.exp()).abs() < 1e-5);
        }
        assert!((scores.iter().sum::<f32>() - sum).abs() < 1e-5);
    }
}
