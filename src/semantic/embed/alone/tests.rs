//! The real model against vectors of the same weights in single precision, worked out by another
//! program (`golden.jsonl`: text, pieces, and each number of its vector times 65,536).

use fgy_minilm::{Piece, VOCABULARY_FILE, WEIGHTS_FILE, WIDTH, WINDOW};
use serde::Deserialize;

use super::*;
use crate::semantic::embed::Vector;
use crate::semantic::model::tests::folder;

#[derive(Deserialize)]
struct Golden {
    text: String,
    pieces: Vec<Piece>,
    vector: String,
}

fn golden() -> Vec<Golden> {
    let lines = include_str!("golden.jsonl").lines();
    let golden: Vec<Golden> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(golden.len(), 15);
    golden
}

impl Golden {
    fn vector(&self) -> Vector {
        let nibble = |at: usize| u16::from_str_radix(&self.vector[at..=at], 16).unwrap();
        // Two bytes each, the lower first.
        let number = |at: usize| {
            let byte = |at: usize| nibble(at) << 4 | nibble(at + 1);
            f32::from((byte(at) | byte(at + 2) << 8) as i16)
        };
        let numbers: Vec<f32> = (0..WIDTH).map(|at| number(4 * at)).collect();
        Vector::new(numbers).unwrap()
    }
}

fn vectors(model: &MiniLm, texts: &[&[Piece]]) -> Vec<Vector> {
    let vectors = model.embed(texts, &mut Desk::default());
    vectors
        .into_iter()
        .map(|vector| Vector::new(vector).unwrap())
        .collect()
}

#[test]
fn texts_have_the_pieces_the_model_was_taught() {
    let Some(folder) = folder() else { return };
    let model = MiniLm::load(&folder, Processor::here()).unwrap();
    for golden in golden() {
        assert_eq!(model.pieces(&golden.text), golden.pieces, "{}", golden.text);
        let count = model.count(&golden.text, usize::MAX);
        assert!(count == golden.pieces.len() || golden.pieces.len() == WINDOW);
    }
}

#[test]
fn vectors_are_those_of_exact_arithmetic_and_alone_or_together_the_same() {
    let Some(folder) = folder() else { return };
    let model = MiniLm::load(&folder, Processor::here()).unwrap();
    let golden = golden();
    let pieces: Vec<&[Piece]> = golden.iter().map(|golden| &golden.pieces[..]).collect();
    let together = vectors(&model, &pieces);
    for (golden, vector) in golden.iter().zip(&together) {
        let cosine = vector.cosine(&golden.vector());
        assert!(cosine >= 0.9995, "{cosine} for {}", golden.text);
        if golden.pieces.len() < 32 {
            let alone = vectors(&model, &[&golden.pieces]);
            assert_eq!(&alone[0], vector, "{}", golden.text);
        }
    }
    // They are not simply all alike.
    let (refund, light) = (&together[2], &together[4]);
    assert!(refund.cosine(&together[3]) > 0.7 && refund.cosine(light) < 0.3);
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let Some(folder) = folder() else { return };
    let golden = golden();
    let pieces: Vec<&[Piece]> = golden[1..4]
        .iter()
        .map(|golden| &golden.pieces[..])
        .collect();
    let each = Processor::all().into_iter().map(|processor| {
        let model = MiniLm::load(&folder, processor).unwrap();
        (processor.name(), vectors(&model, &pieces))
    });
    let each: Vec<_> = each.collect();
    for (name, vectors) in &each[1..] {
        assert_eq!(*vectors, each[0].1, "{name} against {}", each[0].0);
    }
}

#[test]
fn what_is_beyond_the_window_is_not_seen() {
    let Some(folder) = folder() else { return };
    let model = MiniLm::load(&folder, Processor::here()).unwrap();
    let long = &golden()[14];
    assert_eq!(long.pieces.len(), WINDOW);
    let longer = [&long.pieces[..], &[2000; 50]].concat();
    assert_eq!(
        vectors(&model, &[&longer]),
        vectors(&model, &[&long.pieces])
    );
}

#[test]
fn files_that_are_not_the_models_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        MiniLm::load(folder.path(), Processor::here())
            .err()
            .unwrap()
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    assert!(
        load()
            .to_string()
            .starts_with("tokenizer.json: it cannot be read")
    );
    let vocabulary = r###"{"added_tokens":[],"normalizer":{"type":"BertNormalizer","lowercase":true},
        "model":{"continuing_subword_prefix":"##","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2}}}"###;
    write(VOCABULARY_FILE, vocabulary.as_bytes());
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let name = "embeddings.word_embeddings.weight";
    for (weights, why) in [
        (vec![], "cannot be read"),
        (vec![0xff; 64], "the header is not"),
        (header("[]"), "the header is not"),
        (header("{}"), name),
        (
            header(&format!(
                r#"{{"{name}":{{"dtype":"F16","shape":[30522,384],"data_offsets":[0,46881792]}}}}"#
            )),
            name,
        ),
        (
            header(&format!(
                r#"{{"{name}":{{"dtype":"F32","shape":[30522,384],"data_offsets":[0,46881792]}}}}"#
            )),
            "cannot be read",
        ),
    ] {
        write(WEIGHTS_FILE, &weights);
        let said = load().to_string();
        assert!(
            said.starts_with(WEIGHTS_FILE) && said.contains(why),
            "{said}"
        );
    }
}
