//! Tells the code which kernels the target has, which `cfg` of stable Rust does not state.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(kernels, values(\"cortex_m\", \"simd128\", \"x86_64\"))");
    println!("cargo:rustc-check-cfg=cfg(dsp)");
    println!("cargo:rustc-check-cfg=cfg(fpu)");
    println!("cargo:rustc-check-cfg=cfg(helium)");
    let target = env::var("TARGET").unwrap_or_default();
    // Armv7E-M and Armv8-M Mainline multiply two 32-bit words into 64 bits and add, in one
    // or two cycles. A Cortex-M3 (thumbv7m) can too, but takes up to seven: plain products are
    // cheaper there.
    if target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main") {
        println!("cargo:rustc-cfg=kernels=\"cortex_m\"");
        if target.ends_with("eabihf") {
            println!("cargo:rustc-cfg=fpu");
        }
    }
    // Operating systems and boot loaders are built for x86-64 without vectors.
    let has = |variable, value: &str| {
        env::var(variable).is_ok_and(|values| values.split(',').any(|it| it == value))
    };
    if has("CARGO_CFG_TARGET_ARCH", "x86_64") && has("CARGO_CFG_TARGET_FEATURE", "sse2") {
        println!("cargo:rustc-cfg=kernels=\"x86_64\"");
    }
    if has("CARGO_CFG_TARGET_FEATURE", "simd128") {
        println!("cargo:rustc-cfg=kernels=\"simd128\"");
    }
    // No target distinguishes Cortex-M55 from M33, and `cfg` does not name Helium.
    let helium = env::var_os("CARGO_FEATURE_HELIUM").is_some()
        && target.starts_with("thumbv8m.main")
        && target.ends_with("eabihf");
    if helium {
        println!("cargo:rustc-cfg=helium");
    }
    // Part of Armv7E-M; optional in Armv8-M, but always there with Helium.
    if target.starts_with("thumbv7em") || helium {
        println!("cargo:rustc-cfg=dsp");
    }
}
