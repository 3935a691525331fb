//! RV32IMAC, with the floating point of F for completeness.
//!
//! Opcodes are those of the RISC-V Instruction Set Manual, volume I, chapter "RV32/64G
//! Instruction Set Listings", and the quadrants of its chapter on the C extension.

use crate::class::{Class, Instruction, Mark};

/// Decodes the instruction at the beginning of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Instruction {
    match *bytes {
        [a, b, c, d, ..] if a & 3 == 3 => full(u32::from_le_bytes([a, b, c, d])),
        [a, b, ..] => Instruction::new(2, compressed(u16::from_le_bytes([a, b]))),
        _ => Instruction::new(2, Class::Other),
    }
}

fn full(word: u32) -> Instruction {
    let function = word >> 12 & 7;
    let class = match word & 0x7f {
        0x03 | 0x07 => Class::Load,
        0x23 | 0x27 => Class::Store,
        0x63 | 0x67 | 0x6f => Class::Branch,
        0x33 if word >> 25 == 1 && function < 4 => Class::Multiply,
        0x33 if word >> 25 == 1 => Class::Divide,
        // Of the atomic instructions only load-reserved does not write.
        0x2f if word >> 27 == 2 => Class::Load,
        0x2f => Class::Store,
        0x43 | 0x47 | 0x4b | 0x4f | 0x53 => Class::Float,
        _ => {
            return match word {
                0x0040_6013 => Instruction::marker(4, Mark::Begin),
                0x0050_6013 => Instruction::marker(4, Mark::End),
                0x0060_6013 => Instruction::marker(4, Mark::Next),
                _ => Instruction::new(4, Class::Other),
            };
        }
    };
    Instruction::new(4, class)
}

fn compressed(half: u16) -> Class {
    match (half & 3, half >> 13) {
        (0 | 2, 1..=3) => Class::Load,
        (0 | 2, 5..=7) => Class::Store,
        // c.jal, c.j, c.beqz, c.bnez
        (1, 1 | 5..=7) => Class::Branch,
        // c.jr and c.jalr: a first register, no second.
        (2, 4) if half & 0x7c == 0 && half & 0xf80 != 0 => Class::Branch,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_class_of_the_manual() {
        let cases: [(u32, Class); 12] = [
            (0x0005_2503, Class::Load),     // lw a0, 0(a0)
            (0x00a5_a023, Class::Store),    // sw a0, 0(a1)
            (0xfe05_1ee3, Class::Branch),   // bnez a0, -4
            (0x0000_8067, Class::Branch),   // ret
            (0x0080_00ef, Class::Branch),   // jal 8
            (0x02b5_0533, Class::Multiply), // mul a0, a0, a1
            (0x02b5_1533, Class::Multiply), // mulh a0, a0, a1
            (0x02b5_5533, Class::Divide),   // divu a0, a0, a1
            (0x00b5_0533, Class::Other),    // add a0, a0, a1
            (0x0015_0513, Class::Other),    // addi a0, a0, 1
            (0x1005_252f, Class::Load),     // lr.w a0, (a0)
            (0x18b5_252f, Class::Store),    // sc.w a0, a1, (a0)
        ];
        for (word, class) in cases {
            let expected = Instruction::new(4, class);
            assert_eq!(decode(&word.to_le_bytes()), expected, "{word:08x}");
        }
    }

    #[test]
    fn compressed_ones_too() {
        let cases: [(u16, Class); 10] = [
            (0x4108, Class::Load),   // c.lw a0, 0(a0)
            (0xc108, Class::Store),  // c.sw a0, 0(a0)
            (0x4502, Class::Load),   // c.lwsp a0, 0
            (0xc02a, Class::Store),  // c.swsp a0, 0
            (0x8082, Class::Branch), // c.jr ra
            (0x9502, Class::Branch), // c.jalr a0
            (0xa001, Class::Branch), // c.j 0
            (0xfd75, Class::Branch), // c.bnez a0, -4
            (0x852e, Class::Other),  // c.mv a0, a1
            (0x952e, Class::Other),  // c.add a0, a1
        ];
        for (half, class) in cases {
            let expected = Instruction::new(2, class);
            assert_eq!(decode(&half.to_le_bytes()), expected, "{half:04x}");
        }
    }

    #[test]
    fn markers_are_ori_to_nowhere() {
        let marks = [(4, Mark::Begin), (5, Mark::End), (6, Mark::Next)];
        for (number, mark) in marks {
            let word: u32 = number << 20 | 6 << 12 | 0x13;
            let expected = Instruction::marker(4, mark);
            assert_eq!(decode(&word.to_le_bytes()), expected);
        }
        let prefetch: u32 = 1 << 20 | 6 << 12 | 0x13;
        assert_eq!(decode(&prefetch.to_le_bytes()).marker, None);
    }
}
