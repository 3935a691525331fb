//! Instructions of WebAssembly that a text takes, whatever its characters: the package's module in an
//! interpreter that counts them.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, bail, ensure};
use wasmi::{CompilationMode, Config, Engine, Instance, Memory, Module, Store};

use crate::bench::texts::{LETTERS_OF_SYLLABLE, MOST, SYLLABLES, tokenizers};
use crate::bench::vocabulary::WORDS;
use crate::bench::workload::shipped;

/// So that a text has every character of a block.
const SENTENCES: usize = 4;
/// Characters of a block.
const BLOCK: u32 = 256;
/// Planes up to this one have characters of many kinds; of those after it, one block of sixteen is
/// enough.
const LAST_MIXED_PLANE: u32 = 3;
/// Units of fuel, about one an instruction, that no call needs.
const FUEL: u64 = u64::MAX / 2;

/// Fails where characters cost more than [`MOST`] times the letters of an English text.
pub(super) fn test(module: &Path) -> anyhow::Result<()> {
    let module = fs::read(module).with_context(|| module.display().to_string())?;
    // A character can be three tokens, and two surround them.
    let tokens = 3 * text(char::from).chars().count() + 2;
    let models = tokenizers(&shipped()?, tokens)?;
    let lines = thread::scope(|scope| {
        let counting = models.map(|(name, file)| {
            let module = &module;
            scope.spawn(move || compare(name, Counted::open(module, &file)?))
        });
        counting.map(|thread| thread.join())
    });
    for line in lines {
        match line {
            Ok(line) => println!("     {}", line?),
            Err(_) => bail!("the interpreter failed"),
        }
    }
    Ok(())
}

/// Counts every block of characters, and says which costs most.
fn compare(name: &str, mut module: Counted) -> anyhow::Result<String> {
    // What even no text takes counts for nothing.
    let none = module.classify("")?;
    let sentences = module.classify(&text(char::from))? - none;
    let (mut worst, mut syllables) = ((0, 0), 0);
    let mut first = 0;
    while first <= u32::from(char::MAX) {
        // Surrogates are no characters.
        let mut block = (first..first + BLOCK).filter_map(char::from_u32).cycle();
        let count = module.classify(&text(|letter| block.next().unwrap_or(letter.into())))? - none;
        if SYLLABLES.contains(&first) {
            syllables = syllables.max(count);
        } else {
            worst = worst.max((count, first));
        }
        let is_mixed = first >> 16 <= LAST_MIXED_PLANE;
        first += if is_mixed { BLOCK } else { 16 * BLOCK };
    }
    let (worst, block) = worst;
    let percent = |count: u64| 100 * count / sentences;
    let line = format!(
        "{name}: {sentences} instructions with letters of ASCII and {none} without a text, {} % with those from U+{block:04X}, \
         {} % with syllables of Hangul",
        percent(worst),
        percent(syllables)
    );
    let most = MOST * sentences;
    ensure!(
        worst <= most && syllables <= LETTERS_OF_SYLLABLE * most,
        "a character costs more than {MOST} times that of a sentence: {line}"
    );
    Ok(line)
}

/// The sentences with what `letter` makes of each letter.
fn text(mut letter: impl FnMut(u8) -> char) -> String {
    let words = core::iter::repeat_n(WORDS, SENTENCES)
        .collect::<Vec<_>>()
        .join(" ");
    let character = |byte| if byte == b' ' { ' ' } else { letter(byte) };
    words.bytes().map(character).collect()
}

/// The module with an open model.
struct Counted {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Counted {
    fn open(module: &[u8], model: &[u8]) -> anyhow::Result<Self> {
        let mut settings = Config::default();
        // Whole before it runs: what compiling takes is counted too.
        settings
            .consume_fuel(true)
            .compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&settings);
        let module = Module::new(&engine, module)?;
        let mut store = Store::new(&engine, ());
        store.set_fuel(FUEL)?;
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&store, "memory");
        let mut counted = Self {
            memory: memory.context("a module without memory")?,
            store,
            instance,
        };
        let (status, _) = counted.with("model_buffer", "open", model)?;
        ensure!(status == 0, "a model does not open: {status}");
        Ok(counted)
    }

    /// Instructions that the answer for `text` takes.
    fn classify(&mut self, text: &str) -> anyhow::Result<u64> {
        let (status, count) = self.with("text_buffer", "classify", text.as_bytes())?;
        ensure!(status == 0, "no answer for a text: {status}");
        Ok(count)
    }

    /// Puts `bytes` where `buffer` says, and calls `function` with their number: its status, and the
    /// instructions that it took.
    fn with(&mut self, buffer: &str, function: &str, bytes: &[u8]) -> anyhow::Result<(u32, u64)> {
        let length = u32::try_from(bytes.len())?;
        let address = self.call(buffer, length)?;
        ensure!(address != 0, "no memory for {length} bytes");
        self.memory
            .write(&mut self.store, address as usize, bytes)?;
        self.store.set_fuel(FUEL)?;
        let status = self.call(function, length)?;
        Ok((status, FUEL - self.store.get_fuel()?))
    }

    fn call(&mut self, name: &str, argument: u32) -> anyhow::Result<u32> {
        let function = self
            .instance
            .get_typed_func::<u32, u32>(&self.store, name)?;
        Ok(function.call(&mut self.store, argument)?)
    }
}
