//! x86-64: the AVX2 kernels if the processor has it, otherwise the scalar ones.
//!
//! The choice is made at run time, so both read the same features.

#![allow(
    unsafe_code,
    reason = "functions that use AVX2 are called where the processor was asked for it"
)]

mod columns;
mod features;
mod floats;
mod mixing;
mod products;
mod tiles;

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

use neuroprune_format::tensor::{Norm, Rows};

use crate::kernels::portable::floats::MixtureScales;
pub use crate::kernels::portable::floats::rescale;
use crate::kernels::portable::scalar;
pub use crate::kernels::portable::scalar::{Feature, set_grain, value_word};
use crate::kernels::tile::{Lanes, Mixture, QUAD, Tile};

/// Proof that this processor has AVX2, and BMI, LZCNT and POPCNT, which come with it.
///
/// Only [`Avx2::detect`] makes one, and the kernels are its methods: without it they cannot
/// be called.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// What [`Avx2::detect`] found, or was told.
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;

impl Avx2 {
    /// Asks the processor, once; `None` if it or the operating system lacks AVX2.
    #[inline]
    #[must_use]
    pub fn detect() -> Option<Self> {
        let state = match STATE.load(Ordering::Relaxed) {
            UNKNOWN => ask(),
            state => state,
        };
        (state == PRESENT).then_some(Self(()))
    }

    /// Sets whether [`Avx2::detect`] may find AVX2 from now on, in the whole process, for comparing
    /// with the scalar kernels. Answers are the same either way.
    pub fn allow(allowed: bool) {
        STATE.store(if allowed { UNKNOWN } else { ABSENT }, Ordering::Relaxed);
    }
}

#[cold]
fn ask() -> u8 {
    // Miri has no processor to ask.
    let state = if !cfg!(miri) && is_present() {
        PRESENT
    } else {
        ABSENT
    };
    STATE.store(state, Ordering::Relaxed);
    state
}

/// Intel, Architectures Software Developer's Manual, volume 1, 14.3 and 14.7.1.
fn is_present() -> bool {
    let has = |register: u32, bits: &[u32]| bits.iter().all(|bit| register >> bit & 1 != 0);
    if __cpuid(0).eax < 7 || __cpuid(0x8000_0000).eax < 0x8000_0001 {
        return false;
    }
    // POPCNT, OSXSAVE, AVX.
    if !has(__cpuid(1).ecx, &[23, 27, 28]) {
        return false;
    }
    // SAFETY: the processor has XGETBV, as OSXSAVE is set.
    let saved = unsafe { _xgetbv(0) };
    // The operating system saves XMM and YMM; BMI1, AVX2, BMI2; LZCNT.
    saved & 0b110 == 0b110
        && has(__cpuid_count(7, 0).ebx, &[3, 5, 8])
        && has(__cpuid(0x8000_0001).ecx, &[5])
}

impl Avx2 {
    /// See `project_tiles` of the chooser.
    #[inline]
    pub fn project_tiles(
        self,
        rows: &Rows<'_>,
        tiles: &[Tile<'_, Feature>],
        output: &mut [Lanes<f32>],
    ) {
        // SAFETY: a `self` exists only if the processor has what the kernels use.
        unsafe { tiles::project_tiles(rows, tiles, output) }
    }
}

/// For each kernel, a method of [`Avx2`] and the function that chooses.
macro_rules! kernels {
    ($(
        $module:ident::$name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;
    )*) => {
        impl Avx2 {$(
            #[doc = concat!("See [`scalar::", stringify!($name), "`].")]
            #[inline]
            pub fn $name(self, $($argument: $type),*) $(-> $result)? {
                // SAFETY: a `self` exists only if the processor has what the kernels use.
                unsafe { $module::$name($($argument),*) }
            }
        )*}
        $(
            #[doc = concat!("See [`scalar::", stringify!($name), "`].")]
            #[inline]
            pub fn $name($($argument: $type),*) $(-> $result)? {
                match Avx2::detect() {
                    Some(set) => set.$name($($argument),*),
                    None => scalar::$name($($argument),*),
                }
            }
        )*
    };
}

kernels! {
    products::multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]);
    products::dense(weights: &[u8], cols: usize, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]);
    mixing::mix(mixture: &[Mixture], values: &[u32], queries: usize, sums: &mut [Lanes<i32>]);
    floats::pack(steps: &[Lanes<i16>], features: &mut [Feature]);
    floats::scale(rows: &Rows<'_>, tile: &Tile<'_, Feature>, output: &mut [Lanes<f32>]);
    floats::largest(x: &[Lanes<f32>], tokens: usize) -> Lanes<u32>;
    floats::quantize(
        x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, features: &mut [Feature]
    );
    floats::quantize_bytes(
        x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, bytes: &mut [Lanes<i8>]
    );
    floats::round(
        x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, steps: &mut [Lanes<i16>]
    );
    floats::add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, tokens: usize);
    floats::sum(x: &[Lanes<f32>], tokens: usize) -> Lanes<f32>;
    floats::sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, tokens: usize) -> Lanes<f32>;
    floats::normalize(
        x: &mut [Lanes<f32>], mean: &Lanes<f32>, inverse: &Lanes<f32>, norm: Norm<'_>, tokens: usize
    );
    floats::rectify(x: &mut [Lanes<f32>], tokens: usize);
    floats::gelu(x: &mut [Lanes<f32>], tokens: usize);
    floats::softmax(
        scores: &mut [Lanes<f32>],
        query_scales: &Lanes<f32>,
        queries: usize,
        key_scales: &[f32],
        value_scales: &[f32]
    ) -> MixtureScales;
    floats::mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture;
}
