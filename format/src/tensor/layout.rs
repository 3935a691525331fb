//! How the bytes of a tensor are laid out: form × pattern × values.

/// What the bytes of a tensor begin with, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Multiplied: biases, row map, a scale a stored row, then the weights by their pattern.
    Matrix,
    /// Looked up: a scale a row, then the rows.
    Table,
    /// Gain, then shift of a normalisation.
    Norm,
}

/// Which weights of a tensor are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// Every weight of the stored rows.
    #[default]
    Dense,
    /// Of the stored rows the weights of the columns that a list names.
    Columns,
    /// Nonzero weights only: a count a row, then (column step, weight) pairs.
    DeltaU8,
    /// A bit for each column, then the weights of the bits that are set.
    Bitmap,
    /// Two neighbouring weights a step: a count a row, then (column step, 2 weights).
    Blocks2,
    /// Four neighbouring weights a step: a count a row, then (column step, 4 weights).
    Blocks4,
}

/// How one weight is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// `i8`, −127…127, times the scale of its row.
    I8,
    /// `f16`.
    F16,
}

/// Form, pattern and values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the bytes begin with.
    pub form: Form,
    /// Which weights are stored.
    pub pattern: Pattern,
    /// How each is written.
    pub values: Values,
}

/// Flag: the tensor begins with one f16 bias an output.
pub const BIAS: u8 = 1;
/// Flag: a bitmap tells which rows are stored; the others are zero.
pub const ROW_MAP: u8 = 2;
/// Flag: a list of `u16` names the stored columns; the others are zero.
pub const COLUMN_LIST: u8 = 4;

impl Pattern {
    /// Every pattern.
    pub const ALL: [Self; 6] = [
        Self::Dense,
        Self::Columns,
        Self::DeltaU8,
        Self::Bitmap,
        Self::Blocks2,
        Self::Blocks4,
    ];

    /// Itself; dense where this build does not have it, which then no matrix has. So the
    /// compiler sees which code for patterns is never needed.
    #[inline(always)]
    pub(crate) fn built(self) -> Self {
        match self {
            Self::Bitmap if !cfg!(feature = "bitmap") => Self::Dense,
            Self::Blocks2 | Self::Blocks4 if !cfg!(feature = "blocks") => Self::Dense,
            Self::Dense
            | Self::Columns
            | Self::DeltaU8
            | Self::Bitmap
            | Self::Blocks2
            | Self::Blocks4 => self,
        }
    }

    /// Columns below which a matrix cannot have this pattern.
    pub(crate) fn least_columns(self) -> usize {
        match self {
            Self::Dense | Self::Columns | Self::DeltaU8 | Self::Bitmap => 0,
            Self::Blocks2 => 2,
            Self::Blocks4 => 4,
        }
    }

    /// Name for tables; a list of columns is not told apart there.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense | Self::Columns => "dense int8",
            Self::DeltaU8 => "delta-u8",
            Self::Bitmap => "bitmap",
            Self::Blocks2 => "1×2 blocks",
            Self::Blocks4 => "1×4 blocks",
        }
    }
}

impl Layout {
    /// A matrix of `i8`.
    #[must_use]
    pub const fn matrix(pattern: Pattern) -> Self {
        Self {
            form: Form::Matrix,
            pattern,
            values: Values::I8,
        }
    }

    /// A dense table of `i8`.
    pub const TABLE: Self = Self {
        form: Form::Table,
        pattern: Pattern::Dense,
        values: Values::I8,
    };

    /// Gain and shift in `f16`.
    pub const NORM: Self = Self {
        form: Form::Norm,
        pattern: Pattern::Dense,
        values: Values::F16,
    };

    /// By their numbers in a record, from 1. The first one names its columns where a flag says so.
    const NUMBERED: [Self; 7] = [
        Self::matrix(Pattern::Dense),
        Self::matrix(Pattern::DeltaU8),
        Self::TABLE,
        Self::NORM,
        Self::matrix(Pattern::Bitmap),
        Self::matrix(Pattern::Blocks2),
        Self::matrix(Pattern::Blocks4),
    ];

    /// The layout that a number of a record stands for, with these flags, if this build has it.
    pub(crate) fn of(number: u8, flags: u8) -> Option<Self> {
        let mut layout = *Self::NUMBERED.get(usize::from(number).wrapping_sub(1))?;
        if number == 1 && flags & COLUMN_LIST != 0 {
            layout.pattern = Pattern::Columns;
        }
        (layout.pattern.built() == layout.pattern).then_some(layout)
    }

    pub(crate) fn allowed_flags(self) -> u8 {
        match (self.form, self.pattern) {
            (Form::Table | Form::Norm, _) => 0,
            (Form::Matrix, Pattern::Columns) => BIAS | ROW_MAP | COLUMN_LIST,
            (
                Form::Matrix,
                Pattern::Dense
                | Pattern::DeltaU8
                | Pattern::Bitmap
                | Pattern::Blocks2
                | Pattern::Blocks4,
            ) => BIAS | ROW_MAP,
        }
    }

    /// The number that stands for this layout in a record.
    #[must_use]
    pub fn tag(self) -> u8 {
        match (self.form, self.values, self.pattern) {
            (Form::Table, Values::I8 | Values::F16, _) => 3,
            (Form::Norm, Values::I8 | Values::F16, _) => 4,
            (Form::Matrix, Values::I8 | Values::F16, Pattern::Dense | Pattern::Columns) => 1,
            (Form::Matrix, Values::I8 | Values::F16, Pattern::DeltaU8) => 2,
            (Form::Matrix, Values::I8 | Values::F16, Pattern::Bitmap) => 5,
            (Form::Matrix, Values::I8 | Values::F16, Pattern::Blocks2) => 6,
            (Form::Matrix, Values::I8 | Values::F16, Pattern::Blocks4) => 7,
        }
    }

    /// Name for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.form {
            Form::Matrix => self.pattern.name(),
            Form::Table => "embedding int8",
            Form::Norm => "f16",
        }
    }
}
