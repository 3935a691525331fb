//! The record of a board: a page for people, an object for scripts.

mod model;

use core::fmt::Write;

use serde_json::{Value, json};

use super::counter::Counts;
use super::numbers::thousands;
use super::{FEW, HOST, MatrixCounts, Results, TOKENS, costs, peers, texts};
pub(crate) use model::models;

/// The core that other libraries' figures are for.
const PEER_CORES: [&str; 2] = ["M4F", "M7"];

/// The page.
pub(crate) fn markdown(results: &Results) -> String {
    let board = results.board;
    let core = match board.core {
        "RV32" => "RV32IMAC".to_owned(),
        core if board.name == HOST.name => core.to_owned(),
        core => format!("Cortex-{core}"),
    };
    let mut page = format!(
        "# Instructions on {core} (`{name}`)\n\n\
         `cargo xtask bench --board {name}`. Executed instructions, counted exactly in {counter}; \
         not cycles ([what they mean](../README.md)).\n",
        name = board.name,
        counter = if board.name == HOST.name {
            "callgrind"
        } else {
            "QEMU"
        },
    );
    whole_models(&mut page, results);
    matrices(&mut page, results);
    if !results.texts.is_empty() {
        page += &texts::table(&results.texts);
        page += &costs::paragraph(&results.costs);
    }
    if !results.peer.is_empty() {
        peers_table(&mut page, results);
    }
    page
}

fn whole_models(page: &mut String, results: &Results) {
    for model in models(&results.models) {
        let total = model.instructions();
        let _ = write!(
            page,
            "\n## Model `{}`, {} tokens\n\n\
             | stage | instructions | % | loads | stores | branches | multiplications | \
             cycles (estimate) |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
            model.name,
            model.figure("tokens"),
        );
        for stage in &model.stages {
            stage_row(page, stage, total);
        }
        let _ = writeln!(
            page,
            "| **text to label** | **{}** | 100.0 | | | | | {} |",
            thousands(total),
            or_dash(model.cycles()),
        );
        for text in &model.shorter {
            stage_row(page, text, total);
        }
        if let Some((_, open)) = &model.open {
            let _ = writeln!(
                page,
                "| once: `Model::open` | {} | | {} | {} | {} | {} | {} |",
                thousands(open.instructions),
                thousands(open.load),
                thousands(open.store),
                thousands(open.branch),
                or_dash(open.multiply),
                or_dash(open.cycles_estimate),
            );
        }
        if results.board.name == HOST.name {
            let _ = writeln!(
                page,
                "\nBytes: model {}, scratch {}.",
                thousands(model.figure("model")),
                thousands(model.figure("scratch")),
            );
            continue;
        }
        let _ = writeln!(
            page,
            "\nBytes: flash {} (program {}, model {}); RAM {} (scratch {}, other statics {}, \
             stack {}).",
            thousands(results.models.flash + model.figure("model")),
            thousands(results.models.flash),
            thousands(model.figure("model")),
            thousands(model.figure("scratch") + model.statics() + model.figure("stack")),
            thousands(model.figure("scratch")),
            thousands(model.statics()),
            thousands(model.figure("stack")),
        );
    }
}

/// A stage, or a text, and its share of the `total` of the long text.
fn stage_row(page: &mut String, (name, counts): &(String, Counts), total: u64) {
    let _ = writeln!(
        page,
        "| {name} | {} | {:.1} | {} | {} | {} | {} | {} |",
        thousands(counts.instructions),
        100.0 * ratio(counts.instructions, total),
        thousands(counts.load),
        thousands(counts.store),
        thousands(counts.branch),
        or_dash(counts.multiply),
        or_dash(counts.cycles_estimate),
    );
}

fn matrices(page: &mut String, results: &Results) {
    let has_peers = PEER_CORES.contains(&results.board.core);
    let _ = write!(
        page,
        "\n## Matrices, {TOKENS} tokens\n\n\
         Scaling back and bias included, packing of activations not. Random masks. *× dense*: \
         our own dense layout of the same shape takes this many times the instructions. *{FEW} \
         tokens*: instructions of one tile of so many.{}\n",
        if has_peers {
            format!(
                " *× CMSIS*: so many times the batched one ({}).",
                peers::SOURCE
            )
        } else {
            String::new()
        }
    );
    for (inputs, outputs) in shapes(results) {
        let _ = write!(
            page,
            "\n### {inputs} × {outputs}\n\n\
             | layout | density % | instructions | a nonzero·token | a MAC of dense | {FEW} tokens | \
             bytes | bytes a nonzero | × dense |{}\n|---|---:|---:|---:|---:|---:|---:|---:|---:|{}\n",
            if has_peers { " × CMSIS |" } else { "" },
            if has_peers { "---:|" } else { "" },
        );
        let dense = dense(results, inputs, outputs);
        for counted in of_shape(results, inputs, outputs) {
            let MatrixCounts { matrix, few, .. } = counted;
            let instructions = counted.counts.instructions;
            let _ = write!(
                page,
                "| {} | {} | {} | {:.2} | {:.3} | {} | {} | {:.2} | {:.2} |",
                matrix.layout,
                matrix.density,
                thousands(instructions),
                ratio(instructions, matrix.nonzeros * TOKENS),
                ratio(instructions, inputs * outputs * TOKENS),
                thousands(few.instructions),
                thousands(matrix.bytes),
                ratio(matrix.bytes, matrix.nonzeros),
                ratio(dense, instructions),
            );
            if has_peers {
                let cmsis = peers::cmsis_nn(inputs, outputs).map_or("–".to_owned(), |recorded| {
                    let batched = recorded.batched * inputs * outputs * TOKENS / 100;
                    format!("{:.2}", ratio(batched, instructions))
                });
                let _ = write!(page, " {cmsis} |");
            }
            *page += "\n";
        }
        for (layout, density) in break_evens(results, inputs, outputs) {
            let _ = writeln!(
                page,
                "\n`{layout}` needs fewer instructions than dense {density}."
            );
        }
    }
}

fn peers_table(page: &mut String, results: &Results) {
    let _ = write!(
        page,
        "\n## Other libraries, dense, instructions a MAC\n\n\
         {}. embedded-nn 0.2.3 `fully_connected_s8`: counted here, compiled as our own \
         (`opt-level = 3`, LTO), shapes known while compiling. Ours scales back to `f32` and does \
         not requantise.\n\n\
         | shape | CMSIS-NN one token | CMSIS-NN 16 tokens | embedded-nn | our dense |\n\
         |---|---:|---:|---:|---:|\n",
        peers::SOURCE
    );
    for (shape, counts) in &results.peer {
        let Some((inputs, outputs)) = shape.split_once('x') else {
            continue;
        };
        let (Ok(inputs), Ok(outputs)) = (inputs.parse::<u64>(), outputs.parse::<u64>()) else {
            continue;
        };
        let products = inputs * outputs * TOKENS;
        let recorded = peers::cmsis_nn(inputs, outputs);
        let hundredths = |count: Option<u64>| match count {
            Some(count) => format!("{}.{:02}", count / 100, count % 100),
            None => "–".to_owned(),
        };
        let _ = writeln!(
            page,
            "| {inputs} × {outputs} | {} | {} | {:.2} | {:.2} |",
            hundredths(recorded.map(|recorded| recorded.fully_connected)),
            hundredths(recorded.map(|recorded| recorded.batched)),
            ratio(counts.instructions, products),
            ratio(dense(results, inputs, outputs), products),
        );
    }
}

/// The object.
pub(crate) fn json(results: &Results) -> Value {
    let matrices: Vec<Value> = results
        .matrices
        .iter()
        .map(|counted| {
            let MatrixCounts {
                matrix,
                counts,
                few,
            } = counted;
            json!({
                "case": matrix.region,
                "inputs": matrix.inputs,
                "outputs": matrix.outputs,
                "layout": matrix.layout,
                "density": matrix.density,
                "nonzeros": matrix.nonzeros,
                "bytes": matrix.bytes,
                "instructions": counts.instructions,
                "instructions_few": few.instructions,
                "cycles_estimate": counts.cycles_estimate,
            })
        })
        .collect();
    let models: Vec<Value> = models(&results.models)
        .iter()
        .map(|model| {
            let counted = |stages: &[(String, Counts)]| -> Vec<Value> {
                let stages = stages.iter().map(|(stage, counts)| {
                    json!({
                        "stage": stage,
                        "instructions": counts.instructions,
                        "cycles_estimate": counts.cycles_estimate,
                    })
                });
                stages.collect()
            };
            json!({
                "name": model.name,
                "tokens": model.figure("tokens"),
                "instructions": model.instructions(),
                "cycles_estimate": model.cycles(),
                "open": model.open.as_ref().map(|(_, counts)| counts.instructions),
                "stages": counted(&model.stages),
                "shorter": counted(&model.shorter),
                "program_bytes": results.models.flash,
                "model_bytes": model.figure("model"),
                "scratch_bytes": model.figure("scratch"),
                "statics_bytes": model.statics(),
                "stack_bytes": model.figure("stack"),
            })
        })
        .collect();
    let peer: Vec<Value> = results
        .peer
        .iter()
        .map(|(shape, counts)| json!({"shape": shape, "instructions": counts.instructions}))
        .collect();
    json!({
        "board": results.board.name,
        "core": results.board.core,
        "target": results.board.target,
        "tokens": TOKENS,
        "few_tokens": FEW,
        "models": models,
        "matrices": matrices,
        "texts": results.texts.iter().map(texts::json).collect::<Vec<_>>(),
        "costs": costs::json(&results.costs),
        "embedded_nn": peer,
    })
}

/// The object with a line for each model and matrix, so that differences can be read.
pub(crate) fn lines(record: &Value) -> String {
    let fields = record.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| {
        let items = value.as_array().filter(|items| !items.is_empty());
        let Some(items) = items else {
            return format!("  \"{name}\": {value}");
        };
        let items: Vec<String> = items.iter().map(|item| format!("    {item}")).collect();
        format!("  \"{name}\": [\n{}\n  ]", items.join(",\n"))
    });
    format!("{{\n{}\n}}\n", fields.collect::<Vec<_>>().join(",\n"))
}

/// The shapes that were counted, each once.
fn shapes(results: &Results) -> Vec<(u64, u64)> {
    let mut shapes = Vec::new();
    for MatrixCounts { matrix, .. } in &results.matrices {
        let shape = (matrix.inputs, matrix.outputs);
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}

fn of_shape(results: &Results, inputs: u64, outputs: u64) -> impl Iterator<Item = &MatrixCounts> {
    let all = results.matrices.iter();
    all.filter(move |counted| (counted.matrix.inputs, counted.matrix.outputs) == (inputs, outputs))
}

/// Instructions of the dense layout of a shape.
fn dense(results: &Results, inputs: u64, outputs: u64) -> u64 {
    of_shape(results, inputs, outputs)
        .find(|counted| counted.matrix.layout == "dense")
        .map_or(0, |counted| counted.counts.instructions)
}

/// From which density down each sparse layout beats the dense one, in words.
fn break_evens(results: &Results, inputs: u64, outputs: u64) -> Vec<(&'static str, String)> {
    let dense = dense(results, inputs, outputs);
    let mut layouts: Vec<&'static str> = Vec::new();
    for MatrixCounts { matrix, .. } in of_shape(results, inputs, outputs) {
        if matrix.layout != "dense" && !layouts.contains(&matrix.layout) {
            layouts.push(matrix.layout);
        }
    }
    let points = |layout| {
        of_shape(results, inputs, outputs)
            .filter(move |counted| counted.matrix.layout == layout)
            .map(|counted| (counted.matrix.density, counted.counts.instructions))
            .collect::<Vec<_>>()
    };
    let words = |layout| (layout, break_even(points(layout), dense));
    layouts.into_iter().map(words).collect()
}

/// Density (per cent) and instructions of a layout, against `dense` instructions.
fn break_even(mut points: Vec<(u64, u64)>, dense: u64) -> String {
    points.sort_unstable();
    let above = points.iter().position(|&(_, count)| count >= dense);
    let above = match above {
        None => {
            let densest = points.last().map_or(0, |&(density, _)| density);
            return format!("at every density counted, up to {densest} %");
        }
        Some(0) => return "at none of the densities counted".to_owned(),
        Some(above) => above,
    };
    let ((sparse, fewer), (denser, more)) = (points[above - 1], points[above]);
    let part = ratio(dense - fewer, more - fewer);
    #[expect(clippy::cast_precision_loss, reason = "per cent")]
    let density = sparse as f64 + part * (denser - sparse) as f64;
    format!("below about {density:.0} % density (between two that were counted)")
}

fn or_dash(count: Option<u64>) -> String {
    count.map_or("–".to_owned(), thousands)
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn ratio(numerator: u64, denominator: u64) -> f64 {
    numerator as f64 / denominator.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_threes() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn lines_are_the_same_object() {
        let record = json!({"a": 1, "b": [{"c": 2}, {"c": null}], "d": []});
        let text = lines(&record);
        assert_eq!(text.lines().count(), 8);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), record);
    }

    #[test]
    fn break_even_lies_between_two_points() {
        let points = vec![(50, 120), (10, 20), (40, 80)];
        assert!(break_even(points.clone(), 100).starts_with("below about 45 %"));
        assert!(break_even(points.clone(), 130).contains("up to 50 %"));
        assert!(break_even(points, 10).contains("none"));
    }
}
