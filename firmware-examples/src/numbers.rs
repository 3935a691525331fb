//! Numbers as text, without `core::fmt`, which would be most of a small program.

/// The decimal digits of `number`.
pub fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut first = digits.len();
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        if let Ok(value) = u8::try_from(number % 10) {
            *digit = b'0' + value;
        }
        first = position;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(first..).unwrap_or(&[]);
    core::str::from_utf8(digits).unwrap_or("?")
}
