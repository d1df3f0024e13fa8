//! Replays the seeds, and a fixed sequence of pseudo-random inputs, through every target.

use std::path::Path;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 6] = [
    ("zip", warpdrive_fuzz::zip),
    ("cipher", warpdrive_fuzz::cipher),
    ("rsa", warpdrive_fuzz::rsa),
    ("config", warpdrive_fuzz::config),
    ("header", warpdrive_fuzz::header),
    ("stats", warpdrive_fuzz::stats),
];

#[test]
fn seeds_keep_every_promise() {
    for (name, target) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut count = 0;
        for entry in std::fs::read_dir(&directory).unwrap() {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}

#[test]
fn arbitrary_inputs_keep_every_promise() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (_, target) in TARGETS {
        for _ in 0..300 {
            let length = next() as usize % 300;
            let input: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            target(&input);
        }
    }
}
