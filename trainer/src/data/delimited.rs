//! Files with a header and one row after the other: TSV and CSV.

use std::io::Read as _;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::error::{Located, Problem};
use super::{Columns, ResolvedColumns, Row, Rows};

/// A record: the line it starts in, and its fields.
struct Record {
    line: usize,
    fields: Vec<String>,
}

/// Reads a file that splits at tabs. There is no quoting: a quote is a plain character.
pub(super) fn tab_separated(
    bytes: &[u8],
    columns: &Columns,
    rows: &mut Rows<'_>,
) -> Result<ResolvedColumns, Located> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(line, content)| (line, content.strip_suffix(b"\r").unwrap_or(content)));
    let mut lines = lines.filter(|(_, content)| !content.is_empty());
    let mut header = None;
    let records = core::iter::from_fn(|| {
        let (line, content) = lines.next()?;
        let columns = *header.get_or_insert(count(content, b'\t'));
        if let Some((below, last)) = torn_row(content, columns, lines.clone()) {
            // Those are no rows, whatever they look like.
            lines.by_ref().take(below).for_each(drop);
            return Some(Err(Located::line(line, Problem::TornRow { last })));
        }
        let content = core::str::from_utf8(content).map_err(|error| {
            let column = error.valid_up_to() + 1;
            Located::line(line, Problem::NotUtf8 { column })
        });
        let fields = |content: &str| content.split('\t').map(str::to_owned).collect();
        Some(content.map(|content| Record {
            line,
            fields: fields(content),
        }))
    });
    table(records, columns, rows)
}

/// If `content` has fewer tabs than the header and an open quote, and the quote closes `below`:
/// how many lines further, and in which. Spreadsheets write texts with line ends so.
fn torn_row<'b>(
    content: &[u8],
    columns: usize,
    below: impl Iterator<Item = (usize, &'b [u8])>,
) -> Option<(usize, usize)> {
    let is_open = |quotes: usize| !quotes.is_multiple_of(2);
    let mut quotes = count(content, b'"');
    if count(content, b'\t') >= columns || !is_open(quotes) {
        return None;
    }
    let mut lines = (1..).zip(below);
    lines.find_map(|(number, (line, content))| {
        quotes += count(content, b'"');
        (!is_open(quotes)).then_some((number, line))
    })
}

fn count(content: &[u8], wanted: u8) -> usize {
    content.iter().filter(|&&byte| byte == wanted).count()
}

/// Reads a file with RFC 4180 quoting and fields between `delimiter`s. A line ends at LF, CRLF or CR.
pub(super) fn quoted(
    bytes: &[u8],
    delimiter: u8,
    columns: &Columns,
    rows: &mut Rows<'_>,
) -> Result<ResolvedColumns, Located> {
    // The parser takes the end of the file for the end of a quoted field. So a last
    // record of our own is added: when it does not come back as it is, an open quote
    // has swallowed it. Inside a quote it would have the line end in front.
    const END: &[u8] = b"\nend of file";
    let length = bytes.len() + END.len();
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bytes.chain(END));

    let mut lines = LineCounter::new(bytes);
    let mut record = ByteRecord::new();
    let records = core::iter::from_fn(|| {
        // Reading from memory into a record of bytes cannot fail.
        if !reader.read_byte_record(&mut record).unwrap_or(false) {
            return None;
        }
        let start = record.position().map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let raw = bytes.get(start.min(bytes.len())..end.min(bytes.len()));
        let raw = raw.unwrap_or_default();
        // The rest of the last line end and blank lines belong to the next record.
        let blank = raw
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let line = lines.line_at(start + blank);
        if end >= length {
            let whole = record.len() == 1 && record.get(0) == END.get(1..);
            return (!whole).then_some(Err(Located::line(line, Problem::UnterminatedQuote)));
        }
        if let Err(problem) = check_quotes(raw.get(blank..).unwrap_or_default(), delimiter) {
            return Some(Err(Located::line(line, problem)));
        }
        let fields = record
            .iter()
            .map(|field| core::str::from_utf8(field).map(str::to_owned));
        Some(match fields.collect() {
            Ok(fields) => Ok(Record { line, fields }),
            Err(_) => Err(not_utf8(raw, blank, line)),
        })
    });
    table(records, columns, rows)
}

/// Checks that a record has quotes only where RFC 4180 has them: around whole fields, and
/// doubled in these. The parser makes something of any others, and may take rows with them.
fn check_quotes(record: &[u8], delimiter: u8) -> Result<(), Problem> {
    let is_end = |at: usize| match record.get(at) {
        None | Some(b'\r' | b'\n') => true,
        Some(&byte) => byte == delimiter,
    };
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            at = closing_quote(record, at) + 1;
            if !is_end(at) {
                return Err(Problem::AfterQuote { column: at + 1 });
            }
        }
        while !is_end(at) {
            if record.get(at) == Some(&b'"') {
                return Err(Problem::StrayQuote { column: at + 1 });
            }
            at += 1;
        }
        if record.get(at) != Some(&delimiter) {
            return Ok(());
        }
        at += 1;
    }
}

/// The place of the quote that closes the one at `open`: the next that is not doubled.
fn closing_quote(record: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    loop {
        match (record.get(at), record.get(at + 1)) {
            (Some(b'"'), Some(b'"')) => at += 2,
            (Some(b'"'), _) | (None, _) => return at,
            (Some(_), _) => at += 1,
        }
    }
}

/// The place of the first wrong byte, from the bytes of a record as they stand in the
/// file; `line` is the one at `first`.
fn not_utf8(raw: &[u8], first: usize, line: usize) -> Located {
    let raw = raw.get(first..).unwrap_or_default();
    let valid = core::str::from_utf8(raw).map_or_else(|error| error.valid_up_to(), str::len);
    let mut lines = LineCounter::new(raw);
    let line = line - 1 + lines.line_at(valid);
    Located::line(
        line,
        Problem::NotUtf8 {
            column: valid - lines.line_start + 1,
        },
    )
}

/// Line numbers of increasing offsets.
struct LineCounter<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: usize,
    line_start: usize,
}

impl<'a> LineCounter<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            line: 1,
            line_start: 0,
        }
    }

    /// The line, from 1, of the byte at `offset`, not before that of the last call.
    fn line_at(&mut self, offset: usize) -> usize {
        while self.offset < offset {
            let byte = self.bytes.get(self.offset);
            self.offset += 1;
            let ends = match byte {
                Some(b'\n') => true,
                Some(b'\r') => self.bytes.get(self.offset) != Some(&b'\n'),
                _ => false,
            };
            if ends {
                self.line += 1;
                self.line_start = self.offset;
            }
        }
        self.line
    }
}

/// Takes the first record as the header and picks the columns out of the others.
fn table(
    mut records: impl Iterator<Item = Result<Record, Located>>,
    columns: &Columns,
    rows: &mut Rows<'_>,
) -> Result<ResolvedColumns, Located> {
    let expected = "a header line with the names of the columns";
    let header = records
        .next()
        .ok_or_else(|| Located::file(Problem::Empty { expected }))??;
    let names: Arc<[String]> = header
        .fields
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let in_header = |problem| Located::line(header.line, problem);
    let mut columns = columns.resolve(&names).map_err(in_header)?;

    let position = |wanted: &String| {
        let mut places = (0..names.len()).filter(|index| names.get(*index) == Some(wanted));
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            _ => Err(in_header(Problem::DuplicateColumn {
                name: wanted.clone(),
            })),
        }
    };
    let text = position(&columns.text)?;
    let pair = columns.pair.as_ref().map(position).transpose()?;
    let label = position(&columns.label)?;
    let is_unused = |(_, name): &(usize, &String)| !columns.used().any(|used| used == *name);
    let unused: Vec<(usize, &String)> = names.iter().enumerate().filter(is_unused).collect();
    columns.begin_unused(
        unused
            .iter()
            .map(|(_, name)| (*name).clone())
            .collect::<Vec<_>>(),
    );

    for record in records {
        let row = record.and_then(|mut record| {
            let found = record.fields.len();
            if found != names.len() {
                let problem = Problem::ColumnCount {
                    header: Arc::clone(&names),
                    found,
                };
                return Err(Located::line(record.line, problem));
            }
            for (place, &(column, _)) in unused.iter().enumerate() {
                let field = record.fields.get(column);
                columns.note_unused(place, field.map_or("", String::as_str));
            }
            let fields = &mut record.fields;
            let mut field = |place: usize| fields.get_mut(place).map(core::mem::take);
            Ok(Row {
                line: record.line,
                text: field(text).unwrap_or_default(),
                pair: pair.and_then(&mut field),
                label: field(label).unwrap_or_default(),
            })
        });
        rows(row)?;
    }
    columns.end_unused();
    Ok(columns)
}
