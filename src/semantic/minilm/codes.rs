//! Numbers as whole numbers of sixteen bits: the weights of a linear layer, laid out for the
//! kernels, and the rows that meet them. A sum of their products fits in 32 bits and is exact, so
//! every kernel on every processor finds the same one. Nothing here multiplies.

use super::kernel::TILE_ROWS;
use super::weights::Odd;

/// Outputs in one panel: what the widest kernel keeps in one register.
pub(super) const PANEL_OUTPUTS: usize = 16;

/// Outputs that are worked out together: two panels.
pub(super) const OUTPUTS: usize = 2 * PANEL_OUTPUTS;

/// The greatest code of a weight. Ten bits: eight turn a text's vector too far (a cosine of 0.997 to
/// the vector of exact weights, where ten give 0.9998), and each more is one less for the rows.
const WEIGHT_TOP: f32 = 511.0;

/// Two inputs of the weights of one panel: `[output 0 of input 0, of input 1, output 1 of ..]`.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Pair(pub(super) [i16; OUTPUTS]);

/// A linear layer: weights as codes with one scale for each output.
pub(super) struct Linear {
    /// Numbers in a row that comes in; even.
    pub(super) inputs: usize,
    /// Numbers in a row that goes out; whole panels, and an even number of them.
    pub(super) outputs: usize,
    /// What a code of each output's weights is worth.
    scales: Vec<f32>,
    biases: Vec<f32>,
    /// Panel by panel, each with all its inputs.
    pairs: Vec<Pair>,
}

impl Linear {
    /// Packs rows of weights, one for each output, and their biases.
    pub(super) fn pack(weights: &[f32], biases: Vec<f32>) -> Result<Self, Odd> {
        let outputs = biases.len();
        let inputs = weights.len().checked_div(outputs).unwrap_or(0);
        let fits = inputs > 0
            && inputs.is_multiple_of(2)
            && outputs.is_multiple_of(OUTPUTS)
            && weights.len() == inputs * outputs;
        if !fits {
            return Err(Odd::shape("a linear layer"));
        }
        let mut linear = Self {
            inputs,
            outputs,
            scales: Vec::with_capacity(outputs),
            biases,
            pairs: vec![Pair([0; OUTPUTS]); inputs / 2 * outputs / PANEL_OUTPUTS],
        };
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            linear.pack_output(output, row);
        }
        Ok(linear)
    }

    fn pack_output(&mut self, output: usize, row: &[f32]) {
        let top = row
            .iter()
            .fold(0.0_f32, |top, weight| top.max(weight.abs()));
        let scale = top / WEIGHT_TOP;
        self.scales.push(scale);
        // A row of zeros has codes of zero, whatever one is worth.
        let per_code = if scale > 0.0 { scale.recip() } else { 0.0 };
        let (panel, lane) = (output / PANEL_OUTPUTS, output % PANEL_OUTPUTS);
        let first = panel * self.inputs / 2;
        for (at, two) in row.chunks_exact(2).enumerate() {
            let codes = &mut self.pairs[first + at].0;
            codes[2 * lane] = code(two[0] * per_code) as i16;
            codes[2 * lane + 1] = code(two[1] * per_code) as i16;
        }
    }

    /// Multiplies what some outputs give: for softmax, which wants its scores smaller.
    pub(super) fn scale_outputs(&mut self, outputs: std::ops::Range<usize>, by: f32) {
        for output in outputs {
            self.scales[output] *= by;
            self.biases[output] *= by;
        }
    }

    /// The pairs of a panel, in the order of the inputs.
    pub(super) fn panel(&self, panel: usize) -> &[Pair] {
        let pairs = self.inputs / 2;
        &self.pairs[panel * pairs..(panel + 1) * pairs]
    }

    /// What sums of codes are worth: scales and biases of the outputs of two panels.
    #[inline(always)]
    pub(super) fn worth(&self, two_panels: usize) -> (&[f32; OUTPUTS], &[f32; OUTPUTS]) {
        let (scales, biases) = (self.scales.as_chunks().0, self.biases.as_chunks().0);
        (&scales[two_panels], &biases[two_panels])
    }

    /// The greatest code a row may hold so that no sum leaves 32 bits.
    pub(super) fn row_top(&self) -> f32 {
        let most = f64::from(i32::MAX) / (f64::from(WEIGHT_TOP) * self.inputs as f64);
        most.floor().min(f64::from(i16::MAX)) as f32
    }
}

/// Rows as codes, two in one number, the even one in its lower half. They lie tile by tile, and in
/// a tile pair by pair: what a kernel needs next of all its rows stands side by side.
#[derive(Default)]
pub(super) struct Rows {
    codes: Vec<i32>,
    /// What a code of each row is worth.
    scales: Vec<f32>,
    /// One row on its way.
    row: Vec<i32>,
    pairs: usize,
    tile_rows: usize,
}

/// Added to a number below 2²², it leaves the nearest whole number in the lowest bits of the sum:
/// rounding that every processor does in one step, many at a time.
const ROUNDER: f32 = 12_582_912.0;

#[inline(always)]
fn code(number: f32) -> i32 {
    (number + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32
}

impl Rows {
    /// Takes rows of `inputs` numbers, each with the scale of its own greatest.
    #[inline(always)]
    pub(super) fn take(&mut self, rows: &[f32], inputs: usize, top: f32) {
        let count = rows.len() / inputs;
        self.pairs = inputs / 2;
        // As few tiles as there can be, all about as high.
        self.tile_rows = count.div_ceil(count.div_ceil(TILE_ROWS).max(1)).max(1);
        self.scales.clear();
        self.codes.resize(rows.len() / 2, 0);
        self.row.resize(self.pairs, 0);
        let tiles = self.codes.chunks_mut(self.pairs * self.tile_rows);
        for (rows, tile) in rows.chunks(inputs * self.tile_rows).zip(tiles) {
            let height = rows.len() / inputs;
            for (at, row) in rows.chunks_exact(inputs).enumerate() {
                let greatest = super::math::greatest_size(row).max(f32::MIN_POSITIVE);
                self.scales.push(greatest / top);
                let per_code = top / greatest;
                for (codes, two) in self.row.iter_mut().zip(row.as_chunks::<2>().0) {
                    *codes = code(two[0] * per_code) & 0xffff | code(two[1] * per_code) << 16;
                }
                for (column, codes) in tile.chunks_exact_mut(height).zip(&self.row) {
                    column[at] = *codes;
                }
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.scales.len()
    }

    /// The tiles: what each row's codes are worth, and the codes.
    #[inline(always)]
    pub(super) fn tiles(&self) -> impl Iterator<Item = (&[f32], &[i32])> {
        let codes = self.codes.chunks(self.pairs * self.tile_rows);
        self.scales.chunks(self.tile_rows).zip(codes)
    }
}
