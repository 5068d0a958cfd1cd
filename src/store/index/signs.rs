//! A quick look at many points at once: one bit a dimension, below zero or not. The fewer of these
//! differ, the smaller the angle is likely to be; who is promising is then compared exactly.
//!
//! Counting is the work, and not every machine counts the bits of a word quickly. So the bits lie on
//! their side: a word holds one dimension of sixty-four points, and all of them are counted at once
//! by adders made of `and`, `or` and `xor`, as in hardware, which the compiler widens to whatever
//! registers there are. At 100,000 points of 384 dimensions, on the least x86-64 there is, that took
//! 0.26 ms, and counting word by word 0.79 ms.

/// Words side by side: what fills two to four registers.
const LANES: usize = 4;
/// Points of a block.
const BLOCK_POINTS: usize = 64 * LANES;
/// Digits of a count: up to [`crate::store::point::DIMENSIONS_MAX`] differences.
const DIGITS: usize = 13;
/// Points that are promising. With the nearest 100 by their signs the nearest by cosine is among
/// them 999 times of a thousand; this leaves room for neighbours that are crowded.
pub(super) const PROMISING_POINTS: usize = 128;

/// One bit for each point of a block.
type Bits = [u64; LANES];
/// A number for each point of a block, by binary digit, the lowest first.
type Counts = [Bits; DIGITS];

/// The signs of the points of a slice.
#[derive(Default)]
pub(super) struct Signs {
    /// By block, by dimension.
    blocks: Vec<Bits>,
}

/// Of one direction that is asked for: for each dimension all bits, or none.
pub(super) fn asked(values: &[i16]) -> Box<[u64]> {
    let below = values.iter().map(|it| *it < 0);
    below.map(|it| if it { u64::MAX } else { 0 }).collect()
}

impl Signs {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Writes those of the point at this place.
    pub(super) fn set(&mut self, at: usize, values: &[i8]) {
        let first = at / BLOCK_POINTS * values.len();
        if self.blocks.len() < first + values.len() {
            self.blocks.resize(first + values.len(), [0; LANES]);
        }
        let (word, bit) = (at % BLOCK_POINTS / 64, at % 64);
        for (bits, value) in self.blocks[first..].iter_mut().zip(values) {
            let others = bits[word] & !(1 << bit);
            bits[word] = others | u64::from(*value < 0) << bit;
        }
    }

    /// Keeps those of the first so many points.
    pub(super) fn truncate(&mut self, points: usize, dimensions: usize) {
        self.blocks
            .truncate(points.div_ceil(BLOCK_POINTS) * dimensions);
        self.blocks.shrink_to(2 * self.blocks.len());
    }

    /// Room taken, used or not.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Bits>()
    }

    /// Compares the first so many points with what is asked.
    pub(super) fn compare(&self, points: usize, asked: &[u64], promising: &mut Promising) {
        for (number, block) in self.blocks.chunks_exact(asked.len()).enumerate() {
            let first = number * BLOCK_POINTS;
            let differences = count(block, asked);
            let near = below(&differences, promising.enough);
            for (word, mut bits) in near.into_iter().enumerate() {
                while bits != 0 {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    let at = first + word * 64 + bit as usize;
                    if at < points {
                        promising.see(number_of(&differences, word, bit), at as u32);
                    }
                }
            }
        }
    }
}

/// In how many dimensions each point differs from what is asked.
fn count(block: &[Bits], asked: &[u64]) -> Counts {
    let mut counts = [[0; LANES]; DIGITS];
    let (block, rest) = block.as_chunks::<16>();
    let (asked, asked_rest) = asked.as_chunks::<16>();
    for (bits, asked) in block.iter().zip(asked) {
        let mut differences = [[0; LANES]; 16];
        for at in 0..16 {
            differences[at] = differing(&bits[at], asked[at]);
        }
        let carry = sixteen(&mut counts, &differences);
        ripple(&mut counts[4..], carry);
    }
    for (bits, asked) in rest.iter().zip(asked_rest) {
        ripple(&mut counts, differing(bits, *asked));
    }
    counts
}

#[inline(always)]
fn differing(bits: &Bits, asked: u64) -> Bits {
    let mut differing = *bits;
    for word in &mut differing {
        *word ^= asked;
    }
    differing
}

/// Adds two bits to a digit; gives the carry.
#[inline(always)]
fn two(digit: &mut Bits, one: Bits, other: Bits) -> Bits {
    let mut carry = [0; LANES];
    for lane in 0..LANES {
        let (digit, one, other) = (&mut digit[lane], one[lane], other[lane]);
        let odd = one ^ other;
        carry[lane] = one & other | odd & *digit;
        *digit ^= odd;
    }
    carry
}

#[inline(always)]
fn four(counts: &mut Counts, bits: &[Bits]) -> Bits {
    let one = two(&mut counts[0], bits[0], bits[1]);
    let other = two(&mut counts[0], bits[2], bits[3]);
    two(&mut counts[1], one, other)
}

#[inline(always)]
fn eight(counts: &mut Counts, bits: &[Bits]) -> Bits {
    let (one, other) = (four(counts, &bits[..4]), four(counts, &bits[4..]));
    two(&mut counts[2], one, other)
}

/// Adds sixteen bits to the four lowest digits; gives the carry.
#[inline(always)]
fn sixteen(counts: &mut Counts, bits: &[Bits; 16]) -> Bits {
    let (one, other) = (eight(counts, &bits[..8]), eight(counts, &bits[8..]));
    two(&mut counts[3], one, other)
}

/// Adds one bit, carrying as far as it goes.
#[inline(always)]
fn ripple(digits: &mut [Bits], mut carry: Bits) {
    for digit in digits {
        if carry == [0; LANES] {
            return;
        }
        for lane in 0..LANES {
            let both = digit[lane] & carry[lane];
            digit[lane] ^= carry[lane];
            carry[lane] = both;
        }
    }
}

/// The points whose count is below a limit.
fn below(counts: &Counts, limit: u32) -> Bits {
    if limit >> DIGITS != 0 {
        return [u64::MAX; LANES];
    }
    let (mut below, mut level) = ([0; LANES], [u64::MAX; LANES]);
    for (place, digit) in counts.iter().enumerate().rev() {
        let limit = if limit >> place & 1 == 1 { u64::MAX } else { 0 };
        for lane in 0..LANES {
            below[lane] |= level[lane] & !digit[lane] & limit;
            level[lane] &= !(digit[lane] ^ limit);
        }
    }
    below
}

/// The count of one point.
fn number_of(counts: &Counts, word: usize, bit: u32) -> u32 {
    let digits = counts.iter().enumerate();
    digits
        .map(|(place, digit)| ((digit[word] >> bit & 1) as u32) << place)
        .sum()
}

/// The [`PROMISING_POINTS`] so far whose signs differ least, over all slices looked through.
pub(super) struct Promising {
    /// Differences and places, up to twice as many as wanted.
    found: Vec<(u32, u32)>,
    /// With so many differences a point is not promising any more.
    enough: u32,
}

/// Stands for a place in a slice that was looked through before.
const ELSEWHERE: u32 = u32::MAX;

impl Default for Promising {
    fn default() -> Self {
        Self {
            found: Vec::new(),
            enough: u32::MAX,
        }
    }
}

impl Promising {
    fn see(&mut self, differences: u32, at: u32) {
        if differences < self.enough {
            self.found.push((differences, at));
        }
        if self.found.len() >= 2 * PROMISING_POINTS {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.found.len() > PROMISING_POINTS {
            let (_, last, _) = self.found.select_nth_unstable(PROMISING_POINTS - 1);
            self.enough = last.0;
            self.found.truncate(PROMISING_POINTS);
        }
    }

    /// Those of the slice just seen, once.
    pub(super) fn take(&mut self) -> impl Iterator<Item = usize> {
        self.cut();
        let each = self.found.iter_mut();
        each.map(|(_, at)| std::mem::replace(at, ELSEWHERE))
            .filter(|at| *at != ELSEWHERE)
            .map(|at| at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::vectors::Draw;

    /// Beside counting bit by bit: all lengths that end a step of sixteen and those that do not.
    #[test]
    fn differences_are_counted_as_one_would_by_hand() {
        let mut draw = Draw(0xb175);
        for dimensions in [1, 15, 16, 17, 100, 384, 1_536, 4_096] {
            let points = BLOCK_POINTS + 70;
            let mut signs = Signs::default();
            let mut values = Vec::new();
            for at in 0..points {
                // From none to all below zero.
                let share = draw.next() % 5;
                let one: Vec<i8> = (0..dimensions)
                    .map(|_| if draw.next() % 4 < share { -1 } else { 1 })
                    .collect();
                signs.set(at, &one.iter().map(|it| -it).collect::<Vec<_>>());
                signs.set(at, &one);
                values.push(one);
            }
            let query: Vec<i16> = (0..dimensions)
                .map(|_| if draw.next().is_multiple_of(3) { -9 } else { 0 })
                .collect();
            let by_hand = |one: &Vec<i8>| -> u32 {
                let pairs = one.iter().zip(&query);
                pairs.map(|(a, b)| u32::from((*a < 0) != (*b < 0))).sum()
            };
            let mut expected: Vec<u32> = values.iter().map(by_hand).collect();
            let mut promising = Promising::default();
            signs.compare(points, &asked(&query), &mut promising);
            let found: Vec<usize> = promising.take().collect();
            assert_eq!(found.len(), PROMISING_POINTS);
            let mut nearest: Vec<u32> = found.iter().map(|at| expected[*at]).collect();
            nearest.sort_unstable();
            expected.sort_unstable();
            assert_eq!(nearest, expected[..PROMISING_POINTS], "{dimensions}");
            assert_eq!(promising.take().count(), 0, "once");
            // What was found before bars what is no nearer: nothing of the same is promising again.
            signs.compare(points, &asked(&query), &mut promising);
            assert!(
                promising
                    .take()
                    .all(|at| by_hand(&values[at]) < nearest[PROMISING_POINTS - 1])
            );
            signs.truncate(3, dimensions);
            assert_eq!(signs.blocks.len(), dimensions);
            signs.truncate(0, dimensions);
            assert!(signs.is_empty());
        }
    }

    #[test]
    fn limits_at_the_edges_hold() {
        let mut counts = [[0; LANES]; DIGITS];
        ripple(&mut counts, [1, 0, 0, 0]);
        ripple(&mut counts, [1, 1, 0, 0]);
        for (limit, expected) in [(0, [0; 4]), (1, [!1, !1, !0, !0]), (2, [!1, !0, !0, !0])] {
            assert_eq!(below(&counts, limit), expected, "{limit}");
        }
        for all in [3, 4_097, 8_191, 8_192, u32::MAX] {
            assert_eq!(below(&counts, all), [u64::MAX; LANES], "{all}");
        }
        assert_eq!(number_of(&counts, 0, 0), 2);
    }
}
