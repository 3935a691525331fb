//! Files with a header and one row after the other: TSV and CSV.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder, StringRecord};

use super::error::{Located, Problem};
use super::{Columns, MOST_COLUMNS, ResolvedColumns, Row, Rows};

/// Reads a file that splits at tabs. There is no quoting: a quote is a plain character.
pub(super) fn tab_separated(
    bytes: &[u8],
    columns: &Columns,
    rows: &mut Rows<'_>,
) -> Result<ResolvedColumns, Located> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(line, content)| (line, content.strip_suffix(b"\r").unwrap_or(content)));
    let mut lines = lines.filter(|(_, content)| !content.is_empty());
    let mut table = Table::new(columns, rows);
    let mut header = None;
    while let Some((line, content)) = lines.next() {
        let columns = *header.get_or_insert(count(content, b'\t'));
        if let Some((below, last)) = torn_row(content, columns, lines.clone()) {
            // Those are no rows, whatever they look like.
            lines.by_ref().take(below).for_each(drop);
            table.reject(Located::line(line, Problem::TornRow { last }))?;
            continue;
        }
        match core::str::from_utf8(content) {
            Ok(content) => table.record(line, content.split('\t'))?,
            Err(error) => {
                let column = error.valid_up_to() + 1;
                table.reject(Located::line(line, Problem::NotUtf8 { column }))?;
            }
        }
    }
    table.finish()
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
    check_width(bytes, delimiter)?;
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
    let mut table = Table::new(columns, rows);
    let mut record = ByteRecord::new();
    // Reading from memory into a record of bytes cannot fail.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
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
            if !whole {
                table.reject(Located::line(line, Problem::UnterminatedQuote))?;
            }
            continue;
        }
        if let Err(problem) = check_quotes(raw.get(blank..).unwrap_or_default(), delimiter) {
            table.reject(Located::line(line, problem))?;
            continue;
        }
        record = match StringRecord::from_byte_record(record) {
            Ok(fields) => {
                table.record(line, fields.iter())?;
                fields.into_byte_record()
            }
            Err(error) => {
                table.reject(not_utf8(raw, blank, line))?;
                error.into_byte_record()
            }
        };
    }
    table.finish()
}

/// Checks that no record has more fields than a table has columns, before the parser makes room for
/// them.
fn check_width(bytes: &[u8], delimiter: u8) -> Result<(), Located> {
    let (mut is_quoted, mut fields, mut line) = (false, 1, 1);
    for &byte in bytes {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' => {
                line += 1;
                if !is_quoted {
                    fields = 1;
                }
            }
            _ if byte == delimiter && !is_quoted => fields += 1,
            _ => {}
        }
        if fields > MOST_COLUMNS {
            let problem = Problem::TooManyColumns { most: MOST_COLUMNS };
            return Err(Located::line(line, problem));
        }
    }
    Ok(())
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
struct Table<'t, 'r> {
    wanted: &'t Columns,
    rows: &'t mut Rows<'r>,
    header: Option<Header>,
}

/// The first record.
struct Header {
    names: Arc<[String]>,
    columns: ResolvedColumns,
    /// What each column is read as.
    roles: Vec<ColumnRole>,
}

enum ColumnRole {
    Text,
    Pair,
    Label,
    /// Its place among the others of its kind.
    Unused(usize),
}

impl<'t, 'r> Table<'t, 'r> {
    fn new(wanted: &'t Columns, rows: &'t mut Rows<'r>) -> Self {
        Self {
            wanted,
            rows,
            header: None,
        }
    }

    /// The next record: the line it starts in, and its fields.
    fn record<'f>(
        &mut self,
        line: usize,
        fields: impl Iterator<Item = &'f str> + Clone,
    ) -> Result<(), Located> {
        match &mut self.header {
            Some(header) => {
                let row = header.row(line, fields);
                (self.rows)(row.map_err(|problem| Located::line(line, problem)))
            }
            None => {
                let header = Header::new(fields, self.wanted);
                self.header = Some(header.map_err(|problem| Located::line(line, problem))?);
                Ok(())
            }
        }
    }

    /// What is wrong with the next record.
    fn reject(&mut self, problem: Located) -> Result<(), Located> {
        match self.header {
            Some(_) => (self.rows)(Err(problem)),
            None => Err(problem),
        }
    }

    fn finish(self) -> Result<ResolvedColumns, Located> {
        let expected = "a header line with the names of the columns";
        let empty = || Located::file(Problem::Empty { expected });
        let mut columns = self.header.ok_or_else(empty)?.columns;
        columns.end_unused();
        Ok(columns)
    }
}

impl Header {
    fn new<'f>(
        fields: impl Iterator<Item = &'f str> + Clone,
        wanted: &Columns,
    ) -> Result<Self, Problem> {
        if fields.clone().nth(MOST_COLUMNS).is_some() {
            return Err(Problem::TooManyColumns { most: MOST_COLUMNS });
        }
        let names: Arc<[String]> = fields.map(|name| name.trim().to_owned()).collect();
        let mut columns = wanted.resolve(&names)?;
        let mut unused = Vec::new();
        let roles = names.iter().map(|name| match name {
            name if *name == columns.text => ColumnRole::Text,
            name if Some(name) == columns.pair.as_ref() => ColumnRole::Pair,
            name if *name == columns.label => ColumnRole::Label,
            name => {
                unused.push(name.clone());
                ColumnRole::Unused(unused.len() - 1)
            }
        });
        let roles = roles.collect();
        for used in columns.used() {
            if names.iter().filter(|name| *name == used).count() > 1 {
                return Err(Problem::DuplicateColumn { name: used.into() });
            }
        }
        columns.begin_unused(unused);
        Ok(Self {
            names,
            columns,
            roles,
        })
    }

    fn row<'f>(
        &mut self,
        line: usize,
        fields: impl Iterator<Item = &'f str> + Clone,
    ) -> Result<Row<'f>, Problem> {
        let found = fields.clone().count();
        if found != self.names.len() {
            let header = Arc::clone(&self.names);
            return Err(Problem::ColumnCount { header, found });
        }
        let mut row = Row {
            line,
            text: Cow::default(),
            pair: None,
            label: Cow::default(),
        };
        for (role, field) in self.roles.iter().zip(fields) {
            match *role {
                ColumnRole::Text => row.text = field.into(),
                ColumnRole::Pair => row.pair = Some(field.into()),
                ColumnRole::Label => row.label = field.into(),
                ColumnRole::Unused(place) => self.columns.note_unused(place, field),
            }
        }
        Ok(row)
    }
}
