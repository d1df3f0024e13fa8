//! docs/zlib-matrix.md: every symbol, what it does on a device, and who tests it. The device's column is measured: each
//! function is called on the device model, and what the device counted meanwhile says whether the call was served.
//! `UPDATE_DOCS=1 cargo test -p warpdrive-zlib --test matrix` writes the file anew; without, a stale one fails.
#![allow(unsafe_code, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};

use common::{Api, Stream, again_on_the_model, deflate_init, inflate_init, inflated, ours, sample, theirs};

const SYMBOLS: &str = include_str!("symbols.txt");
const LENGTH: usize = 200_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Requests that the device of this process has served; none without one.
fn requests() -> u64 {
    let Some(directory) = std::env::var_os("WARPDRIVE_STATS_DIR").filter(|_| common::on_the_model()) else {
        return 0;
    };
    let all = common::counters(Path::new(&directory));
    ["compress", "decompress"].iter().map(|op| all[&format!("device.zip.{op}.requests")]).sum()
}

/// What each function was seen to do.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, &'static str>);

impl Seen {
    /// Calls `name` by `f`; `begun` if the stream has been on the device.
    fn call<R>(&mut self, name: &'static str, begun: bool, f: impl FnOnce() -> R) -> R {
        let before = requests();
        let result = f();
        let what = match (requests() > before, begun) {
            (true, _) => "served",
            (false, true) => "in mid-stream",
            (false, false) => "software",
        };
        // Being served says most, plain software least.
        let rank = |what| ["software", "in mid-stream", "served"].iter().position(|&w| w == what);
        let entry = self.0.entry(name).or_insert(what);
        if rank(what) > rank(entry) {
            *entry = what;
        }
        result
    }
}

/// A deflate stream that has been on the device.
fn begun(api: &Api, data: &[u8], out: &mut [u8]) -> Box<Stream> {
    let mut s = Stream::new();
    assert_eq!(deflate_init(api, &mut s, 6, 15, 8, 0), 0);
    s.feed(data);
    s.room(out);
    // SAFETY: an open stream and live buffers.
    assert_eq!(unsafe { (api.deflate)(&mut *s, 0) }, 0);
    s
}

fn deflate_functions(api: &Api, seen: &mut Seen) {
    type Ask = fn(&Api, &mut Stream) -> c_int;
    let data = sample(0, LENGTH, 3);
    // SAFETY: (each) an open stream; null results are allowed, buffers are large enough.
    let asks: [(&'static str, Ask); 8] = unsafe {
        [
            ("deflateParams", |api, s| (api.deflateParams)(s, 9, 0)),
            ("deflateTune", |api, s| (api.deflateTune)(s, 8, 16, 128, 64)),
            ("deflatePrime", |api, s| (api.deflatePrime)(s, 0, 0)),
            ("deflatePending", |api, s| (api.deflatePending)(s, std::ptr::null_mut(), std::ptr::null_mut())),
            ("deflateBound", |api, s| c_int::from((api.deflateBound)(s, 100) < 100)),
            ("deflateGetDictionary", |api, s| {
                let (mut window, mut n) = (vec![0; 32 << 10], 0);
                (api.deflateGetDictionary)(s, window.as_mut_ptr(), &mut n) + c_int::from(n == 0)
            }),
            ("deflateCopy", |api, s| {
                let mut copy = Stream::new();
                let code = (api.deflateCopy)(&mut *copy, s);
                (api.deflateEnd)(&mut *copy);
                code
            }),
            ("deflateSetHeader", |api, s| -2 - (api.deflateSetHeader)(s, std::ptr::null_mut())),
        ]
    };
    for (name, ask) in asks {
        let mut out = vec![0; LENGTH * 2];
        let mut s = begun(api, &data, &mut out);
        assert_eq!(seen.call(name, true, || ask(api, &mut s)), 0, "{name}");
        // SAFETY: an open stream and live buffers.
        unsafe {
            assert_eq!(seen.call("deflate", true, || (api.deflate)(&mut *s, 4)), 1);
            assert!(inflated(&out[..s.total_out as usize], 15) == data, "after {name}");
            assert_eq!(seen.call("deflateEnd", true, || (api.deflateEnd)(&mut *s)), 0);
        }
    }
    for (name, reset) in [("deflateReset", api.deflateReset), ("deflateResetKeep", api.deflateResetKeep)] {
        let mut out = vec![0; LENGTH * 2];
        let mut s = begun(api, &data, &mut out);
        // SAFETY: an open stream.
        unsafe {
            assert_eq!(seen.call(name, true, || reset(&mut *s)), 0);
            (api.deflateEnd)(&mut *s);
        }
    }
    let (mut s, mut out) = (Stream::new(), vec![0; LENGTH * 2]);
    seen.call("deflateInit2_", false, || deflate_init(api, &mut s, 6, 15, 8, 0));
    // SAFETY: an open stream and live buffers.
    unsafe {
        seen.call("deflateSetDictionary", false, || (api.deflateSetDictionary)(&mut *s, data.as_ptr(), 1000));
        s.feed(&data);
        s.room(&mut out);
        assert_eq!(seen.call("deflate", false, || (api.deflate)(&mut *s, 4)), 1);
        (api.deflateEnd)(&mut *s);
    }
}

fn inflate_functions(api: &Api, seen: &mut Seen) {
    type Ask = fn(&Api, &mut Stream) -> c_int;
    let data = sample(0, LENGTH, 3);
    let packed = common::deflated(theirs(), &data, 6, 15);
    // SAFETY: (each) an open stream; buffers are large enough.
    let asks: [(&'static str, Ask); 11] = unsafe {
        [
            ("inflateCopy", |api, s| {
                let mut copy = Stream::new();
                let code = (api.inflateCopy)(&mut *copy, s);
                (api.inflateEnd)(&mut *copy);
                code
            }),
            ("inflateGetDictionary", |api, s| {
                let (mut window, mut n) = (vec![0; 32 << 10], 0);
                (api.inflateGetDictionary)(s, window.as_mut_ptr(), &mut n) + c_int::from(n == 0)
            }),
            ("inflateMark", |api, s| c_int::from((api.inflateMark)(s) == i64::MIN)),
            ("inflatePrime", |api, s| (api.inflatePrime)(s, 0, 0)),
            ("inflateSyncPoint", |api, s| (api.inflateSyncPoint)(s)),
            ("inflateCodesUsed", |api, s| c_int::from((api.inflateCodesUsed)(s) > 2000)),
            ("inflateValidate", |api, s| (api.inflateValidate)(s, 1)),
            ("inflateUndermine", |api, s| 3 + (api.inflateUndermine)(s, 1)),
            ("inflateSetDictionary", |api, s| 2 + (api.inflateSetDictionary)(s, [0].as_ptr(), 1)),
            ("inflateGetHeader", |api, s| 2 + (api.inflateGetHeader)(s, std::ptr::null_mut())),
            ("inflateSync", |api, s| {
                let mut copy = Stream::new();
                (api.inflateCopy)(&mut *copy, s);
                let code = (api.inflateSync)(&mut *copy);
                (api.inflateEnd)(&mut *copy);
                c_int::from(!matches!(code, 0 | -3 | -5))
            }),
        ]
    };
    let half = |out: &mut [u8]| {
        let mut s = Stream::new();
        assert_eq!(inflate_init(api, &mut s, 15), 0);
        s.feed(&packed[..packed.len() / 2]);
        s.room(out);
        // SAFETY: an open stream and live buffers.
        assert_eq!(unsafe { (api.inflate)(&mut *s, 0) }, 0);
        s
    };
    for (name, ask) in asks {
        let mut out = vec![0; LENGTH + 1];
        let mut s = half(&mut out);
        assert_eq!(seen.call(name, true, || ask(api, &mut s)), 0, "{name}");
        s.feed(&packed[s.total_in as usize..]);
        // SAFETY: an open stream and live buffers.
        unsafe {
            assert_eq!(seen.call("inflate", true, || (api.inflate)(&mut *s, 0)), 1, "after {name}");
            assert!(out[..LENGTH] == data, "after {name}");
            assert_eq!(seen.call("inflateEnd", true, || (api.inflateEnd)(&mut *s)), 0);
        }
    }
    type Reset = fn(&Api, &mut Stream) -> c_int;
    // SAFETY: (each) an open stream.
    let resets: [(&'static str, Reset); 3] = unsafe {
        [
            ("inflateReset", |api, s| (api.inflateReset)(s)),
            ("inflateReset2", |api, s| (api.inflateReset2)(s, 47)),
            ("inflateResetKeep", |api, s| (api.inflateResetKeep)(s)),
        ]
    };
    for (name, reset) in resets {
        let mut out = vec![0; LENGTH + 1];
        let mut s = half(&mut out);
        assert_eq!(seen.call(name, true, || reset(api, &mut s)), 0);
        s.feed(&packed);
        s.room(&mut out);
        // SAFETY: an open stream and live buffers.
        unsafe {
            assert_eq!(seen.call("inflate", false, || (api.inflate)(&mut *s, 0)), 1, "after {name}");
            (api.inflateEnd)(&mut *s);
        }
    }
    let mut s = Stream::new();
    seen.call("inflateInit2_", false, || inflate_init(api, &mut s, 15));
    // SAFETY: an open stream.
    unsafe { (api.inflateEnd)(&mut *s) };
}

unsafe extern "C" fn pull(context: *mut c_void, next: *mut *const u8) -> u32 {
    // SAFETY: the caller's slice, given once, and the library's variable.
    unsafe {
        let input = std::mem::take(&mut *context.cast::<&[u8]>());
        next.write(input.as_ptr());
        input.len() as u32
    }
}

unsafe extern "C" fn push(_: *mut c_void, _: *mut u8, _: u32) -> c_int {
    0
}

fn whole_functions(api: &Api, seen: &mut Seen) {
    let data = sample(0, LENGTH, 3);
    let raw = common::deflated(theirs(), &data, 6, -15);
    let room = common::Room::new();
    let path = CString::new(room.0.join("file.gz").to_str().expect("UTF-8 path")).unwrap();
    // SAFETY: live buffers of the stated lengths, open streams and handles.
    unsafe {
        let (mut s, mut window) = (Stream::new(), vec![0; 32 << 10]);
        let (version, size) = (c"1.2.11".as_ptr(), size_of::<Stream>() as c_int);
        let init = || (api.inflateBackInit_)(&mut *s, 15, window.as_mut_ptr(), version, size);
        assert_eq!(seen.call("inflateBackInit_", false, init), 0);
        let mut input = &raw[..];
        let context = (&raw mut input).cast::<c_void>();
        let back = || (api.inflateBack)(&mut *s, Some(pull), context, Some(push), std::ptr::null_mut());
        assert_eq!(seen.call("inflateBack", false, back), 1);
        assert_eq!(seen.call("inflateBackEnd", true, || (api.inflateBackEnd)(&mut *s)), 0);

        let mut made = seen.call("compressBound", false, || (api.compressBound)(LENGTH as u64));
        let mut out = vec![0; made as usize];
        let (from, n) = (data.as_ptr(), LENGTH as u64);
        assert_eq!(
            seen.call("compress2", false, || (api.compress2)(out.as_mut_ptr(), &mut made, from, n, 6)),
            0
        );
        let (mut back, mut length, mut used) = (vec![0; LENGTH], LENGTH as u64, made);
        let get = || (api.uncompress2)(back.as_mut_ptr(), &mut length, out.as_ptr(), &mut used);
        assert_eq!(seen.call("uncompress2", false, get), 0);

        let file = seen.call("gzopen", false, || (api.gzopen)(path.as_ptr(), c"wb".as_ptr()));
        seen.call("gzbuffer", false, || (api.gzbuffer)(file, 100_000));
        seen.call("gzwrite", true, || (api.gzwrite)(file, data.as_ptr(), LENGTH as u32));
        seen.call("gzputs", true, || (api.gzputs)(file, c"words\n".as_ptr()));
        seen.call("gzputc", true, || (api.gzputc)(file, 65));
        seen.call("gzsetparams", true, || (api.gzsetparams)(file, 9, 0));
        seen.call("gzflush", true, || (api.gzflush)(file, 2));
        seen.call("gzclose", true, || (api.gzclose)(file));
        let file = (api.gzopen)(path.as_ptr(), c"rb".as_ptr());
        seen.call("gzread", true, || (api.gzread)(file, back.as_mut_ptr(), 50_000));
        seen.call("gzgets", true, || (api.gzgets)(file, back.as_mut_ptr().cast(), 1000));
        seen.call("gzgetc", true, || (api.gzgetc)(file));
        seen.call("gzungetc", true, || (api.gzungetc)(65, file));
        seen.call("gzseek", true, || (api.gzseek)(file, 100, 0));
        seen.call("gztell", true, || (api.gztell)(file));
        seen.call("gzoffset", true, || (api.gzoffset)(file));
        seen.call("gzeof", true, || (api.gzeof)(file));
        seen.call("gzdirect", true, || (api.gzdirect)(file));
        seen.call("gzerror", true, || (api.gzerror)(file, std::ptr::null_mut()));
        seen.call("gzclearerr", true, || (api.gzclearerr)(file));
        seen.call("gzrewind", true, || (api.gzrewind)(file));
        (api.gzclose)(file);

        seen.call("crc32", false, || (api.crc32)(0, from, 1000));
        seen.call("adler32", false, || (api.adler32)(1, from, 1000));
        assert!(!CStr::from_ptr(seen.call("zlibVersion", false, || (api.zlibVersion)())).is_empty());
    }
}

#[test]
fn every_function_does_what_it_did() {
    let mut seen = Seen::default();
    deflate_functions(ours(), &mut seen);
    inflate_functions(ours(), &mut seen);
    whole_functions(ours(), &mut seen);
    let text: String = seen.0.iter().map(|(name, what)| format!("{name} {what}\n")).collect();
    // In software here, and run again on the model by the test below, which wants to know.
    if let Some(record) = std::env::var_os("MATRIX") {
        std::fs::write(record, text).unwrap();
    }
}

/// Test files that call `name`: those of this crate as `.name)` or `name:` of the interface table, C programs plainly.
fn tested_by(name: &str, texts: &[(String, String)]) -> Vec<String> {
    let called = |text: &str| {
        let at = |start: usize| {
            let end = start + name.len();
            let before = text[..start].chars().next_back();
            let after = text[end..].chars().next();
            let whole = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
            whole(before) && whole(after) && after.is_some_and(|c| matches!(c, ')' | '(' | ',' | ':'))
        };
        text.match_indices(name).any(|(start, _)| at(start))
    };
    texts.iter().filter(|(_, text)| called(text)).map(|(file, _)| file.clone()).collect()
}

/// The tests' texts, by a short name.
fn texts() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for directory in ["zlib-shim/tests", "zlib-shim/tests/sequences", "cli/tests/programs"] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let program = name.ends_with(".rs") || name.ends_with(".c");
            if program && !matches!(name.as_str(), "exports.rs" | "mod.rs") {
                let name = if directory.ends_with("sequences") { format!("calls ({name})") } else { name };
                all.push((name.replace(".rs", ""), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_matrix_is_what_is_seen() {
    let room = common::Room::new();
    let record = room.0.join("record");
    again_on_the_model("every_function_does_what_it_did", &[("MATRIX", record.to_str().unwrap())]);
    let record = std::fs::read_to_string(record).unwrap();
    let seen: BTreeMap<_, _> = record.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let texts = texts();
    let mut page = include_str!("matrix.md").to_owned();
    for line in SYMBOLS.lines() {
        let (name, version) = line.split_once("@@").unwrap_or((line, ""));
        let device = seen.get(name).copied().unwrap_or("not looked at");
        let tests = tested_by(name, &texts).join(", ");
        let tests = if tests.is_empty() { "exports".to_owned() } else { tests };
        page.push_str(&format!("| `{name}` | {version} | {device} | yes | {tests} |\n"));
    }
    let file = root().join("docs/zlib-matrix.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == page,
        "docs/zlib-matrix.md is stale: UPDATE_DOCS=1 cargo test -p warpdrive-zlib --test matrix"
    );
}
