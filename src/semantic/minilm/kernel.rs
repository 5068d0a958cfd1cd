//! Which processor this is, and the innermost loop for it: sums of products of a few rows and
//! thirty-two outputs. Every kernel gives the same sums to the last bit, so that nodes on different
//! processors give a text the same vector.
//!
//! This is the one `unsafe` module of the embedder: the widest instructions are only there where
//! they were looked for, and a compiler cannot know where that is.
#![expect(
    unsafe_code,
    reason = "instructions chosen at run time; nothing else here may be unsafe"
)]

use super::codes::{OUTPUTS, PANEL_OUTPUTS, Pair};

/// Rows of one tile at most: with two panels, their sums fill the registers of the widest kernel.
pub(super) const TILE_ROWS: usize = 12;

/// The sums of a tile: rows by the outputs of two panels.
pub(super) type Sums = [[i32; OUTPUTS]; TILE_ROWS];

/// What a kernel is given: codes of rows, two in a number, and two panels of weights.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Pair by pair, of all rows.
    pub(super) codes: &'a [i32],
    /// [`TILE_ROWS`] at most.
    pub(super) rows: usize,
    /// As many pairs each.
    pub(super) panels: [&'a [Pair]; 2],
}

/// A kernel: only held where its instructions are.
pub(super) trait Kernel: Copy {
    /// The sums of a tile's rows; those beyond are left as they are.
    fn multiply(self, tile: Tile<'_>, sums: &mut Sums);
}

/// What is done by a kernel.
pub(super) trait Work {
    /// What comes of it.
    type Output;
    /// Does it; inlined into code made for the kernel's processor.
    fn with(self, kernel: impl Kernel) -> Self::Output;
}

/// The best kernel of this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Any.
    Portable(Portable),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Wide(x86::Wide),
    /// AVX-512 with its instructions for neural networks.
    #[cfg(target_arch = "x86_64")]
    Widest(x86::Widest),
}

impl Processor {
    /// Looks what there is.
    pub fn here() -> Self {
        Self::all()
            .last()
            .copied()
            .unwrap_or(Self::Portable(Portable))
    }

    /// All kernels that work here, the best last.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(x86::Wide::look().map(Self::Wide));
            all.extend(x86::Widest::look().map(Self::Widest));
        }
        all
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Wide(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Widest(_) => "AVX-512 VNNI",
        }
    }

    /// Does a piece of work with this kernel.
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Portable(kernel) => work.with(kernel),
            // SAFETY: both are only made by their `look`, which found the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Wide(kernel) => unsafe { x86::run_wide(kernel, work) },
            #[cfg(target_arch = "x86_64")]
            Self::Widest(kernel) => unsafe { x86::run_widest(kernel, work) },
        }
    }
}

/// Plain code; what the others are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    fn multiply(self, tile: Tile<'_>, sums: &mut Sums) {
        for (row, sums) in sums.iter_mut().take(tile.rows).enumerate() {
            let (halves, _) = sums.as_chunks_mut::<PANEL_OUTPUTS>();
            for (panel, sums) in tile.panels.iter().zip(halves) {
                let mut lanes = [0_i32; PANEL_OUTPUTS];
                let columns = tile.codes.chunks_exact(tile.rows);
                for (codes, Pair(weights)) in columns.zip(*panel) {
                    let (even, odd) = (i32::from(codes[row] as i16), codes[row] >> 16);
                    for lane in 0..PANEL_OUTPUTS {
                        lanes[lane] += even * i32::from(weights[2 * lane])
                            + odd * i32::from(weights[2 * lane + 1]);
                    }
                }
                *sums = lanes;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256, _mm512_dpwssd_epi32,
        _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    };

    use super::{Kernel, PANEL_OUTPUTS, Pair, Sums, TILE_ROWS, Tile, Work};

    /// Proof that AVX2 is there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Wide(());

    /// Proof that AVX-512 and VNNI are there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Widest(());

    impl Wide {
        pub(super) fn look() -> Option<Self> {
            is_x86_feature_detected!("avx2").then_some(Self(()))
        }
    }

    impl Widest {
        pub(super) fn look() -> Option<Self> {
            let found = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni");
            found.then_some(Self(()))
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn run_wide<W: Work>(kernel: Wide, work: W) -> W::Output {
        work.with(kernel)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    pub(super) fn run_widest<W: Work>(kernel: Widest, work: W) -> W::Output {
        work.with(kernel)
    }

    impl Kernel for Wide {
        #[inline(always)]
        fn multiply(self, tile: Tile<'_>, sums: &mut Sums) {
            let (mut first, count) = (0, tile.rows);
            while first < count {
                // Four rows by one panel keep their sums in half of the registers.
                let some = (count - first).min(4);
                for panel in 0..2 {
                    // SAFETY: `self` is the proof that AVX2 is there.
                    unsafe {
                        match some {
                            1 => wide::<1>(tile, panel, first, sums),
                            2 => wide::<2>(tile, panel, first, sums),
                            3 => wide::<3>(tile, panel, first, sums),
                            _ => wide::<4>(tile, panel, first, sums),
                        }
                    }
                }
                first += some;
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn wide<const R: usize>(tile: Tile<'_>, panel: usize, first: usize, sums: &mut Sums) {
        let mut lanes = [[_mm256_setzero_si256(); 2]; R];
        let columns = tile.codes.chunks_exact(tile.rows);
        for (column, pair) in columns.zip(tile.panels[panel]) {
            let weights = [load_half(pair, 0), load_half(pair, 1)];
            for row in 0..R {
                let codes = _mm256_set1_epi32(column[first + row]);
                for half in 0..2 {
                    let products = _mm256_madd_epi16(codes, weights[half]);
                    lanes[row][half] = _mm256_add_epi32(lanes[row][half], products);
                }
            }
        }
        for (lanes, sums) in lanes.iter().zip(&mut sums[first..]) {
            let (eights, _) = sums[panel * PANEL_OUTPUTS..].as_chunks_mut::<8>();
            for (lanes, sums) in lanes.iter().zip(eights) {
                // SAFETY: eight numbers of four bytes are the 32 bytes that are written.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast::<__m256i>(), *lanes) }
            }
        }
    }

    /// Sixteen of a pair's thirty-two weights.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_half(pair: &Pair, half: usize) -> __m256i {
        let (halves, _) = pair.0.as_chunks::<16>();
        // SAFETY: sixteen numbers of two bytes are the 32 bytes that are read.
        unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast::<__m256i>()) }
    }

    impl Kernel for Widest {
        #[inline(always)]
        fn multiply(self, tile: Tile<'_>, sums: &mut Sums) {
            // SAFETY: `self` is the proof that the instructions are there.
            unsafe {
                match tile.rows {
                    0 => {}
                    1 => widest::<1>(tile, sums),
                    2 => widest::<2>(tile, sums),
                    3 => widest::<3>(tile, sums),
                    4 => widest::<4>(tile, sums),
                    5 => widest::<5>(tile, sums),
                    6 => widest::<6>(tile, sums),
                    7 => widest::<7>(tile, sums),
                    8 => widest::<8>(tile, sums),
                    9 => widest::<9>(tile, sums),
                    10 => widest::<10>(tile, sums),
                    11 => widest::<11>(tile, sums),
                    _ => widest::<TILE_ROWS>(tile, sums),
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn widest<const R: usize>(tile: Tile<'_>, sums: &mut Sums) {
        let mut lanes = [[_mm512_setzero_si512(); 2]; R];
        let (columns, _) = tile.codes.as_chunks::<R>();
        let [left, right] = tile.panels;
        for ((column, left), right) in columns.iter().zip(left).zip(right) {
            let (left, right) = (load(left), load(right));
            for row in 0..R {
                let codes = _mm512_set1_epi32(column[row]);
                lanes[row][0] = _mm512_dpwssd_epi32(lanes[row][0], codes, left);
                lanes[row][1] = _mm512_dpwssd_epi32(lanes[row][1], codes, right);
            }
        }
        for (lanes, sums) in lanes.iter().zip(sums) {
            let (halves, _) = sums.as_chunks_mut::<PANEL_OUTPUTS>();
            for (lanes, sums) in lanes.iter().zip(halves) {
                // SAFETY: sixteen numbers of four bytes are the 64 bytes that are written.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast::<__m512i>(), *lanes) }
            }
        }
    }

    /// A pair's thirty-two weights.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(pair: &Pair) -> __m512i {
        // SAFETY: thirty-two numbers of two bytes are the 64 bytes that are read.
        unsafe { _mm512_loadu_si512(pair.0.as_ptr().cast::<__m512i>()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product of a tile by each kernel.
    struct Multiplied<'a>(Tile<'a>);

    impl Work for Multiplied<'_> {
        type Output = Box<Sums>;

        #[inline(always)]
        fn with(self, kernel: impl Kernel) -> Box<Sums> {
            let mut sums = Box::new([[0; OUTPUTS]; TILE_ROWS]);
            kernel.multiply(self.0, &mut sums);
            sums
        }
    }

    /// Numbers that look like chance and are the same each time.
    fn chance(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(99);
            state >> 33
        }
    }

    fn panel(pairs: usize, next: &mut impl FnMut() -> u64) -> Vec<Pair> {
        let mut pair = || Pair(std::array::from_fn(|_| (next() % 1023) as i16 - 511));
        (0..pairs).map(|_| pair()).collect()
    }

    #[test]
    fn every_kernel_gives_the_sums_of_plain_arithmetic() {
        let kernels = Processor::all();
        for rows in 1..=TILE_ROWS {
            for pairs in [1, 7, 192] {
                let mut next = chance((rows * 1000 + pairs) as u64);
                let codes: Vec<i32> = (0..rows * pairs).map(|_| (next() << 1) as i32).collect();
                let (left, right) = (panel(pairs, &mut next), panel(pairs, &mut next));
                let tile = Tile {
                    codes: &codes,
                    rows,
                    panels: [&left, &right],
                };
                let right_sum = |row: usize, output: usize| -> i64 {
                    let panel = tile.panels[output / PANEL_OUTPUTS];
                    let lane = output % PANEL_OUTPUTS;
                    (0..pairs)
                        .map(|at| {
                            let both = codes[at * rows + row];
                            i64::from(both as i16) * i64::from(panel[at].0[2 * lane])
                                + i64::from(both >> 16) * i64::from(panel[at].0[2 * lane + 1])
                        })
                        .sum()
                };
                for kernel in &kernels {
                    let sums = kernel.run(Multiplied(tile));
                    for row in 0..rows {
                        for output in 0..OUTPUTS {
                            assert_eq!(
                                i64::from(sums[row][output]),
                                right_sum(row, output),
                                "{kernel:?} row {row} of {rows}, output {output}, {pairs} pairs"
                            );
                        }
                    }
                    assert!(
                        sums[rows..].iter().all(|row| *row == [0; OUTPUTS]),
                        "{kernel:?}"
                    );
                }
            }
        }
    }
}
