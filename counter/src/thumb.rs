//! Thumb: Armv6-M, Armv7E-M, Armv8-M with floating point.
//!
//! The tables are those of the Armv7-M Architecture Reference Manual (DDI 0403), chapter A5, and
//! for additions those of the Armv8-M one (DDI 0553).

use crate::class::{Class, Instruction, Mark};

/// Decodes the instruction at the beginning of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Instruction {
    match *bytes {
        // The first half of 32 bits begins 11101, 11110 or 11111.
        [a, b, c, d, ..] if b >= 0xe8 => {
            wide(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
        }
        [a, b, ..] => narrow(u16::from_le_bytes([a, b])),
        _ => Instruction::new(2, Class::Other),
    }
}

fn narrow(half: u16) -> Instruction {
    let is_load = half & 1 << 11 != 0;
    let memory = if is_load { Class::Load } else { Class::Store };
    let class = match half >> 12 {
        4 if half & 0xffc0 == 0x4340 => Class::Multiply,
        4 if half & 0xff00 == 0x4700 => Class::Branch,
        // ADD and MOV to the program counter.
        4 if half & 0xfd87 == 0x4487 => Class::Branch,
        4 if half & 0xf800 == 0x4800 => Class::Load,
        4 => {
            return match half {
                0x46d2 => Instruction::marker(2, Mark::Begin),
                0x46db => Instruction::marker(2, Mark::End),
                0x46e4 => Instruction::marker(2, Mark::Next),
                _ => Instruction::new(2, Class::Other),
            };
        }
        5 if half >> 9 & 7 < 3 => Class::Store,
        5 => Class::Load,
        6..=9 => memory,
        // CBZ, CBNZ
        0xb if half & 0x0500 == 0x0100 => Class::Branch,
        // PUSH, POP; nine bits of registers.
        0xb if half & 0x0600 == 0x0400 => {
            return Instruction::several(2, memory, ones(half & 0x1ff));
        }
        0xc => return Instruction::several(2, memory, ones(half & 0xff)),
        // Condition 14 is undefined, 15 a supervisor call.
        0xd if half >> 8 & 15 < 14 => Class::Branch,
        0xe => Class::Branch,
        _ => Class::Other,
    };
    Instruction::new(2, class)
}

fn wide(first: u16, second: u16) -> Instruction {
    let is_load = first & 1 << 4 != 0;
    let memory = if is_load { Class::Load } else { Class::Store };
    let kind = first >> 4 & 0x7f;
    let class = match (first >> 11 & 3, kind) {
        (1 | 3, 0x40..) => return coprocessor(first, second),
        (1, _) if kind & 0x64 == 0 => return Instruction::several(4, memory, ones(second)),
        // LDRD, STRD: with an index or written back. The rest of this row are exclusive
        // accesses, table branches, and TT.
        (1, _) if kind & 0x64 == 4 && first & 0x0120 != 0 => {
            return Instruction::several(4, memory, 2);
        }
        (1, _) if kind & 0x64 == 4 && first & 0xfff0 == 0xe8d0 && second & 0xe0 == 0 => {
            Class::Branch
        }
        (1, _) if kind & 0x64 == 4 => memory,
        // MSR, MRS, barriers, hints.
        (2, _) if second & 0xd000 == 0x8000 && first & 0x0380 == 0x0380 => Class::Other,
        (2, _) if second & 0x8000 != 0 => Class::Branch,
        (3, _) if kind & 0x71 == 0 => Class::Store,
        (3, _) if matches!(kind & 0x67, 1 | 3 | 5) => Class::Load,
        (3, 0x39 | 0x3b) => Class::Divide,
        (3, 0x30..=0x3f) => Class::Multiply,
        _ => Class::Other,
    };
    Instruction::new(4, class)
}

/// Floating point is coprocessor 10 and 11; 8, 9, 14 and 15 are Helium.
fn coprocessor(first: u16, second: u16) -> Instruction {
    let is_load = first & 1 << 4 != 0;
    let memory = if is_load { Class::Load } else { Class::Store };
    let number = second >> 8 & 15;
    let moves_memory = first & 0x0e00 == 0x0c00 && first & 0x0fe0 != 0x0c40;
    let class = match number {
        // VLDR, VSTR of a single; a double is two words.
        10 if moves_memory && first & 0x0120 == 0x0100 => memory,
        11 if moves_memory && first & 0x0120 == 0x0100 => {
            return Instruction::several(4, memory, 2);
        }
        10 | 11 if moves_memory => {
            let words = u8::try_from(second & 0xff).unwrap_or(u8::MAX);
            return Instruction::several(4, memory, words);
        }
        // Helium vector instructions that look like those of coprocessors 10 and 11.
        _ if first & 0x0f00 == 0x0f00 => Class::Vector,
        10 | 11 => Class::Float,
        14 | 15 if moves_memory => memory,
        8 | 9 | 14 | 15 => Class::Vector,
        _ => Class::Other,
    };
    Instruction::new(4, class)
}

/// Registers of a list.
fn ones(list: u16) -> u8 {
    u8::try_from(list.count_ones()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_ones_have_the_class_of_the_manual() {
        let cases: [(u16, Class); 18] = [
            (0x6808, Class::Load),     // ldr r0, [r1]
            (0x6008, Class::Store),    // str r0, [r1]
            (0x5608, Class::Load),     // ldrsb r0, [r1, r0]
            (0x5408, Class::Store),    // strb r0, [r1, r0]
            (0x7808, Class::Load),     // ldrb r0, [r1]
            (0x8008, Class::Store),    // strh r0, [r1]
            (0x9801, Class::Load),     // ldr r0, [sp, #4]
            (0x4801, Class::Load),     // ldr r0, [pc, #4]
            (0x4348, Class::Multiply), // muls r0, r1
            (0x4770, Class::Branch),   // bx lr
            (0x4788, Class::Branch),   // blx r1
            (0x468f, Class::Branch),   // mov pc, r1
            (0xd1fc, Class::Branch),   // bne
            (0xe7fe, Class::Branch),   // b .
            (0xb108, Class::Branch),   // cbz r0
            (0xbf08, Class::Other),    // it eq
            (0xdf00, Class::Other),    // svc 0
            (0x1840, Class::Other),    // adds r0, r0, r1
        ];
        for (half, class) in cases {
            let expected = Instruction::new(2, class);
            assert_eq!(decode(&half.to_le_bytes()), expected, "{half:04x}");
        }
    }

    #[test]
    fn wide_ones_too() {
        let cases: [(u16, u16, Class); 20] = [
            (0xf891, 0x0000, Class::Load),     // ldrb.w r0, [r1]
            (0xf991, 0x0001, Class::Load),     // ldrsb.w r0, [r1, #1]
            (0xf8d1, 0x0000, Class::Load),     // ldr.w r0, [r1]
            (0xf8c1, 0x0000, Class::Store),    // str.w r0, [r1]
            (0xfbc3, 0x450c, Class::Multiply), // smlal r4, r5, r3, r12
            (0xfb28, 0x4409, Class::Multiply), // smlad r4, r8, r9, r4
            (0xfb01, 0xf000, Class::Multiply), // mul r0, r1, r0
            (0xfb91, 0xf0f0, Class::Divide),   // sdiv r0, r1, r0
            (0xfbb1, 0xf0f0, Class::Divide),   // udiv r0, r1, r0
            (0xeb02, 0x120c, Class::Other),    // add.w r2, r2, r12, lsl #4
            (0xf000, 0xf801, Class::Branch),   // bl
            (0xf000, 0xb801, Class::Branch),   // b.w
            (0xf43f, 0xaffe, Class::Branch),   // beq.w
            (0xf3bf, 0x8f4f, Class::Other),    // dsb
            (0xf04f, 0x0001, Class::Other),    // mov.w r0, #1
            (0xe8d0, 0xf001, Class::Branch),   // tbb [r0, r1]
            (0xee30, 0x0a20, Class::Float),    // vadd.f32 s0, s0, s1
            (0xed90, 0x0a00, Class::Load),     // vldr s0, [r0]
            (0xed80, 0x0a00, Class::Store),    // vstr s0, [r0]
            (0xee00, 0x0a10, Class::Float),    // vmov s0, r0
        ];
        for (first, second, class) in cases {
            let [a, b] = first.to_le_bytes();
            let [c, d] = second.to_le_bytes();
            let expected = Instruction::new(4, class);
            assert_eq!(decode(&[a, b, c, d]), expected, "{first:04x} {second:04x}");
        }
    }

    #[test]
    fn several_registers_are_counted() {
        let cases: [(u32, u8, Class, u8); 7] = [
            (0xb5f0, 2, Class::Store, 5),       // push {r4-r7, lr}
            (0xbdf0, 2, Class::Load, 5),        // pop {r4-r7, pc}
            (0xc80f, 2, Class::Load, 4),        // ldmia r0!, {r0-r3}
            (0xe92d_4ff8, 4, Class::Store, 10), // push.w {r3-r11, lr}
            (0xe891_1e00, 4, Class::Load, 4),   // ldm.w r1, {r9-r12}
            (0xe9d2_ce00, 4, Class::Load, 2),   // ldrd r12, lr, [r2]
            (0xecb0_0a04, 4, Class::Load, 4),   // vldmia r0!, {s0-s3}
        ];
        for (code, length, class, several) in cases {
            let [a, b, c, d] = code.to_be_bytes();
            let bytes = if length == 2 {
                [d, c, 0, 0]
            } else {
                [b, a, d, c]
            };
            let expected = Instruction::several(length, class, several);
            assert_eq!(decode(&bytes), expected, "{code:x}");
        }
    }

    #[test]
    fn markers_move_a_register_to_itself() {
        let marks = [
            (0x46d2_u16, Mark::Begin),
            (0x46db, Mark::End),
            (0x46e4, Mark::Next),
        ];
        for (half, mark) in marks {
            let expected = Instruction::marker(2, mark);
            assert_eq!(decode(&half.to_le_bytes()), expected);
        }
        // mov r8, r8, an old way to do nothing
        assert_eq!(decode(&0x46c0_u16.to_le_bytes()).marker, None);
    }
}
