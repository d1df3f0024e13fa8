//! Rules for single programs: sections `[program "NAME"]` of the configuration file, whose keys hold only in
//! processes of that name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use once_cell::unsync::OnceCell;

/// Longest name that the kernel keeps of a thread (TASK_COMM_LEN less the NUL).
const COMM: usize = 15;
/// Longest beginning of a command line that is looked at.
const COMMAND_LINE: u64 = 4096;

/// The names of a process, found out when a rule first asks: most configurations have none, and then nothing is read.
pub(super) struct Names<'a> {
    find: &'a dyn Fn() -> Vec<String>,
    found: OnceCell<Vec<String>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(find: &'a dyn Fn() -> Vec<String>) -> Self {
        Names { find, found: OnceCell::new() }
    }

    pub(super) fn are(&self, name: &str) -> bool {
        self.found.get_or_init(self.find).iter().any(|own| own == name)
    }
}

/// The names by which this process is known: its executable's; the one it was called by, which differs for links such as
/// `python3`; and for a script that was started by its `#!` line the script's.
pub fn names() -> Vec<String> {
    let executable = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let read = |file| {
        use std::io::Read;
        let mut bytes = Vec::new();
        // What cannot be read has no names.
        let _ = std::fs::File::open(file).and_then(|file| file.take(COMMAND_LINE).read_to_end(&mut bytes));
        bytes
    };
    names_of(&executable, &read("/proc/self/cmdline"), &read("/proc/self/comm"))
}

/// From the executable's path, the arguments (each ended by NUL), and the kernel's name of the process.
fn names_of(executable: &Path, command_line: &[u8], comm: &[u8]) -> Vec<String> {
    let base = |path: &[u8]| {
        let name = Path::new(OsStr::from_bytes(path)).file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let executable = base(executable.as_os_str().as_bytes());
    // An upgrade has replaced the file under the running program.
    let executable = executable.strip_suffix(" (deleted)").unwrap_or(&executable).to_owned();
    let mut arguments = command_line.split(|byte| *byte == 0);
    let called = base(arguments.next().unwrap_or_default());
    let comm = String::from_utf8_lossy(comm.trim_ascii_end()).into_owned();
    // The kernel names a process after the script that it was told to execute; the interpreter finds the script among
    // its arguments, behind options of the `#!` line if there are any.
    let cut = |name: &str| name.bytes().take(COMM).collect::<Vec<u8>>();
    let is_script = |name: &String| !comm.is_empty() && cut(name) == comm.as_bytes();
    let script = arguments.take(2).map(base).find(is_script);
    let mut names = vec![executable, called];
    names.extend(script);
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

/// The program that a section's head names.
///
/// # Errors
/// What is expected instead.
pub(super) fn head(line: &str) -> Result<&str, &'static str> {
    let expected = "expected [program \"NAME\"]";
    let inside = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).ok_or(expected)?;
    let name = inside.trim().strip_prefix("program").ok_or(expected)?.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).ok_or(expected)?;
    if name.is_empty() || name.contains(['"', '/']) { Err(expected) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(executable: &str, command_line: &str, comm: &str) -> Vec<String> {
        names_of(Path::new(executable), command_line.as_bytes(), comm.as_bytes())
    }

    #[test]
    fn programs_are_known_by_file_and_by_call() {
        assert_eq!(of("/usr/bin/git", "git\0gc\0", "git\n"), ["git"]);
        assert_eq!(
            of("/usr/bin/python3.11", "/usr/bin/python3\0x.py\0", "python3\n"),
            ["python3.11", "python3"]
        );
        assert_eq!(
            of("/usr/sbin/nginx (deleted)", "nginx: worker process\0", "nginx\n"),
            ["nginx", "nginx: worker process"]
        );
        assert_eq!(of("", "", ""), [""; 0]);
    }

    #[test]
    fn scripts_are_known_by_their_own_name_only_if_they_were_executed() {
        let python = "/usr/bin/python3.11";
        let line = "/usr/bin/python3\0/usr/bin/ansible\0all\0";
        assert_eq!(of(python, line, "ansible\n"), ["python3.11", "python3", "ansible"]);
        assert_eq!(
            of(python, "python3\0-Es\0/usr/bin/a-name-of-twenty-two\0", "a-name-of-twent\n"),
            ["python3.11", "python3", "a-name-of-twenty-two"]
        );
        // A file that happens to have the name of a program.
        assert_eq!(of("/usr/bin/gzip", "gzip\0git\0", "gzip\n"), ["gzip"]);
    }

    #[test]
    fn this_test_knows_its_name() {
        let own = std::env::current_exe().unwrap();
        assert!(names().contains(&own.file_name().unwrap().to_string_lossy().into_owned()));
    }

    #[test]
    fn heads_name_one_program() {
        assert_eq!(head(r#"[program "git"]"#), Ok("git"));
        assert_eq!(head(r#"[ program   "my tool" ]"#), Ok("my tool"));
        for bad in [
            "[git]",
            "[program git]",
            r#"[program ""]"#,
            r#"[program "/usr/bin/git"]"#,
            "[",
            r#"[program "a""#,
        ] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
