//! Tells the code which kernels the target has: what `cfg` of stable Rust does not say.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(kernels, values(\"cortex_m\", \"simd128\"))");
    println!("cargo:rustc-check-cfg=cfg(dsp)");
    println!("cargo:rustc-check-cfg=cfg(fpu)");
    let target = env::var("TARGET").unwrap_or_default();
    // Armv7E-M and Armv8-M Mainline multiply two 32-bit words into 64 bits and add, in one
    // or two cycles. A Cortex-M3 (thumbv7m) can, but takes up to seven: plain products are
    // cheaper there.
    if target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main") {
        println!("cargo:rustc-cfg=kernels=\"cortex_m\"");
        if target.ends_with("eabihf") {
            println!("cargo:rustc-cfg=fpu");
        }
    }
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "simd128") {
        println!("cargo:rustc-cfg=kernels=\"simd128\"");
    }
    // Part of Armv7E-M; Armv8-M may come without.
    if target.starts_with("thumbv7em") {
        println!("cargo:rustc-cfg=dsp");
    }
}
