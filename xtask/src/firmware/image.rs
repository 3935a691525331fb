//! What a linked program holds: sizes, symbols, and the strings of its log.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use defmt_decoder::{DecodeError, Table};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};

/// Part of the names of functions that format; messages of panics are among what they are for.
const FORMATTING: &str = "4core3fmt";

/// Holds the code.
const CODE_SECTION: &str = ".text";

/// Holds the strings of the log; only programs linked with defmt's script have it.
const LOG_SECTION: &str = ".defmt";

/// A linked program.
pub(crate) struct Image {
    bytes: Vec<u8>,
    /// Bytes of its code.
    pub(crate) text: u64,
    /// Bytes it fills in flash: code, constants, initial values.
    pub(crate) flash: u64,
    /// Bytes of its statics in RAM.
    pub(crate) memory: u64,
}

impl Image {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let (mut text, mut flash, mut memory) = (0, 0, 0);
        for section in parse(&bytes)?.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            // The linker scripts call the memory that is left a stack and a heap.
            let rest = matches!(section.name(), Ok(".stack" | ".heap"));
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 || rest {
                continue;
            }
            if section.name() == Ok(CODE_SECTION) {
                text = section.size();
            }
            if section.kind() != SectionKind::UninitializedData {
                flash += section.size();
            }
            if sh_flags & u64::from(elf::SHF_WRITE) != 0 {
                memory += section.size();
            }
        }
        Ok(Self {
            bytes,
            text,
            flash,
            memory,
        })
    }

    /// # Errors
    /// Names the first function that formats.
    pub(crate) fn check_no_formatting(&self) -> anyhow::Result<()> {
        let elf = parse(&self.bytes)?;
        let mut names = elf.symbols().filter_map(|symbol| symbol.name().ok());
        match names.find(|name| name.contains(FORMATTING)) {
            Some(name) => bail!("links formatting: {name}"),
            None => Ok(()),
        }
    }

    /// Address of a symbol.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub(crate) fn address(&self, name: &str) -> anyhow::Result<u64> {
        let elf = parse(&self.bytes)?;
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.with_context(|| format!("the program has no symbol {name}"))?;
        Ok(symbol.address())
    }

    /// What the program printed: its log decoded if it has one, else as it is.
    pub(crate) fn decode(&self, output: &[u8]) -> anyhow::Result<String> {
        let logs = parse(&self.bytes)?.section_by_name(LOG_SECTION).is_some();
        let table = if logs {
            Table::parse(&self.bytes)?
        } else {
            None
        };
        let Some(table) = table else {
            return Ok(String::from_utf8_lossy(output).into_owned());
        };
        let mut text = String::new();
        let mut decoder = table.new_stream_decoder();
        decoder.received(output);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    if let Some(level) = frame.level() {
                        text += level.as_str();
                        text += ": ";
                    }
                    text += &frame.display_message().to_string();
                    text += "\n";
                }
                Err(DecodeError::UnexpectedEof) => return Ok(text),
                Err(DecodeError::Malformed) => bail!("a frame of the log does not decode\n{text}"),
            }
        }
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<ElfFile32<'_>> {
    ElfFile32::parse(bytes).context("not an ELF file of 32 bits")
}
