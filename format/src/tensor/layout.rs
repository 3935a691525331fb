//! How the bytes of a tensor are laid out: form × pattern × values.

/// What the bytes of a tensor begin with, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Multiplied: biases, row map, one scale per stored row, then the weights by their pattern.
    Matrix,
    /// Looked up: one scale per row, then the rows.
    Table,
    /// Gain and then shift of a normalisation.
    Norm,
}

/// How one weight of a matrix is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values {
    /// `i8`, −127…127, times the scale of its row.
    #[default]
    I8,
}

/// How one weight of a table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableValues {
    /// `i8`, −127…127, times the scale of its row.
    #[default]
    I8,
    /// Four bits in two's complement, −7…7, times the scale of its row; two in a byte, the first in
    /// its lower half. A row begins with a byte of its own.
    I4,
}

/// How the bytes of a tensor are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A matrix: which weights are stored, and how each is written.
    Matrix(Pattern, Values),
    /// A table, all of whose weights are stored.
    Table(TableValues),
    /// Gain and shift of a norm, in `f16`.
    Norm,
}

/// Flag: the tensor begins with one f16 bias per output.
pub const BIAS: u8 = 1;
/// Flag: a bitmap tells which rows are stored; the others are zero.
pub const ROW_MAP: u8 = 2;
/// Flag: a list of `u16` names the stored columns; the others are zero.
pub const COLUMN_LIST: u8 = 4;

/// Patterns and the list of all patterns are written together.
macro_rules! patterns {
    ($($(#[$doc:meta])* $pattern:ident)+) => {
        /// Which weights of a tensor are stored.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Pattern {
            $($(#[$doc])* $pattern,)+
        }

        impl Pattern {
            /// Every pattern.
            pub const ALL: [Self; [$(Self::$pattern),+].len()] = [$(Self::$pattern),+];
        }
    };
}

patterns! {
    /// Every weight of the stored rows.
    #[default]
    Dense
    /// The weights of the stored rows in the columns that a list names.
    Columns
    /// Nonzero weights only: a count per row, then (column step, weight) pairs.
    DeltaU8
    /// A bit for each column, then the weights of the set bits.
    Bitmap
    /// Two neighbouring weights per step: a count per row, then (column step, 2 weights).
    Blocks2
    /// Four neighbouring weights per step: a count per row, then (column step, 4 weights).
    Blocks4
}

impl Pattern {
    /// The feature of `neuroprune-runtime` that a program needs for it.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Dense | Self::Columns | Self::DeltaU8 => None,
            Self::Bitmap => Some("bitmap"),
            Self::Blocks2 | Self::Blocks4 => Some("blocks"),
        }
    }

    /// Itself; dense if this build does not have it, in which case no matrix has it. So the
    /// compiler sees which code for patterns is never needed.
    #[inline(always)]
    pub(crate) fn built(self) -> Self {
        let is_built = match self {
            Self::Dense | Self::Columns | Self::DeltaU8 => true,
            Self::Bitmap => cfg!(feature = "bitmap"),
            Self::Blocks2 | Self::Blocks4 => cfg!(feature = "blocks"),
        };
        if is_built { self } else { Self::Dense }
    }

    /// The fewest columns with which a matrix can have this pattern.
    pub(crate) fn least_columns(self) -> usize {
        match self {
            Self::Dense | Self::Columns | Self::DeltaU8 | Self::Bitmap => 0,
            Self::Blocks2 => 2,
            Self::Blocks4 => 4,
        }
    }

    /// Name for tables, which do not distinguish a list of columns.
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

impl TableValues {
    /// Bytes of a row of `cols` weights.
    #[must_use]
    pub const fn row_bytes(self, cols: usize) -> usize {
        match self {
            Self::I8 => cols,
            Self::I4 => cols.div_ceil(2),
        }
    }

    /// The feature of `neuroprune-runtime` that a program needs for it.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::I8 => None,
            Self::I4 => Some("factor"),
        }
    }

    /// Itself; `i8` if this build does not have it, in which case no table has it. So the compiler
    /// sees which code is never needed.
    #[inline(always)]
    #[must_use]
    pub const fn built(self) -> Self {
        match self {
            Self::I4 if cfg!(feature = "factor") => self,
            Self::I8 | Self::I4 => Self::I8,
        }
    }

    /// The largest magnitude of a weight.
    #[must_use]
    pub const fn largest(self) -> i8 {
        match self {
            Self::I8 => 127,
            Self::I4 => 7,
        }
    }
}

impl Layout {
    /// A matrix of `i8`.
    #[must_use]
    pub const fn matrix(pattern: Pattern) -> Self {
        Self::Matrix(pattern, Values::I8)
    }

    /// What the bytes begin with.
    #[must_use]
    pub const fn form(self) -> Form {
        match self {
            Self::Matrix(..) => Form::Matrix,
            Self::Table(_) => Form::Table,
            Self::Norm => Form::Norm,
        }
    }

    /// Which weights of a matrix are stored; `None` for other forms.
    #[must_use]
    pub const fn pattern(self) -> Option<Pattern> {
        match self {
            Self::Matrix(pattern, _) => Some(pattern),
            Self::Table(_) | Self::Norm => None,
        }
    }

    /// The feature of `neuroprune-runtime` that a program needs for it.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Matrix(pattern, _) => pattern.feature(),
            Self::Table(values) => values.feature(),
            Self::Norm => None,
        }
    }

    /// The layout with this number in a record and these flags, if this build has it.
    pub(crate) fn of(number: u8, flags: u8) -> Option<Self> {
        let layout = *NUMBERED.get(usize::from(number).wrapping_sub(1))?;
        match layout {
            Self::Matrix(Pattern::Dense, values) if flags & COLUMN_LIST != 0 => {
                Some(Self::Matrix(Pattern::Columns, values))
            }
            Self::Matrix(pattern, _) if pattern.built() != pattern => None,
            Self::Table(TableValues::I4) if !cfg!(feature = "factor") => None,
            Self::Matrix(..) | Self::Table(_) | Self::Norm => Some(layout),
        }
    }

    pub(crate) fn allowed_flags(self) -> u8 {
        match self {
            Self::Table(_) | Self::Norm => 0,
            Self::Matrix(Pattern::Columns, _) => BIAS | ROW_MAP | COLUMN_LIST,
            Self::Matrix(
                Pattern::Dense
                | Pattern::DeltaU8
                | Pattern::Bitmap
                | Pattern::Blocks2
                | Pattern::Blocks4,
                _,
            ) => BIAS | ROW_MAP,
        }
    }

    /// The fewest columns that a tensor with this layout has.
    pub(crate) fn least_columns(self) -> usize {
        match self {
            Self::Matrix(pattern, _) => pattern.least_columns(),
            Self::Table(_) | Self::Norm => 0,
        }
    }

    /// Name for tables, which do not distinguish a list of columns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matrix(pattern, Values::I8) => pattern.name(),
            Self::Table(TableValues::I8) => "embedding int8",
            Self::Table(TableValues::I4) => "embedding int4",
            Self::Norm => "f16",
        }
    }
}

/// Numbers in a record and their layouts are written together: a layout without a number does not
/// build.
macro_rules! numbered {
    ($($number:literal $layout:expr => $shape:pat,)+) => {
        /// By their numbers, from 1.
        const NUMBERED: [Layout; [$($number),+].len()] = [$($layout),+];

        impl Layout {
            /// The layout's number in a record.
            #[must_use]
            pub const fn tag(self) -> u8 {
                match self {
                    $($shape => $number,)+
                }
            }
        }
    };
}

// A flag distinguishes the list of columns.
numbered! {
    1 Layout::matrix(Pattern::Dense) => Layout::Matrix(Pattern::Dense | Pattern::Columns, Values::I8),
    2 Layout::matrix(Pattern::DeltaU8) => Layout::Matrix(Pattern::DeltaU8, Values::I8),
    3 Layout::Table(TableValues::I8) => Layout::Table(TableValues::I8),
    4 Layout::Norm => Layout::Norm,
    5 Layout::matrix(Pattern::Bitmap) => Layout::Matrix(Pattern::Bitmap, Values::I8),
    6 Layout::matrix(Pattern::Blocks2) => Layout::Matrix(Pattern::Blocks2, Values::I8),
    7 Layout::matrix(Pattern::Blocks4) => Layout::Matrix(Pattern::Blocks4, Values::I8),
    8 Layout::Table(TableValues::I4) => Layout::Table(TableValues::I4),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_found_at_its_number() {
        for (number, layout) in (1..).zip(NUMBERED) {
            assert_eq!(layout.tag(), number);
            let is_built = match layout {
                Layout::Matrix(pattern, _) => pattern.built() == pattern,
                Layout::Table(values) => values.built() == values,
                Layout::Norm => true,
            };
            assert_eq!(Layout::of(number, 0), is_built.then_some(layout));
        }
        for pattern in Pattern::ALL {
            let tag = usize::from(Layout::matrix(pattern).tag());
            assert_eq!(NUMBERED[tag - 1].form(), Form::Matrix, "{pattern:?}");
        }
    }
}
