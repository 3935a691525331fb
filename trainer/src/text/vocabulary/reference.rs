//! The reference: a vocabulary as the `tokenizers` crate runs it.

use std::collections::BTreeMap;

use neuroprune_format::tensor::WORD_CHARACTERS;
use serde::Serialize;
use tokenizers::TruncationParams;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::processors::template::TemplateProcessing;

use super::{PREFIX, SEPARATOR, START, UNKNOWN, Vocabulary, VocabularyError, unicode};

impl Vocabulary {
    /// The tokenizer as the `tokenizers` crate runs it, with these ids.
    ///
    /// Sequences are cut to `max_tokens`; a pair needs at least 3, with fewer the
    /// crate panics. Names of special tokens in a text are text.
    ///
    /// # Errors
    /// [`VocabularyError::Tokens`] with fewer than 2 tokens, or what the
    /// `tokenizers` crate says.
    pub fn reference(&self, max_tokens: usize) -> Result<tokenizers::Tokenizer, VocabularyError> {
        if max_tokens < 2 {
            return Err(VocabularyError::Tokens(max_tokens));
        }
        let template = TemplateProcessing::builder()
            .try_single(format!("{START} $A {SEPARATOR}"))
            .and_then(|template| {
                template.try_pair(format!("{START} $A {SEPARATOR} $B:1 {SEPARATOR}:1"))
            })
            .map_err(tokenizers::Error::from)?
            .special_tokens(vec![
                (START, u32::from(self.special.start)),
                (SEPARATOR, u32::from(self.special.separator)),
            ])
            .build()
            .map_err(|error| tokenizers::Error::from(error.to_string()))?;
        let mut tokenizer = tokenizers::Tokenizer::new(self.word_piece()?);
        tokenizer.with_normalizer(Some(unicode::normalizer(self.pieces.normalization)))?;
        let pre_tokenizer = unicode::pre_tokenizer(self.pieces.normalization.splitting)?;
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer.clone()));
        tokenizer.with_post_processor(Some(template));
        tokenizer.with_truncation(Some(TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        }))?;
        Ok(tokenizer)
    }

    /// The `tokenizers` crate's model of these pieces.
    pub(crate) fn word_piece(&self) -> Result<WordPiece, VocabularyError> {
        word_piece(self.tokens().zip(0..))
    }
}

/// The `tokenizers` crate's model of these tokens and numbers.
pub(crate) fn word_piece(
    tokens: impl Iterator<Item = (String, u32)>,
) -> Result<WordPiece, VocabularyError> {
    #[derive(Serialize)]
    struct Model {
        r#type: &'static str,
        unk_token: &'static str,
        continuing_subword_prefix: &'static str,
        max_input_chars_per_word: u16,
        vocab: BTreeMap<String, u32>,
    }
    let model = Model {
        r#type: "WordPiece",
        unk_token: UNKNOWN,
        continuing_subword_prefix: PREFIX,
        max_input_chars_per_word: WORD_CHARACTERS,
        vocab: tokens.collect(),
    };
    let model = serde_json::to_vec(&model).map_err(tokenizers::Error::from)?;
    Ok(WordPiece::from_bytes(model)?)
}
