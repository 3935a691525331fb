//! The classes of instructions, and how many of each a stretch of code has.

/// How an instruction set reads the bytes at an address, at least two of them.
pub(crate) type Decode = fn(&[u8]) -> Instruction;

/// Kind of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reads memory.
    Load,
    /// Writes memory.
    Store,
    /// May continue elsewhere: jumps, calls, returns.
    Branch,
    /// Multiplies integers, with or without adding.
    Multiply,
    /// Divides integers.
    Divide,
    /// Floating point, moves to and from its registers included.
    Float,
    /// Vectors (Helium), other than their loads and stores.
    Vector,
    /// Everything else: moves, additions, comparisons, shifts.
    Other,
}

impl Class {
    /// Number of classes.
    pub(crate) const COUNT: usize = 8;

    /// Each class with its name, in the order of their numbers.
    pub(crate) const NAMES: [(Self, &'static str); Self::COUNT] = [
        (Self::Load, "load"),
        (Self::Store, "store"),
        (Self::Branch, "branch"),
        (Self::Multiply, "multiply"),
        (Self::Divide, "divide"),
        (Self::Float, "float"),
        (Self::Vector, "vector"),
        (Self::Other, "other"),
    ];
}

/// What a marker does to regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Begins one.
    Begin,
    /// Ends it.
    End,
    /// Ends it and begins the next.
    Next,
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Bytes, 2 or 4. QEMU 7.2 reports 6 for some, so the decoder determines it itself.
    pub(crate) length: u8,
    pub(crate) class: Class,
    /// Registers moved by a load or store of several registers, else 0.
    pub(crate) several: u8,
    /// If it is a marker, which.
    pub(crate) marker: Option<Mark>,
}

impl Instruction {
    pub(crate) const fn new(length: u8, class: Class) -> Self {
        Self {
            length,
            class,
            several: 0,
            marker: None,
        }
    }

    /// A load or store of `several` registers.
    pub(crate) const fn several(length: u8, class: Class, several: u8) -> Self {
        Self {
            several,
            ..Self::new(length, class)
        }
    }

    pub(crate) const fn marker(length: u8, mark: Mark) -> Self {
        Self {
            marker: Some(mark),
            ..Self::new(length, Class::Other)
        }
    }
}

/// Instructions by class, and what the estimate of cycles needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Instructions of each [`Class`].
    pub(crate) classes: [u64; Class::COUNT],
    /// Runs of one or more loads of one register each.
    pub(crate) load_runs: u64,
    /// Registers moved by loads and stores of several.
    pub(crate) several: u64,
    /// Branches that were taken.
    pub(crate) taken: u64,
    /// Whether the last instruction added is a load of one register.
    behind_load: bool,
}

impl Tally {
    /// Counts the next instruction of a straight stretch of code.
    pub(crate) fn add(&mut self, instruction: &Instruction) {
        if let Some(count) = self.classes.get_mut(instruction.class as usize) {
            *count += 1;
        }
        let single_load = instruction.class == Class::Load && instruction.several == 0;
        self.load_runs += u64::from(single_load && !self.behind_load);
        self.behind_load = single_load;
        self.several += u64::from(instruction.several);
    }

    /// Adds `times` executions of a stretch of code.
    pub(crate) fn add_times(&mut self, stretch: &Self, times: u64) {
        for (sum, count) in self.classes.iter_mut().zip(stretch.classes) {
            *sum += count * times;
        }
        self.load_runs += stretch.load_runs * times;
        self.several += stretch.several * times;
        self.taken += stretch.taken * times;
    }

    /// Instructions of all classes.
    pub(crate) fn instructions(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// An **estimate** of Cortex-M4 cycles: one per instruction; one more per run of loads (the
    /// loads of a run follow each other in the pipeline) and per register of LDM, STM, LDRD, STRD,
    /// PUSH, POP; two per taken branch. Nothing is added for divisions, wait states of flash or the
    /// alignment of branch targets.
    pub(crate) fn cycles(&self) -> u64 {
        self.instructions() + self.load_runs + self.several + 2 * self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for (number, (class, _)) in Class::NAMES.into_iter().enumerate() {
            assert_eq!(class as usize, number);
        }
    }

    #[test]
    fn loads_in_a_row_wait_once() {
        let load = Instruction::new(2, Class::Load);
        let mut tally = Tally::default();
        for instruction in [load, load, Instruction::new(2, Class::Other), load] {
            tally.add(&instruction);
        }
        tally.add(&Instruction::several(4, Class::Load, 2));
        assert_eq!((tally.load_runs, tally.several), (2, 2));
        let mut sum = Tally::default();
        sum.add_times(&tally, 3);
        sum.taken = 2;
        assert_eq!(sum.instructions(), 15);
        assert_eq!(sum.cycles(), 15 + 6 + 6 + 4);
    }
}
