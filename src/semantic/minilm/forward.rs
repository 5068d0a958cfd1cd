//! One walk through the model: pieces in, vectors out. Several texts walk together, row under row
//! without padding, so that the weights are read once for all of them; no row is changed by who
//! walks beside it.

use super::codes::{Linear, OUTPUTS, PANEL_OUTPUTS, Rows};
use super::kernel::{Kernel, Sums, TILE_ROWS, Tile, Work};
use super::math::{gelu, soften};
use super::{HEAD_WIDTH, HEADS, INNER_WIDTH, Layer, MiniLm, Piece, WIDTH, WINDOW, Words};

/// Numbers of a row of queries, keys and values.
const THREE: usize = 3 * WIDTH;

/// Where a walk is worked out; used again and again, since making it is dear.
#[derive(Default)]
pub struct Desk {
    /// The rows themselves.
    rows: Vec<f32>,
    /// What a layer makes of them, at its widest.
    wide: Vec<f32>,
    /// What is added to them.
    more: Vec<f32>,
    codes: Rows,
    /// The keys of one head, turned: number by number, then row by row.
    keys: Vec<f32>,
    scores: Vec<f32>,
}

impl MiniLm {
    /// The directions of texts, [`WIDTH`] numbers each, not yet made as long as one. A text has at
    /// least one piece; those beyond [`WINDOW`] are not looked at.
    pub fn embed(&self, texts: &[&[Piece]], desk: &mut Desk) -> Vec<Box<[f32]>> {
        self.processor.run(Walk {
            model: self,
            texts,
            desk,
        })
    }
}

struct Walk<'a> {
    model: &'a MiniLm,
    texts: &'a [&'a [Piece]],
    desk: &'a mut Desk,
}

impl Work for Walk<'_> {
    type Output = Vec<Box<[f32]>>;

    #[inline(always)]
    fn with(self, kernel: impl Kernel) -> Self::Output {
        let Self { model, texts, desk } = self;
        begin(model, texts, desk);
        for layer in &model.layers {
            attend(kernel, layer, texts, desk);
            think(kernel, layer, desk);
        }
        pool(texts, &desk.rows)
    }
}

/// How many rows a text has.
fn count(text: &[Piece]) -> usize {
    text.len().min(WINDOW)
}

/// Looks the pieces up and says where in the text they stand.
#[inline(always)]
fn begin(model: &MiniLm, texts: &[&[Piece]], desk: &mut Desk) {
    let all: usize = texts.iter().map(|text| count(text)).sum();
    desk.rows.resize(all * WIDTH, 0.0);
    let mut rows = desk.rows.chunks_exact_mut(WIDTH);
    for text in texts {
        let places = model.places.chunks_exact(WIDTH);
        for ((piece, place), row) in text.iter().zip(places).zip(&mut rows) {
            model.words.place(*piece, place, row);
            model.first.apply(row);
        }
    }
}

impl Words {
    #[inline(always)]
    fn place(&self, piece: Piece, place: &[f32], row: &mut [f32]) {
        let at = usize::from(piece);
        let (codes, scale) = (&self.codes[at * WIDTH..][..WIDTH], self.scales[at]);
        for ((number, code), place) in row.iter_mut().zip(codes).zip(place) {
            *number = f32::from(*code) * scale + place;
        }
    }
}

/// Each row looks at the rows of its own text.
#[inline(always)]
fn attend(kernel: impl Kernel, layer: &Layer, texts: &[&[Piece]], desk: &mut Desk) {
    desk.codes
        .take(&desk.rows, WIDTH, layer.attention.row_top());
    multiply(kernel, &layer.attention, &desk.codes, &mut desk.wide);
    desk.more.resize(desk.rows.len(), 0.0);
    let mut first = 0;
    for text in texts {
        let rows = count(text);
        let three = &desk.wide[first * THREE..(first + rows) * THREE];
        let seen = &mut desk.more[first * WIDTH..(first + rows) * WIDTH];
        for head in 0..HEADS {
            look(three, head, seen, &mut desk.keys, &mut desk.scores);
        }
        first += rows;
    }
    desk.codes.take(&desk.more, WIDTH, layer.attended.row_top());
    multiply(kernel, &layer.attended, &desk.codes, &mut desk.more);
    add(&mut desk.rows, &desk.more);
    let rows = desk.rows.chunks_exact_mut(WIDTH);
    rows.for_each(|row| layer.attended_norm.apply(row));
}

/// One head of attention over one text.
#[inline(always)]
fn look(three: &[f32], head: usize, seen: &mut [f32], keys: &mut Vec<f32>, scores: &mut Vec<f32>) {
    let rows = three.len() / THREE;
    // Whole groups of sixteen; what stands beyond the text is never read for its value.
    let stride = rows.next_multiple_of(PANEL_OUTPUTS);
    keys.resize(HEAD_WIDTH * stride, 0.0);
    scores.resize(stride, 0.0);
    for (at, row) in three.chunks_exact(THREE).enumerate() {
        for (number, key) in part(row, Part::Key, head).iter().enumerate() {
            keys[number * stride + at] = *key;
        }
    }
    for (row, seen) in three.chunks_exact(THREE).zip(seen.chunks_exact_mut(WIDTH)) {
        let query = part(row, Part::Query, head);
        let (groups, _) = scores.as_chunks_mut::<PANEL_OUTPUTS>();
        let (keys, _) = keys.as_chunks::<PANEL_OUTPUTS>();
        for (at, scores) in groups.iter_mut().enumerate() {
            let mut lanes = [0.0_f32; PANEL_OUTPUTS];
            for number in 0..HEAD_WIDTH {
                let keys = &keys[number * stride / PANEL_OUTPUTS + at];
                for lane in 0..PANEL_OUTPUTS {
                    lanes[lane] += query[number] * keys[lane];
                }
            }
            *scores = lanes;
        }
        let sum = soften(&mut scores[..rows]);
        let mut lanes = [0.0_f32; HEAD_WIDTH];
        for (row, score) in three.chunks_exact(THREE).zip(&*scores) {
            let value = part(row, Part::Value, head);
            for lane in 0..HEAD_WIDTH {
                lanes[lane] += score * value[lane];
            }
        }
        let by = sum.recip();
        let seen = &mut seen[head * HEAD_WIDTH..][..HEAD_WIDTH];
        seen.iter_mut()
            .zip(lanes)
            .for_each(|(seen, lane)| *seen = lane * by);
    }
}

/// What stands in a row before attention.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

/// A head's numbers of one part of a row.
#[inline(always)]
fn part(row: &[f32], part: Part, head: usize) -> &[f32; HEAD_WIDTH] {
    let (heads, _) = row.as_chunks::<HEAD_WIDTH>();
    &heads[part as usize * HEADS + head]
}

/// Each row by itself, wide and back.
#[inline(always)]
fn think(kernel: impl Kernel, layer: &Layer, desk: &mut Desk) {
    desk.codes.take(&desk.rows, WIDTH, layer.inner.row_top());
    multiply(kernel, &layer.inner, &desk.codes, &mut desk.wide);
    gelu(&mut desk.wide);
    desk.codes
        .take(&desk.wide, INNER_WIDTH, layer.outer.row_top());
    multiply(kernel, &layer.outer, &desk.codes, &mut desk.more);
    add(&mut desk.rows, &desk.more);
    let rows = desk.rows.chunks_exact_mut(WIDTH);
    rows.for_each(|row| layer.outer_norm.apply(row));
}

#[inline(always)]
fn add(rows: &mut [f32], more: &[f32]) {
    rows.iter_mut()
        .zip(more)
        .for_each(|(row, more)| *row += more);
}

/// Rows times a layer's weights, plus its biases.
#[inline(always)]
fn multiply(kernel: impl Kernel, linear: &Linear, rows: &Rows, out: &mut Vec<f32>) {
    out.resize(rows.count() * linear.outputs, 0.0);
    let (out, _) = out.as_chunks_mut::<OUTPUTS>();
    let stride = linear.outputs / OUTPUTS;
    let mut sums: Sums = [[0; OUTPUTS]; TILE_ROWS];
    for two in 0..stride {
        let panels = [linear.panel(2 * two), linear.panel(2 * two + 1)];
        let (worths, biases) = linear.worth(two);
        let mut out = out[two..].iter_mut().step_by(stride);
        for (scales, codes) in rows.tiles() {
            let rows = scales.len();
            kernel.multiply(
                Tile {
                    codes,
                    rows,
                    panels,
                },
                &mut sums,
            );
            for ((scale, sums), out) in scales.iter().zip(&sums).zip(&mut out) {
                for lane in 0..OUTPUTS {
                    out[lane] = sums[lane] as f32 * (scale * worths[lane]) + biases[lane];
                }
            }
        }
    }
}

/// A text's vector: the sum of its rows, which points where their mean does.
#[inline(always)]
fn pool(texts: &[&[Piece]], rows: &[f32]) -> Vec<Box<[f32]>> {
    let mut rows = rows.chunks_exact(WIDTH);
    let one = |text: &&[Piece]| {
        let mut vector = vec![0.0; WIDTH].into_boxed_slice();
        for row in rows.by_ref().take(count(text)) {
            add(&mut vector, row);
        }
        vector
    };
    texts.iter().map(one).collect()
}
