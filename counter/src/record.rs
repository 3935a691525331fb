//! The record of a run, as JSON.
//!
//! ```json
//! {"target":"arm","fault":null,"regions":[
//! {"instructions":15,"load":2,…,"other":9,"taken":4,"cycles_estimate":27}
//! ]}
//! ```
//!
//! `fault` states what is wrong with the markers. `cycles_estimate` is for Cortex-M4 and
//! `null` for other instruction sets.

use core::fmt::Write;

use crate::class::{Class, Tally};
use crate::counting::Regions;

/// The record's text.
pub(crate) fn write(target: &str, regions: &Regions) -> String {
    let fault = match regions.fault() {
        // The text is ours: nothing in it needs escaping.
        Some(fault) => format!("\"{fault}\""),
        None => "null".to_owned(),
    };
    let mut text = format!("{{\"target\":\"{target}\",\"fault\":{fault},\"regions\":[");
    for (number, tally) in regions.finished().iter().enumerate() {
        text += if number == 0 { "\n" } else { ",\n" };
        region(&mut text, tally, target == "arm");
    }
    text += "\n]}\n";
    text
}

fn region(text: &mut String, tally: &Tally, has_estimate: bool) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\"instructions\":{}", tally.instructions());
    for ((_, name), count) in Class::NAMES.iter().zip(tally.classes) {
        let _ = write!(text, ",\"{name}\":{count}");
    }
    let _ = write!(text, ",\"taken\":{},\"cycles_estimate\":", tally.taken);
    if has_estimate {
        let _ = write!(text, "{}}}", tally.cycles());
    } else {
        *text += "null}";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Instruction;

    #[test]
    fn a_region_is_an_object() {
        let mut tally = Tally::default();
        tally.add(&Instruction::new(2, Class::Load));
        let mut text = String::new();
        region(&mut text, &tally, true);
        assert_eq!(
            text,
            "{\"instructions\":1,\"load\":1,\"store\":0,\"branch\":0,\"multiply\":0,\
             \"divide\":0,\"float\":0,\"vector\":0,\"other\":0,\"taken\":0,\
             \"cycles_estimate\":2}"
        );
        assert_eq!(
            write("riscv32", &Regions::default()),
            "{\"target\":\"riscv32\",\"fault\":null,\"regions\":[\n]}\n"
        );
    }
}
