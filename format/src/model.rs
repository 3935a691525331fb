//! The only entry point: bytes to a model.

use crate::architecture::{Architecture, Head};
use crate::bytes::{Fault, Reader};
use crate::characters::Characters;
use crate::container::Container;
use crate::directory::Expected;
use crate::manifest::TokenizerSettings;
use crate::network::Network;
use crate::strings::StringTable;
use crate::tensor::Tensors;
use crate::vocabulary::Vocabulary;
use crate::{ErrorKind, FormatError, Limits, Manifest, Section};

/// A checked `.neuro` file. Borrows the bytes; copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    bytes: &'a [u8],
    /// The checked record.
    manifest: &'a [u8],
    tokenizer: TokenizerSettings,
    labels: StringTable<'a>,
    vocabulary: Vocabulary<'a>,
    characters: Characters<'a>,
    network: Network<'a>,
}

impl<'a> Model<'a> {
    /// Checks the file at the start of `bytes`, and returns the view.
    ///
    /// Linear in the file, without allocation. Nothing about the view can fail afterwards. The
    /// header states how long the file is, so a whole flash partition can be given; a caller that
    /// knows the length of the file uses [`Model::open_whole`].
    ///
    /// # Errors
    /// A [`FormatError`] naming the first rule that is broken, the section and the offset there.
    // Its stack frame is released before the model runs.
    #[inline(never)]
    pub fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        Fault::catch(|fault| Self::read(bytes, fault))
    }

    /// Checks a file of known length, as read from a disk or a network: bytes after its end are
    /// damage.
    ///
    /// # Errors
    /// As [`Model::open`], and [`ErrorKind::Trailing`] with the file's own length as its offset.
    pub fn open_whole(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let model = Self::open(bytes)?;
        if model.bytes.len() < bytes.len() {
            let at = model.bytes.len();
            return Err(FormatError::new(ErrorKind::Trailing, Section::Header, at));
        }
        Ok(model)
    }

    fn read(bytes: &'a [u8], fault: &Fault) -> Option<Self> {
        let container = Container::read(bytes, fault)?;
        let find = |section| container.find(section, fault);
        let record = find(Section::Manifest)?;
        let manifest = Manifest::read(&mut Reader::new(Section::Manifest, record, fault))?;
        let limits = find(Section::Limits)?;
        let limits = Limits::read(&mut Reader::new(Section::Limits, limits, fault))?;

        let labels = find(Section::Labels)?;
        let mut reader = Reader::new(Section::Labels, labels, fault);
        let labels = StringTable::read(&mut reader)?;
        reader.finish()?;
        let Architecture::Encoder { head, .. } = manifest.architecture;
        let fits = match head {
            Head::Classes(_) => labels.len() == limits.outputs && !labels.is_empty(),
        };
        if !fits {
            return reader.found(ErrorKind::Limit, 0);
        }

        let vocabulary = read_vocabulary(&container, fault)?;
        let tokenizer = manifest.tokenizer;
        for id in [tokenizer.unknown, tokenizer.start, tokenizer.separator] {
            if usize::from(id) >= vocabulary.len() {
                return fault.found(ErrorKind::Index, Section::Manifest, 0);
            }
        }

        let characters = find(Section::Characters)?;
        let index = container.find_optional(Section::CharacterIndex);
        let mut reader = Reader::new(Section::Characters, characters, fault);
        let characters = Characters::read(&mut reader, index)?;
        reader.finish()?;

        let records = container.find(Section::Tensors, fault)?;
        let weights = container.find(Section::Weights, fault)?;
        let tensors = Tensors::read(records, weights, fault)?;
        let expected = Expected {
            architecture: manifest.architecture,
            limits,
            pieces: vocabulary.len(),
            pair: tokenizer.pair,
        };
        let network = expected.read(tensors, fault)?;
        Some(Self {
            bytes: container.bytes(),
            manifest: record,
            tokenizer,
            labels,
            vocabulary,
            characters,
            network,
        })
    }

    /// The file, without the bytes after it.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the model is, decoded on each call: stored, it would be most of this view, and a device
    /// needs little of it.
    #[must_use]
    pub fn manifest(&self) -> Manifest<'a> {
        Manifest::decode(&mut &*self.manifest).unwrap_or(Manifest::EMPTY)
    }

    /// How text is turned into token ids, as the manifest states it.
    #[must_use]
    pub fn tokenizer(&self) -> TokenizerSettings {
        self.tokenizer
    }

    /// The maxima that determine the scratch memory.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match &self.network {
            Network::Encoder(encoder) => *encoder.limits(),
        }
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

    /// The directory of tensors of any network, for tools that inspect the file rather than execute
    /// it.
    #[must_use]
    pub fn tensors(&self) -> Tensors<'a> {
        match &self.network {
            Network::Encoder(encoder) => encoder.tensors(),
        }
    }

    /// The network of the file, of whichever kind.
    #[must_use]
    pub fn network(&self) -> &Network<'a> {
        &self.network
    }
}

/// The pieces of a file: blocks of them, or the table of files of before.
fn read_vocabulary<'a>(container: &Container<'a>, fault: &Fault) -> Option<Vocabulary<'a>> {
    if let Some(blocks) = container.find_optional(Section::PieceBlocks) {
        if container.find_optional(Section::Vocabulary).is_some() {
            return fault.found(ErrorKind::Repeated, Section::PieceBlocks, 0);
        }
        return Vocabulary::read_blocks(&mut Reader::new(Section::PieceBlocks, blocks, fault));
    }
    let table = container.find(Section::Vocabulary, fault)?;
    let mut reader = Reader::new(Section::Vocabulary, table, fault);
    let vocabulary = Vocabulary::read_table(&mut reader)?;
    reader.finish()?;
    Some(vocabulary)
}
