//! The runtime's tokenizer gives the tokens of the `tokenizers` crate: the same
//! ids, the same boundary between two texts, the same cuts.

mod corpus;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::pretrained::Pretrained;
use crate::recipe::{Recipe, Splitting, VocabularySize};
use crate::text::vocabulary::{Normalization, Vocabulary};
use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling, StackSettings};
use neuroprune_format::manifest::Scores;
use neuroprune_format::tensor::{Role, Scale, TableValues};
use neuroprune_format::writer::{
    LayoutChoice, MatrixSource, ModelSource, NormSource, TableSource, TensorSource,
};
use neuroprune_runtime::Model;
use neuroprune_runtime::tokenizer::Tokenizer;

use corpus::Corpus;

/// Limits that every generated text is cut at.
const LIMITS: [usize; 5] = [2, 3, 5, 16, 64];
const HIDDEN: usize = 8;

/// One vocabulary, in a file for the runtime and in the reference.
struct Subject {
    vocabulary: Vocabulary,
    file: Vec<u8>,
    /// One for each limit.
    references: Vec<(usize, tokenizers::Tokenizer)>,
}

/// 1,500 pieces of generated English.
static ENGLISH: LazyLock<Subject> = LazyLock::new(|| {
    let mut corpus = Corpus::new(1);
    let texts: Vec<String> = (0..6000).map(|_| corpus.english()).collect();
    Subject::train(texts.iter().map(String::as_str), 1500)
});

/// 2,500 pieces of words in many scripts.
static MIXED: LazyLock<Subject> = LazyLock::new(|| {
    let mut corpus = Corpus::new(2);
    let texts: Vec<String> = (0..8000).map(|_| corpus.many_scripts()).collect();
    Subject::train(texts.iter().map(String::as_str), 2500)
});

impl Subject {
    fn train<'t>(texts: impl Iterator<Item = &'t str>, size: usize) -> Self {
        Self::new(Vocabulary::train(texts, size, Normalization::default()).unwrap())
    }

    fn new(vocabulary: Vocabulary) -> Self {
        let file = smallest_model(&vocabulary);
        let references = LIMITS.map(|limit| (limit, vocabulary.reference(limit).unwrap()));
        Self {
            vocabulary,
            file,
            references: references.into(),
        }
    }

    fn tokenizer(&self) -> Tokenizer<'_> {
        Tokenizer::new(&Model::open(&self.file).unwrap())
    }

    /// Compares one text, or pair, at one limit.
    fn compare(
        &self,
        tokenizer: &Tokenizer<'_>,
        (limit, reference): &(usize, tokenizers::Tokenizer),
        text: &str,
        pair: Option<&str>,
    ) {
        let mut places = [u16::MAX; 64];
        let places = &mut places[..*limit];
        let encoding = tokenizer.encode(text, pair, places);
        let ids: Vec<u32> = places[..encoding.tokens]
            .iter()
            .map(|&id| id.into())
            .collect();
        let expected = match pair {
            Some(pair) => reference.encode_fast((text, pair), true),
            None => reference.encode_fast(text, true),
        }
        .unwrap();
        let unknown = u32::from(self.vocabulary.settings(false).unknown);
        let about = || format!("{} of {text:?} and {pair:?}", limit);
        assert_eq!(ids, expected.get_ids(), "ids, {}", about());
        let first = expected
            .get_type_ids()
            .iter()
            .filter(|&&segment| segment == 0);
        assert_eq!(encoding.first, first.count(), "segments, {}", about());
        let truncated = !expected.get_overflowing().is_empty();
        assert_eq!(encoding.truncated, truncated, "truncation, {}", about());
        let unknown = expected.get_ids().iter().filter(|&&id| id == unknown);
        assert_eq!(encoding.unknown, unknown.count(), "unknown, {}", about());
    }

    /// Compares one text, or pair, at every limit it has room for.
    fn compare_all(&self, tokenizer: &Tokenizer<'_>, text: &str, pair: Option<&str>) {
        for reference in &self.references {
            // The reference panics when the special tokens do not fit.
            if reference.0 >= 3 || pair.is_none() {
                self.compare(tokenizer, reference, text, pair);
            }
        }
    }
}

/// An encoder without layers that has this vocabulary.
fn smallest_model(vocabulary: &Vocabulary) -> Vec<u8> {
    let embedding = |role, rows| {
        TensorSource::Table(TableSource {
            role,
            rows,
            cols: HIDDEN,
            values: TableValues::I8,
            weights: vec![1; rows * HIDDEN],
            scales: vec![Scale::ONE; rows],
        })
    };
    let labels = vec![String::from("no"), String::from("yes")];
    let tokens = 64;
    ModelSource {
        name: "parity".into(),
        producer: "test".into(),
        seed: 0,
        recipe: [0; 32],
        data: [0; 32],
        scores: Scores::default(),
        architecture: Architecture::Encoder {
            stack: StackSettings {
                layers: 0,
                activation: Activation::Relu,
                norm_epsilon: 1e-5,
                ..StackSettings::default()
            },
            head: Head::Classes(Pooling::Mean),
        },
        tokenizer: vocabulary.settings(true),
        tokens,
        hidden: HIDDEN,
        initial: vocabulary.initial().to_vec(),
        continuation: vocabulary.continuation().to_vec(),
        characters: vocabulary.characters().unwrap(),
        tensors: vec![
            embedding(Role::TokenEmbedding, vocabulary.len()),
            embedding(Role::PositionEmbedding, tokens),
            embedding(Role::SegmentEmbedding, 2),
            TensorSource::Norm(NormSource {
                role: Role::EmbeddingNorm,
                layer: 0,
                gain: vec![half::f16::ONE; HIDDEN],
                shift: vec![half::f16::ZERO; HIDDEN],
            }),
            TensorSource::Matrix(MatrixSource {
                role: Role::Classifier,
                layer: 0,
                head: 0,
                rows: labels.len(),
                cols: HIDDEN,
                query_rows: 0,
                weights: vec![1; labels.len() * HIDDEN],
                scales: vec![Scale::ONE; labels.len()],
                bias: None,
                layout: LayoutChoice::Smallest,
            }),
        ],
        labels,
    }
    .to_bytes()
    .unwrap()
}

/// Runs `work` on every item, on all processors.
fn on_all_processors<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for chunk in items.chunks(items.len().div_ceil(workers).max(1)) {
            scope.spawn(|| chunk.iter().for_each(&work));
        }
    });
}

/// Parity of tokenizers that know no word would prove little.
#[test]
fn vocabularies_spell_their_scripts() {
    let known = [
        (&ENGLISH, "Re-act, turn the CÁMERA off!"),
        (&MIXED, "Ωmεγα жук שלום 한 中ア \u{1f600}"),
    ];
    for (subject, text) in known {
        let mut ids = [0; 64];
        let encoding = subject.tokenizer().encode(text, None, &mut ids);
        assert!(encoding.unknown * 3 < encoding.tokens, "{encoding:?}");
    }
}

#[test]
fn written_out_texts() {
    for subject in [&ENGLISH, &MIXED] {
        let tokenizer = subject.tokenizer();
        let (short, long) = corpus::written_out();
        for text in short.iter().chain(&long) {
            subject.compare_all(&tokenizer, text, None);
        }
        for text in &short {
            for pair in &short {
                subject.compare_all(&tokenizer, text, Some(pair));
            }
        }
        // The reference lists everything it cuts off, so long pairs take long.
        for pair in long.windows(2) {
            subject.compare_all(&tokenizer, &pair[0], Some(&pair[1]));
        }
    }
}

#[test]
fn generated_texts() {
    for subject in [&ENGLISH, &MIXED] {
        let tokenizer = subject.tokenizer();
        let mut corpus = Corpus::new(3);
        let texts: Vec<String> = (0..20_000).map(|_| corpus.anything()).collect();
        let singles = texts.iter().zip(subject.references.iter().cycle());
        on_all_processors(&singles.collect::<Vec<_>>(), |&(text, reference)| {
            subject.compare(&tokenizer, reference, text, None);
        });
        let limits = subject.references.iter().filter(|(limit, _)| *limit > 2);
        let pairs = texts.windows(2).zip(limits.cycle());
        on_all_processors(&pairs.collect::<Vec<_>>(), |&(pair, reference)| {
            subject.compare(&tokenizer, reference, &pair[0], Some(&pair[1]));
        });
    }
}

/// Pretrained vocabularies may keep capitals, accents, or Chinese words.
#[test]
fn other_normalizations() {
    let flags = [false, true];
    let all = flags.into_iter().flat_map(|lowercase| {
        flags.map(move |strip_accents| Normalization {
            lowercase,
            strip_accents,
            splitting: match lowercase == strip_accents {
                true => Splitting::Spaces,
                false => Splitting::Chinese,
            },
        })
    });
    for normalization in all {
        let capitals = ('A'..='Z').chain("ÉÜßİ中ア".chars()).map(String::from);
        let continuing = "Aéü中\u{301}".chars();
        // Where accents are stripped no text has marks.
        let continuing = continuing
            .filter(|&letter| !normalization.strip_accents || letter != '\u{301}')
            .map(|letter| format!("##{letter}"));
        let others = capitals
            .chain(continuing)
            .chain(["é", "naïve", "中国"].map(String::from));
        let tokens: BTreeSet<String> = MIXED.vocabulary.tokens().chain(others).collect();
        let vocabulary = Vocabulary::from_pieces(tokens.into_iter(), normalization).unwrap();
        let subject = Subject::new(vocabulary);
        let tokenizer = subject.tokenizer();
        let mut corpus = Corpus::new(5);
        let texts: Vec<String> = (0..4000).map(|_| corpus.anything()).collect();
        let pairs = texts.iter().zip(subject.references.iter().cycle());
        on_all_processors(&pairs.collect::<Vec<_>>(), |&(text, reference)| {
            subject.compare(&tokenizer, reference, text, None);
        });
        let (short, _) = corpus::written_out();
        for text in short
            .iter()
            .map(String::as_str)
            .chain(["É e\u{301} İ ß 中国 naïve NAÏVE"])
        {
            subject.compare_all(&tokenizer, text, None);
        }
    }
}

/// Own vocabularies of languages that need other keys.
#[test]
fn other_languages() {
    let texts = [
        "tắt đèn bàn đi bạn ơi",
        "bán cái bàn này cho bạn",
        "ปิดไฟในห้องนอน",
        "เปิดเพลงให้หน่อยที่ห้องครัว",
        "電気を消してください ケーキ",
        "部屋の明かりをつけて、ラジオも",
        "IŞIĞI kapat ısıtıcıyı aç İstanbul",
        "ຂອບໃຈ ခ ក བོད",
    ];
    for splitting in Splitting::ALL.iter().copied() {
        for (lowercase, strip_accents) in [(true, true), (true, false), (false, false)] {
            let normalization = Normalization {
                lowercase,
                strip_accents,
                splitting,
            };
            let vocabulary = Vocabulary::train(texts.into_iter(), 300, normalization).unwrap();
            let subject = Subject::new(vocabulary);
            let tokenizer = subject.tokenizer();
            let mut corpus = Corpus::new(7);
            let generated: Vec<String> = (0..100).map(|_| corpus.anything()).collect();
            for text in texts
                .into_iter()
                .chain(generated.iter().map(String::as_str))
            {
                subject.compare_all(&tokenizer, text, None);
            }
        }
    }
}

/// `NEUROPRUNE_CHECKPOINT` names the folder of a real checkpoint: the whole of its
/// vocabulary gives the tokens of its own tokenizer, in the runtime too.
#[test]
fn pretrained_vocabulary() {
    let Some(folder) = std::env::var_os("NEUROPRUNE_CHECKPOINT").map(PathBuf::from) else {
        println!("skipped: a real checkpoint (set NEUROPRUNE_CHECKPOINT)");
        return;
    };
    let mut own = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    own.with_padding(None);
    own.with_truncation(None).unwrap();
    let mut recipe = Recipe::pretrained();
    recipe.model.from = folder.to_str().unwrap().to_owned();
    recipe.model.vocabulary = VocabularySize::All;
    let pretrained = Pretrained::open(&recipe.model.from, &mut ()).unwrap();
    recipe.model.adopt(&pretrained.model(), |_| false).unwrap();
    let vocabulary = pretrained.begin(&recipe, [].into_iter(), 2, false).unwrap();
    let subject = Subject::new(vocabulary.vocabulary);
    let tokenizer = subject.tokenizer();
    let whole = subject.vocabulary.reference(100_000).unwrap();

    let mut corpus = Corpus::new(6);
    let generated = (0..20_000).map(|_| (corpus.anything(), None)).collect();
    let mut sets = data_folder().map_or_else(Vec::new, |folder| data_files(&folder));
    sets.push(generated);
    for set in &sets {
        on_all_processors(set, |(text, _)| {
            // The names of special tokens are special there and text here.
            if !text.contains('[') {
                let expected = own.encode_fast(text.as_str(), true).unwrap();
                let expected = expected.get_ids().iter().map(|&id| own.id_to_token(id));
                let found = whole.encode_fast(text.as_str(), true).unwrap();
                let found = found.get_ids().iter().map(|&id| whole.id_to_token(id));
                assert!(found.eq(expected), "{text:?}");
            }
            subject.compare(&tokenizer, &subject.references[4], text, None);
        });
    }
    let texts: usize = sets.iter().map(Vec::len).sum();
    println!("{texts} texts, {} pieces", subject.vocabulary.len());
}

#[test]
fn long_texts() {
    let subject = &MIXED;
    let tokenizer = subject.tokenizer();
    let mut corpus = Corpus::new(4);
    let words: String = (0..4000).map(|_| corpus.anything() + " ").collect();
    let nothing = "\u{301} \u{0}".repeat(200_000);
    let one_word = "a".repeat(1_000_000);
    let marks = format!("a{}b", "\u{301}".repeat(300_000));
    for text in [&words, &nothing, &one_word, &marks] {
        subject.compare_all(&tokenizer, text, None);
        subject.compare_all(&tokenizer, text, Some("and a short one"));
        subject.compare_all(&tokenizer, "a short one and", Some(text));
    }
}

#[test]
fn every_character() {
    for subject in [&ENGLISH, &MIXED] {
        let tokenizer = subject.tokenizer();
        let reference = &subject.references[3];
        assert_eq!(reference.0, 16);
        let characters: Vec<char> = ('\0'..=char::MAX).collect();
        on_all_processors(&characters, |&character| {
            let alone = String::from(character);
            subject.compare(&tokenizer, reference, &alone, None);
            let within = String::from_iter(['a', character, 'b']);
            subject.compare(&tokenizer, reference, &within, None);
        });
    }
}

#[test]
fn shared_data_sets() {
    let Some(folder) = data_folder() else {
        println!("skipped: the shared data sets (no folder of data; set NEUROPRUNE_DATA)");
        return;
    };
    let sets = data_files(&folder);
    let lines: usize = sets.iter().map(Vec::len).sum();
    if lines == 0 {
        println!(
            "skipped: the shared data sets (no .tsv in {})",
            folder.display()
        );
        return;
    }
    let sample = sets
        .iter()
        .flatten()
        .step_by(50)
        .map(|(text, _)| text.as_str());
    let subject = Subject::train(sample, 1500);
    let tokenizer = subject.tokenizer();
    let reference = &subject.references[4];
    for set in &sets {
        on_all_processors(set, |(text, pair)| {
            subject.compare(&tokenizer, reference, text, pair.as_deref());
        });
    }
    println!("{lines} texts and pairs of {} files", sets.len());
}

/// `NEUROPRUNE_DATA`, or `shared/data` next to the workspace.
fn data_folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("NEUROPRUNE_DATA").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

type Row = (String, Option<String>);

/// The texts, or pairs of texts, of every `.tsv` and `.tsv.gz`, one list a file.
fn data_files(folder: &Path) -> Vec<Vec<Row>> {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let files = entries(folder).into_iter().flat_map(|set| entries(&set));
    files.filter_map(|file| read_rows(&file)).collect()
}

/// `text<TAB>label`, `text_a<TAB>text_b<TAB>label` or `source<TAB>target`.
fn read_rows(file: &Path) -> Option<Vec<Row>> {
    let name = file.file_name()?.to_str()?;
    let text = if name.ends_with(".tsv.gz") {
        let packed = std::fs::File::open(file).unwrap();
        std::io::read_to_string(flate2::read::GzDecoder::new(packed)).unwrap()
    } else if name.ends_with(".tsv") {
        std::fs::read_to_string(file).unwrap()
    } else {
        return None;
    };
    let mut lines = text.lines();
    let header = lines.next()?;
    let is_pair = matches!(header, "text_a\ttext_b\tlabel" | "source\ttarget");
    let rows = lines.map(|line| {
        let mut fields = line.split('\t').map(str::to_owned);
        let text = fields.next().unwrap_or_default();
        (text, fields.next().filter(|_| is_pair))
    });
    Some(rows.collect())
}
