//! The part of QEMU's plugin interface that is needed: declared here, looked up at load time.
//!
//! Every function is looked up in the program that loads this library, so that one library works
//! with several versions. Two things changed between them:
//!
//! - `qemu_plugin_version` must be in a range that QEMU sets. [`announce`] sets it before
//!   QEMU looks, by the functions that QEMU has.
//! - `qemu_plugin_insn_data` returns a pointer up to API 2, and copies from API 3 on.
#![allow(
    unsafe_code,
    reason = "a C interface; each site says what it stands on"
)]

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::OnceLock;

use crate::counting::Block;
use crate::counting::Marker;

/// Number that QEMU assigns to a plugin.
pub(crate) type PluginId = u64;

/// What QEMU states about itself.
pub(crate) struct Information {
    /// Name of the processor: `arm`, `riscv32`, …
    pub(crate) target: String,
    /// Version of the interface.
    version: c_int,
}

/// `qemu_info_t`, up to the last field that is read.
#[repr(C)]
struct RawInformation {
    target: *const c_char,
    lowest_version: c_int,
    version: c_int,
}

/// A block being translated, `qemu_plugin_tb`.
#[repr(C)]
struct RawTranslation(c_void);

/// One of its instructions, `qemu_plugin_insn`.
#[repr(C)]
struct RawInstruction(c_void);

type Executed = unsafe extern "C" fn(c_uint, *mut c_void);
type Translated = unsafe extern "C" fn(PluginId, *mut RawTranslation);
type Ended = unsafe extern "C" fn(PluginId, *mut c_void);

/// `qemu_plugin_insn_data` up to API 2: a pointer into QEMU.
type DataPointer = unsafe extern "C" fn(*const RawInstruction) -> *const u8;
/// From API 3 on: copies at most that many bytes, returns how many.
type DataCopy = unsafe extern "C" fn(*const RawInstruction, *mut u8, usize) -> usize;

/// A callback that does not use the processor's registers.
const NO_REGISTERS: c_int = 0;
/// Bytes of the longest instruction.
const LONGEST: usize = 4;

/// QEMU's functions.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    on_translation: unsafe extern "C" fn(PluginId, Translated),
    on_exit: unsafe extern "C" fn(PluginId, Ended, *mut c_void),
    instructions: unsafe extern "C" fn(*const RawTranslation) -> usize,
    instruction: unsafe extern "C" fn(*const RawTranslation, usize) -> *mut RawInstruction,
    address: unsafe extern "C" fn(*const RawInstruction) -> u64,
    size: unsafe extern "C" fn(*const RawInstruction) -> usize,
    data: Data,
    on_execution: unsafe extern "C" fn(*mut RawTranslation, Executed, c_int, *mut c_void),
    on_instruction: unsafe extern "C" fn(*mut RawInstruction, Executed, c_int, *mut c_void),
}

#[derive(Clone, Copy)]
enum Data {
    Pointer(DataPointer),
    Copy(DataCopy),
}

/// QEMU compares it with its own range.
#[unsafe(export_name = "qemu_plugin_version")]
static ANNOUNCED: AtomicI32 = AtomicI32::new(1);

/// Runs when the library is loaded, before QEMU reads [`ANNOUNCED`].
#[used]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
static ANNOUNCE: extern "C" fn() = announce;

/// Announces the newest interface that is known here and that QEMU has, recognised by the functions
/// that came with each: 2 (QEMU 9.0), 3 (9.1), 4 (9.2).
extern "C" fn announce() {
    let by_function = [
        (c"qemu_plugin_read_memory_vaddr", 4),
        (c"qemu_plugin_register_vcpu_tb_exec_cond_cb", 3),
        (c"qemu_plugin_scoreboard_new", 2),
    ];
    let newest = by_function
        .into_iter()
        .find(|(function, _)| !address_of(function).is_null());
    ANNOUNCED.store(newest.map_or(1, |(_, version)| version), Relaxed);
}

/// Called by QEMU.
///
/// # Safety
/// As QEMU's documentation of `qemu_plugin_install` states: `information` is valid, and
/// `arguments` has `count` strings.
#[unsafe(no_mangle)]
unsafe extern "C" fn qemu_plugin_install(
    id: PluginId,
    information: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU passes a valid `qemu_info_t`, which begins with these fields in every version of
    // the interface.
    let raw = unsafe { &*information.cast::<RawInformation>() };
    let information = Information {
        // SAFETY: a C string that lives as long as QEMU.
        target: unsafe { text(raw.target) },
        version: raw.version,
    };
    let arguments: Vec<String> = (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: `index` is below their number, and each is a C string.
        .map(|index| unsafe { text(*arguments.add(index)) })
        .collect();
    let installed = Host::find(&information)
        .and_then(|host| crate::install(host, id, &information, &arguments));
    match installed {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("neuroprune-counter: {error}");
            1
        }
    }
}

impl Host {
    fn find(information: &Information) -> Result<Self, String> {
        // SAFETY: each type is that of the function in QEMU's header `qemu-plugin.h`, the same from
        // API 1 to 4 except for the data of an instruction.
        unsafe {
            Ok(Self {
                on_translation: function(c"qemu_plugin_register_vcpu_tb_trans_cb")?,
                on_exit: function(c"qemu_plugin_register_atexit_cb")?,
                instructions: function(c"qemu_plugin_tb_n_insns")?,
                instruction: function(c"qemu_plugin_tb_get_insn")?,
                address: function(c"qemu_plugin_insn_vaddr")?,
                size: function(c"qemu_plugin_insn_size")?,
                data: if information.version < 3 {
                    Data::Pointer(function(c"qemu_plugin_insn_data")?)
                } else {
                    Data::Copy(function(c"qemu_plugin_insn_data")?)
                },
                on_execution: function(c"qemu_plugin_register_vcpu_tb_exec_cb")?,
                on_instruction: function(c"qemu_plugin_register_vcpu_insn_exec_cb")?,
            })
        }
    }

    /// Has [`crate::translated`] called with every block.
    pub(crate) fn on_translation(self, id: PluginId) {
        // Translations are possible only from now on.
        let _ = TRANSLATING.set(self);
        // SAFETY: the callback is of the type that QEMU calls.
        unsafe { (self.on_translation)(id, translated) }
    }

    /// Has [`crate::ended`] called at the end.
    pub(crate) fn on_exit(self, id: PluginId) {
        // SAFETY: as above; the callback does not look at its pointer.
        unsafe { (self.on_exit)(id, ended, core::ptr::null_mut()) }
    }
}

static TRANSLATING: OnceLock<Host> = OnceLock::new();

/// Called by QEMU.
///
/// # Safety
/// `translation` is valid during the call.
unsafe extern "C" fn translated(_: PluginId, translation: *mut RawTranslation) {
    if let Some(&host) = TRANSLATING.get() {
        crate::translated(&Translation {
            host,
            raw: translation,
            during_the_call: PhantomData,
        });
    }
}

/// Called by QEMU.
///
/// # Safety
/// None of its own.
unsafe extern "C" fn ended(_: PluginId, _: *mut c_void) {
    crate::ended();
}

/// A block that QEMU translates.
pub(crate) struct Translation<'t> {
    host: Host,
    raw: *mut RawTranslation,
    during_the_call: PhantomData<&'t ()>,
}

impl Translation<'_> {
    /// Number of instructions.
    pub(crate) fn instructions(&self) -> usize {
        // SAFETY: `raw` is valid while `self` lives; so in all of these.
        unsafe { (self.host.instructions)(self.raw) }
    }

    /// Address and bytes of instruction `index`; bytes beyond its end are zero.
    pub(crate) fn instruction(&self, index: usize) -> (u64, [u8; LONGEST]) {
        let mut bytes = [0; LONGEST];
        // SAFETY: `index` is below `instructions`, or QEMU returns null and the rest is
        // left out. No more bytes are read than QEMU states, and no more are written than there is
        // room for.
        let address = unsafe {
            let instruction = (self.host.instruction)(self.raw, index);
            if instruction.is_null() {
                return (0, bytes);
            }
            match self.host.data {
                Data::Pointer(data) => {
                    let size = (self.host.size)(instruction).min(LONGEST);
                    let data = data(instruction);
                    core::ptr::copy_nonoverlapping(data, bytes.as_mut_ptr(), size);
                }
                Data::Copy(data) => {
                    data(instruction, bytes.as_mut_ptr(), LONGEST);
                }
            }
            (self.host.address)(instruction)
        };
        (address, bytes)
    }

    /// Has the whole block counted whenever it is executed.
    pub(crate) fn on_execution(&self, block: &'static Block) {
        // SAFETY: `block` lives for ever, and is what `block_executed` expects.
        unsafe {
            (self.host.on_execution)(self.raw, block_executed, NO_REGISTERS, pointer(block));
        }
    }

    /// Has `block` counted whenever instruction `index`, its first, is executed.
    pub(crate) fn on_first(&self, index: usize, block: &'static Block) {
        self.on_instruction(index, block_executed, pointer(block));
    }

    /// Has [`crate::passed`] called whenever instruction `index` is executed.
    pub(crate) fn on_marker(&self, index: usize, marker: &'static Marker) {
        self.on_instruction(index, marker_passed, pointer(marker));
    }

    fn on_instruction(&self, index: usize, executed: Executed, data: *mut c_void) {
        // SAFETY: as in `instruction`; `data` lives for ever, and both callers pair it
        // with the function that expects it.
        unsafe {
            let instruction = (self.host.instruction)(self.raw, index);
            if !instruction.is_null() {
                (self.host.on_instruction)(instruction, executed, NO_REGISTERS, data);
            }
        }
    }
}

/// Called by QEMU.
///
/// # Safety
/// `block` is a `&'static Block`.
unsafe extern "C" fn block_executed(_: c_uint, block: *mut c_void) {
    // SAFETY: only `on_execution` and `on_first` hand this function out.
    crate::counting::executed(unsafe { &*block.cast::<Block>() });
}

/// Called by QEMU.
///
/// # Safety
/// `marker` is a `&'static Marker`.
unsafe extern "C" fn marker_passed(_: c_uint, marker: *mut c_void) {
    // SAFETY: only `on_marker` hands this function out.
    crate::passed(unsafe { &*marker.cast::<Marker>() });
}

fn pointer<T>(item: &'static T) -> *mut c_void {
    core::ptr::from_ref(item).cast_mut().cast()
}

unsafe extern "C" {
    /// From the C library. [`EVERYWHERE`] searches the program and everything it has loaded.
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// `RTLD_DEFAULT`.
const EVERYWHERE: usize = if cfg!(target_os = "macos") {
    usize::MAX - 1
} else {
    0
};

/// Address of a function of QEMU, or null.
fn address_of(name: &CStr) -> *mut c_void {
    // SAFETY: the handle is one of the library's own, and `name` is a C string.
    unsafe { dlsym(core::ptr::without_provenance_mut(EVERYWHERE), name.as_ptr()) }
}

/// A function of QEMU.
///
/// # Safety
/// `F` is a pointer to a function of the type that QEMU's header gives it.
unsafe fn function<F: Copy>(name: &CStr) -> Result<F, String> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let address = address_of(name);
    if address.is_null() {
        return Err(format!("this QEMU has no {}", name.to_string_lossy()));
    }
    // SAFETY: both are pointers of one size; the caller promises the type.
    Ok(unsafe { core::mem::transmute_copy(&address) })
}

/// # Safety
/// `string` is a C string.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}
