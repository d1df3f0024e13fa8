//! Both libraries side by side: ours and the system's zlib, opened by path, so that neither sees the other's
//! symbols. The shared objects come from `cargo build --workspace`, which has to run first: `cargo test` alone
//! makes neither of them.
#![allow(unsafe_code, dead_code, missing_docs)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::path::PathBuf;
use std::process::Command;

use proptest::test_runner::{Config, TestRunner};

#[repr(C)]
pub struct Stream {
    pub next_in: *const u8,
    pub avail_in: c_uint,
    pub total_in: c_ulong,
    pub next_out: *mut u8,
    pub avail_out: c_uint,
    pub total_out: c_ulong,
    pub msg: *const c_char,
    pub state: *mut c_void,
    pub zalloc: Option<unsafe extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void>,
    pub zfree: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

impl Stream {
    pub fn new() -> Box<Stream> {
        // SAFETY: all zero is what C programs start with; every field allows it.
        Box::new(unsafe { std::mem::zeroed() })
    }

    pub fn message(&self) -> String {
        if self.msg.is_null() {
            return String::new();
        }
        // SAFETY: a zlib message is NUL-terminated.
        unsafe { CStr::from_ptr(self.msg) }.to_string_lossy().into_owned()
    }

    pub fn feed(&mut self, input: &[u8]) {
        self.next_in = input.as_ptr();
        self.avail_in = input.len() as c_uint;
    }

    pub fn room(&mut self, output: &mut [u8]) {
        self.next_out = output.as_mut_ptr();
        self.avail_out = output.len() as c_uint;
    }
}

type S = *mut Stream;
/// inflateBack's callbacks.
pub type Pull = unsafe extern "C" fn(*mut c_void, *mut *const u8) -> c_uint;
pub type Push = unsafe extern "C" fn(*mut c_void, *mut u8, c_uint) -> c_int;

macro_rules! api {
    ($($name:ident: fn($($ty:ty),*) -> $ret:ty;)*) => {
        #[allow(non_snake_case)]
        pub struct Api { $(pub $name: unsafe extern "C" fn($($ty),*) -> $ret,)* }

        impl Api {
            fn from(library: *mut c_void) -> Api {
                Api { $($name: {
                    let name = CString::new(stringify!($name)).unwrap();
                    // SAFETY: a live library and a NUL-terminated name.
                    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
                    assert!(!found.is_null(), "{name:?} is missing");
                    // SAFETY: the documented signature.
                    unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) -> $ret>(found) }
                },)* }
            }
        }
    };
}

api! {
    deflateInit2_: fn(S, c_int, c_int, c_int, c_int, c_int, *const c_char, c_int) -> c_int;
    deflate: fn(S, c_int) -> c_int;
    deflateEnd: fn(S) -> c_int;
    deflateReset: fn(S) -> c_int;
    deflateResetKeep: fn(S) -> c_int;
    deflateParams: fn(S, c_int, c_int) -> c_int;
    deflateTune: fn(S, c_int, c_int, c_int, c_int) -> c_int;
    deflatePrime: fn(S, c_int, c_int) -> c_int;
    deflatePending: fn(S, *mut c_uint, *mut c_int) -> c_int;
    deflateSetDictionary: fn(S, *const u8, c_uint) -> c_int;
    deflateGetDictionary: fn(S, *mut u8, *mut c_uint) -> c_int;
    deflateSetHeader: fn(S, *mut c_void) -> c_int;
    deflateBound: fn(S, c_ulong) -> c_ulong;
    deflateCopy: fn(S, S) -> c_int;
    inflateInit2_: fn(S, c_int, *const c_char, c_int) -> c_int;
    inflate: fn(S, c_int) -> c_int;
    inflateEnd: fn(S) -> c_int;
    inflateReset: fn(S) -> c_int;
    inflateReset2: fn(S, c_int) -> c_int;
    inflateResetKeep: fn(S) -> c_int;
    inflateCodesUsed: fn(S) -> c_ulong;
    inflateGetHeader: fn(S, *mut c_void) -> c_int;
    inflateSync: fn(S) -> c_int;
    inflateSyncPoint: fn(S) -> c_int;
    inflateMark: fn(S) -> c_long;
    inflatePrime: fn(S, c_int, c_int) -> c_int;
    inflateValidate: fn(S, c_int) -> c_int;
    inflateUndermine: fn(S, c_int) -> c_int;
    inflateSetDictionary: fn(S, *const u8, c_uint) -> c_int;
    inflateGetDictionary: fn(S, *mut u8, *mut c_uint) -> c_int;
    inflateCopy: fn(S, S) -> c_int;
    inflateBackInit_: fn(S, c_int, *mut u8, *const c_char, c_int) -> c_int;
    inflateBack: fn(S, Option<Pull>, *mut c_void, Option<Push>, *mut c_void) -> c_int;
    inflateBackEnd: fn(S) -> c_int;
    compress2: fn(*mut u8, *mut c_ulong, *const u8, c_ulong, c_int) -> c_int;
    compressBound: fn(c_ulong) -> c_ulong;
    uncompress2: fn(*mut u8, *mut c_ulong, *const u8, *mut c_ulong) -> c_int;
    crc32: fn(c_ulong, *const u8, c_uint) -> c_ulong;
    adler32: fn(c_ulong, *const u8, c_uint) -> c_ulong;
    crc32_combine: fn(c_ulong, c_ulong, c_long) -> c_ulong;
    adler32_combine: fn(c_ulong, c_ulong, c_long) -> c_ulong;
    crc32_combine_gen: fn(c_long) -> c_ulong;
    crc32_combine_op: fn(c_ulong, c_ulong, c_ulong) -> c_ulong;
    get_crc_table: fn() -> *const u32;
    zError: fn(c_int) -> *const c_char;
    zlibCompileFlags: fn() -> c_ulong;
    zlibVersion: fn() -> *const c_char;
    gzopen: fn(*const c_char, *const c_char) -> *mut c_void;
    gzread: fn(*mut c_void, *mut u8, c_uint) -> c_int;
    gzwrite: fn(*mut c_void, *const u8, c_uint) -> c_int;
    gzgetc: fn(*mut c_void) -> c_int;
    gzungetc: fn(c_int, *mut c_void) -> c_int;
    gzgets: fn(*mut c_void, *mut c_char, c_int) -> *mut c_char;
    gzputs: fn(*mut c_void, *const c_char) -> c_int;
    gzputc: fn(*mut c_void, c_int) -> c_int;
    gzflush: fn(*mut c_void, c_int) -> c_int;
    gzseek: fn(*mut c_void, c_long, c_int) -> c_long;
    gztell: fn(*mut c_void) -> c_long;
    gzoffset: fn(*mut c_void) -> c_long;
    gzrewind: fn(*mut c_void) -> c_int;
    gzeof: fn(*mut c_void) -> c_int;
    gzdirect: fn(*mut c_void) -> c_int;
    gzerror: fn(*mut c_void, *mut c_int) -> *const c_char;
    gzclearerr: fn(*mut c_void) -> ();
    gzsetparams: fn(*mut c_void, c_int, c_int) -> c_int;
    gzbuffer: fn(*mut c_void, c_uint) -> c_int;
    gzclose: fn(*mut c_void) -> c_int;
}

// SAFETY: function pointers of libraries that stay loaded.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

/// A shared object of this build: next to the test program's directory, or in it, whichever is newer.
pub fn built(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    let deps = exe.parent().expect("a directory");
    let profile = deps.parent().expect("a directory");
    let newest = [profile.join(name), deps.join(name)]
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    newest.unwrap_or_else(|| panic!("{name} is not built: run cargo build --workspace first")).1
}

fn open(path: &str) -> Api {
    let name = CString::new(path).unwrap();
    // SAFETY: a NUL-terminated path; the libraries' constructors have no precondition.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "cannot open {path}");
    Api::from(library)
}

pub fn ours() -> &'static Api {
    static API: std::sync::OnceLock<Api> = std::sync::OnceLock::new();
    API.get_or_init(|| open(built("libwarpdrive_z.so").to_str().expect("UTF-8 path")))
}

pub fn theirs() -> &'static Api {
    static API: std::sync::OnceLock<Api> = std::sync::OnceLock::new();
    API.get_or_init(|| open(&system_zlib()))
}

/// The distribution's zlib, by path: the search path of a test may lead to a drop-in of ours.
pub fn system_zlib() -> String {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["/lib/", "/usr/lib/"]
        .into_iter()
        .flat_map(|lib| {
            [format!("{lib}{multiarch}/libz.so.1"), format!("{}64/libz.so.1", lib.trim_end_matches('/'))]
        })
        .find(|path| std::path::Path::new(path).exists())
        .expect("the system has a zlib")
}

pub fn deflate_init(api: &Api, s: &mut Stream, level: i32, bits: i32, mem: i32, strategy: i32) -> i32 {
    // SAFETY: a zeroed stream.
    unsafe { (api.deflateInit2_)(s, level, 8, bits, mem, strategy, c"1.2.11".as_ptr(), 112) }
}

pub fn inflate_init(api: &Api, s: &mut Stream, bits: i32) -> i32 {
    // SAFETY: a zeroed stream.
    unsafe { (api.inflateInit2_)(s, bits, c"1.2.11".as_ptr(), 112) }
}

/// Compresses in one call of the given library.
pub fn deflated(api: &Api, data: &[u8], level: i32, bits: i32) -> Vec<u8> {
    let mut s = Stream::new();
    assert_eq!(deflate_init(api, &mut s, level, bits, 8, 0), 0);
    // SAFETY: an open stream and live buffers.
    unsafe {
        // At level 0 in a small window, zlib 1.2.13 needs more than its own bound; ours for no data as much as zlib.
        let small = level == 0 && bits.unsigned_abs() & 15 < 15;
        let beyond = match (small, std::ptr::eq(api, theirs())) {
            (false, _) => 0,
            (true, true) => 8 + data.len() / 64,
            (true, false) => usize::from(data.is_empty()),
        };
        let mut out = vec![0; (api.deflateBound)(&mut *s, data.len() as c_ulong) as usize + beyond];
        s.feed(data);
        s.room(&mut out);
        assert_eq!((api.deflate)(&mut *s, 4), 1, "one call within deflateBound");
        out.truncate(s.total_out as usize);
        assert_eq!((api.deflateEnd)(&mut *s), 0);
        out
    }
}

/// Keeps the breaker closed (1000 faults in a row is the most its key takes). A device still rests after a fault, for
/// some time: only the first planned fault is certain to be met.
pub const EVERY_FAULT: (&str, &str) = ("WARPDRIVE_BREAKER_FAULTS", "1000");

/// Decompresses everything with the system's zlib.
pub fn inflated(data: &[u8], bits: i32) -> Vec<u8> {
    let (api, mut s) = (theirs(), Stream::new());
    assert_eq!(inflate_init(api, &mut s, bits), 0);
    s.feed(data);
    let (mut all, mut out) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        let code = unsafe { (api.inflate)(&mut *s, 0) };
        all.extend_from_slice(&out[..out.len() - s.avail_out as usize]);
        match code {
            0 => {}
            1 => break,
            code => panic!("zlib cannot read it back: {code} {}", s.message()),
        }
    }
    assert_eq!(s.avail_in, 0, "all of the stream is used");
    // SAFETY: an open stream.
    unsafe { (api.inflateEnd)(&mut *s) };
    all
}

/// A property's run: `usual` cases, more or fewer as `PROPTEST_CASES` stands to its default of 256.
pub fn cases(usual: u32) -> TestRunner {
    let config = Config::default();
    let cases = u64::from(usual) * u64::from(config.cases) / 256;
    TestRunner::new(Config { cases: cases.max(1) as u32, failure_persistence: None, ..config })
}

/// Data of several kinds: 0 text, 1 noise, 2 zeros, 3 a mixture.
pub fn sample(kind: u8, length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    match kind % 4 {
        0 => {
            let words = ["queue", "ring", "phase", "the ", "of ", "descriptor ", "\n", "doorbell, ", "0123 "];
            let mut text = Vec::with_capacity(length + 16);
            while text.len() < length {
                text.extend(words[next() as usize % words.len()].bytes());
            }
            text.truncate(length);
            text
        }
        1 => (0..length).map(|_| next() as u8).collect(),
        2 => vec![0; length],
        _ => (0..length).map(|i| if (i >> 12) % 2 == 0 { next() as u8 } else { (i % 7) as u8 }).collect(),
    }
}

/// Runs one test of this program again in a process of its own, with the device model and `env`, in which
/// every size goes to the device; fails if it does.
pub fn again_on_the_model(test: &str, env: &[(&str, &str)]) -> Counters {
    again(test, built("libwarpdrive_device_model.so").to_str().expect("UTF-8 path"), env)
}

/// As [`again_on_the_model`], with something else preloaded.
pub fn again(test: &str, preload: &str, env: &[(&str, &str)]) -> Counters {
    let room = Room::new();
    let output = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1", "--include-ignored"])
        .env("LD_PRELOAD", preload)
        .env("WARPDRIVE_MODEL_DIR", room.0.join("model"))
        .env("WARPDRIVE_STATS_DIR", room.0.join("stats"))
        // What the model takes is its software engines' time.
        .env("WARPDRIVE_POLICY", "device")
        .env("WARPDRIVE_ZIP_COMPRESS_MIN", "1")
        .env("WARPDRIVE_ZIP_DECOMPRESS_MIN", "1")
        // No plan here drops a request: a deadline could only strike because the machine is busy.
        .env("WARPDRIVE_DEADLINE_MS", "30000")
        .env("ON_THE_MODEL", "1")
        // Plans count the requests of the test itself.
        .env("WARPDRIVE_KNOWN_ANSWER", "off")
        .envs(env.iter().copied())
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} with {env:?}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let model = counters(&room.0.join("model"));
    // not even under a fault plan: what is refused is our own mistake
    let refused: Vec<_> =
        model.iter().filter(|(name, value)| name.starts_with("refused") && **value > 0).collect();
    let log = std::fs::read_to_string(room.0.join("model/model.log")).unwrap_or_default();
    assert!(refused.is_empty(), "{test} with {env:?}: the device's tables were broken: {refused:?}\n{log}");
    Counters { core: counters(&room.0.join("stats")), model }
}

/// Whether this process was started by [`again_on_the_model`].
pub fn on_the_model() -> bool {
    std::env::var_os("ON_THE_MODEL").is_some()
}

pub type Count = std::collections::BTreeMap<String, u64>;

/// What core and model counted.
pub struct Counters {
    pub core: Count,
    pub model: Count,
}

/// A directory that goes away.
pub struct Room(pub PathBuf);

impl Room {
    pub fn new() -> Room {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wdz-{}-{number}", std::process::id()));
        // of a process of the same number that was killed
        let _ = std::fs::remove_dir_all(&path);
        for part in ["model", "stats"] {
            std::fs::create_dir_all(path.join(part)).expect("a temporary directory");
        }
        Room(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sums the counters of a directory, by name (docs/statistics.md).
pub fn counters(directory: &std::path::Path) -> Count {
    warpdrive_core::stats::read_dir(directory).expect("a directory of counters")
}
