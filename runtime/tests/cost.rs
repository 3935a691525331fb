//! What a file states about its own cost. That it is what is counted, and at most a tenth above, is
//! checked on the board that it is for (`cargo xtask bench`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failing test may panic"
)]

mod models;

use models::{MixingShape, Random, Shape};
use neuroprune_format::architecture::Positions;
use neuroprune_format::tensor::{Pattern, Role};
use neuroprune_format::writer::{CharacterMap, CharacterOutcome, LayoutChoice};
use neuroprune_runtime::{Classifier, Model, cost, required_scratch, text_cost};

fn cost_of(file: &[u8], tokens: usize) -> u64 {
    cost(&Model::open(file).unwrap(), tokens)
}

#[test]
fn more_tokens_cost_more() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let file = Shape::random(&mut random).file(&mut random);
        let limit = Model::open(&file).unwrap().limits().tokens;
        let costs: Vec<_> = (3..=limit).map(|tokens| cost_of(&file, tokens)).collect();
        assert!(costs.is_sorted(), "{costs:?}");
        assert_eq!(cost_of(&file, usize::MAX), cost_of(&file, limit));
        assert_eq!(cost_of(&file, 0), cost_of(&file, 3.min(limit)));
    }
}

#[test]
fn every_weight_layer_and_class_costs() {
    // All weights, so that other random numbers are not other zeros.
    let shape = Shape::small_dense();
    let file = |shape: &Shape| shape.file(&mut Random::new(1));
    let before = cost_of(&file(&shape), 8);
    let more = |change: &dyn Fn(&mut Shape)| {
        let mut shape = Shape::small_dense();
        change(&mut shape);
        cost_of(&file(&shape), 8)
    };
    assert!(more(&|shape| shape.labels += 1) > before);
    assert!(more(&|shape| shape.hidden += 1) > before);
    assert!(more(&|shape| shape.layers.truncate(1)) < before);
    assert!(more(&|shape| shape.layers[0].intermediate = Some(31)) > before);
    assert!(more(&|shape| shape.layers[0].intermediate = None) < before);
    assert!(more(&|shape| shape.positions = Positions::None) < before);
    let three = MixingShape::Heads(vec![(4, 6), (2, 3), (1, 1)]);
    assert!(more(&|shape| shape.layers[0].mixing = three.clone()) > before);
    let recurrence =
        |layer: usize| more(&|shape| shape.layers[layer].mixing = MixingShape::Recurrence);
    assert!(recurrence(0) != before && recurrence(1) != before);
    let [narrow, wide] = [2, 30].map(|width| more(&|shape| shape.embedding = Some(width)));
    assert!(before < narrow && narrow < wide);
    for pattern in [
        Pattern::DeltaU8,
        Pattern::Bitmap,
        Pattern::Blocks2,
        Pattern::Blocks4,
    ] {
        let source = |zeros: usize| {
            let mut source = shape.source(&mut Random::new(1));
            let matrix = models::matrix_mut(&mut source, Role::MlpInput);
            matrix.layout = LayoutChoice::Forced(pattern);
            matrix.weights.fill(1);
            matrix.weights[..zeros].fill(0);
            source.to_bytes().unwrap()
        };
        let zeros = shape.hidden - 4;
        assert!(
            cost_of(&source(zeros), 8) < cost_of(&source(0), 8),
            "{pattern:?}"
        );
    }
}

/// A small file that takes long to run says so, and heads without values are not run.
#[test]
fn a_thousand_heads_are_stated() {
    let with_heads = |heads: Vec<(usize, usize)>| {
        let mut shape = Shape::small();
        shape.layers.truncate(1);
        shape.layers[0].mixing = MixingShape::Heads(heads);
        shape.tokens = 64;
        shape.densities = vec![0.01];
        shape.layout = LayoutChoice::Forced(Pattern::DeltaU8);
        shape.file(&mut Random::new(1))
    };
    let usual = cost_of(&with_heads(vec![(8, 8); 2]), 64);
    let many = cost_of(&with_heads(vec![(8, 1); 1_000]), 64);
    assert!(many > 50 * usual, "{many} and {usual}");
    let idle = with_heads(vec![(8, 0); 1_000]);
    assert!(cost_of(&idle, 64) < 2 * usual);
    let model = Model::open(&idle).unwrap();
    let mut scratch = models::scratch(required_scratch(model.limits(), 64), 0);
    let scratch = bytemuck::cast_slice_mut(&mut scratch);
    assert!(
        Classifier::new(model, scratch)
            .unwrap()
            .classify("abc d")
            .is_ok()
    );
}

#[test]
fn a_text_costs_by_its_bytes_and_by_the_longest_target() {
    let mut source = Shape::small().source(&mut Random::new(1));
    let of = |file: &[u8], bytes| text_cost(&Model::open(file).unwrap(), bytes);
    let file = source.to_bytes().unwrap();
    assert!(of(&file, 0) < of(&file, 1));
    assert!(of(&file, 100) < 100 * 50_000);
    let long = "a".repeat(10_000);
    let target = |character| match character {
        'a' => CharacterOutcome::Word(long.clone()),
        _ => CharacterOutcome::Unknown,
    };
    source.characters = CharacterMap::new(target).unwrap();
    let slow = source.to_bytes().unwrap();
    assert!(of(&slow, 100) > 20 * of(&file, 100));
}
