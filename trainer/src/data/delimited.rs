//! Files with a header and one row after the other: TSV and CSV.

use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::error::{Located, Problem};
use super::{Columns, Row, Table};

/// A record: the line it starts in, and its fields.
struct Record {
    line: usize,
    fields: Vec<String>,
}

/// Reads a file that splits at tabs. There is no quoting: a quote is a plain character.
pub(super) fn tab_separated(bytes: &[u8], columns: &Columns) -> Result<Table, Located> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let records = lines.filter_map(|(line, content)| {
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        (!content.is_empty()).then(|| {
            let content = core::str::from_utf8(content).map_err(|error| {
                Located::line(
                    line,
                    Problem::NotUtf8 {
                        column: error.valid_up_to() + 1,
                    },
                )
            })?;
            let fields = content.split('\t').map(str::to_owned).collect();
            Ok(Record { line, fields })
        })
    });
    table(records, columns)
}

/// Reads a file with RFC 4180 quoting. A line ends at LF, CRLF or CR.
pub(super) fn comma_separated(bytes: &[u8], columns: &Columns) -> Result<Table, Located> {
    table(comma_separated_records(bytes)?.into_iter(), columns)
}

fn comma_separated_records(bytes: &[u8]) -> Result<Vec<Result<Record, Located>>, Located> {
    // The parser takes the end of the file for the end of a quoted field. So a last
    // record of our own is added: when it does not come back as it is, an open quote
    // has swallowed it. Inside a quote it would have the line end in front.
    const END: &[u8] = b"\nend of file";
    let input = [bytes, END].concat();
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(input.as_slice());

    let mut lines = LineCounter::new(&input);
    let mut records = Vec::new();
    let mut record = ByteRecord::new();
    // Reading from memory into a record of bytes cannot fail.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let start = record.position().map_or(0, csv::Position::byte);
        let start = usize::try_from(start)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let raw = input.get(start..end).unwrap_or_default();
        // The rest of the last line end and blank lines belong to the next record.
        let blank = raw
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let line = lines.line_at(start + blank);
        if end >= input.len() {
            let whole = record.len() == 1 && record.get(0) == END.get(1..);
            let open = Located::line(line, Problem::UnterminatedQuote);
            return if whole { Ok(records) } else { Err(open) };
        }
        let fields = record
            .iter()
            .map(|field| core::str::from_utf8(field).map(str::to_owned));
        records.push(match fields.collect() {
            Ok(fields) => Ok(Record { line, fields }),
            Err(_) => Err(not_utf8(raw, blank, line)),
        });
    }
    Ok(records)
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
) -> Result<Table, Located> {
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
    let columns = columns.resolve(&names).map_err(in_header)?;

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

    let row = |record: Result<Record, Located>| {
        let record = record?;
        let found = record.fields.len();
        if found != names.len() {
            let problem = Problem::ColumnCount {
                header: Arc::clone(&names),
                found,
            };
            return Err(Located::line(record.line, problem));
        }
        let field = |place: usize| record.fields.get(place).cloned().unwrap_or_default();
        Ok(Row {
            line: record.line,
            text: field(text),
            pair: pair.map(field),
            label: field(label),
        })
    };
    Ok(Table {
        rows: records.map(row).collect(),
        columns,
    })
}
