//! The one way in: bytes to a model.

use crate::bytes::Reader;
use crate::characters::Characters;
use crate::container::Container;
use crate::encoder::Encoder;
use crate::manifest::Architecture;
use crate::strings::{StringTable, Vocabulary};
use crate::tensor::Tensors;
use crate::{ErrorKind, FormatError, Limits, Manifest, Section};

/// A checked `.neuro` file. Borrows the bytes; copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    bytes: &'a [u8],
    manifest: Manifest<'a>,
    limits: Limits,
    labels: StringTable<'a>,
    vocabulary: Vocabulary<'a>,
    characters: Characters<'a>,
    encoder: Encoder<'a>,
}

impl<'a> Model<'a> {
    /// Checks `bytes` and returns the view.
    ///
    /// Linear in the file, without allocation. Nothing about the view can fail
    /// afterwards.
    ///
    /// # Errors
    /// A [`FormatError`] naming the first thing that does not hold, its section
    /// and its offset there.
    pub fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let container = Container::open(bytes)?;
        let manifest = Manifest::read(container.section(Section::Manifest)?)?;
        let limits = Limits::read(container.section(Section::Limits)?)?;

        let mut reader = section(&container, Section::Labels)?;
        let labels = StringTable::read(&mut reader)?;
        reader.finish()?;
        if labels.len() != limits.labels || labels.is_empty() {
            return Err(reader.error_at(ErrorKind::Limit, 0));
        }

        let mut reader = section(&container, Section::Vocabulary)?;
        let vocabulary = Vocabulary::read(&mut reader)?;
        reader.finish()?;
        let tokenizer = manifest.tokenizer;
        for id in [tokenizer.unknown, tokenizer.start, tokenizer.separator] {
            if usize::from(id) >= vocabulary.len() {
                return Err(FormatError::new(ErrorKind::Index, Section::Manifest, 0));
            }
        }

        let mut reader = section(&container, Section::Characters)?;
        let characters = Characters::read(&mut reader)?;
        reader.finish()?;

        let tensors = Tensors::read(
            container.section(Section::Tensors)?,
            container.section(Section::Weights)?,
        )?;
        let Architecture::EncoderClassifier(settings) = manifest.architecture;
        let encoder = Encoder::read(tensors, settings, tokenizer.pair, &limits, vocabulary.len())?;
        Ok(Self {
            bytes,
            manifest,
            limits,
            labels,
            vocabulary,
            characters,
            encoder,
        })
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the model is.
    #[must_use]
    pub fn manifest(&self) -> &Manifest<'a> {
        &self.manifest
    }

    /// The maxima that decide the scratch memory.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Names of the classes; a class id is the position.
    #[must_use]
    pub fn labels(&self) -> StringTable<'a> {
        self.labels
    }

    /// The tokenizer's pieces.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary<'a> {
        self.vocabulary
    }

    /// What normalisation does to characters.
    #[must_use]
    pub fn characters(&self) -> Characters<'a> {
        self.characters
    }

    /// The network.
    #[must_use]
    pub fn encoder(&self) -> &Encoder<'a> {
        &self.encoder
    }

    /// The encoder's layers, first to last.
    pub fn layers(&self) -> impl Iterator<Item = crate::encoder::Layer<'a>> + use<'a> {
        self.encoder.layers(self.limits)
    }
}

fn section<'a>(container: &Container<'a>, section: Section) -> Result<Reader<'a>, FormatError> {
    Ok(Reader::new(section, container.section(section)?))
}
