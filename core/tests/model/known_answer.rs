//! Known answers on the model: a healthy device gives them, one that silently corrupts does not.

use warpdrive_core::engine::cipher::{self, Algorithm, Mode};
use warpdrive_core::engine::known_answer::prove;
use warpdrive_core::engine::rsa;
use warpdrive_core::engine::zip::{self, Direction, Format};
use warpdrive_core::{Job, Why};

use crate::{check_healthy, count, device, with_model};

fn jobs() -> [Job; 4] {
    [
        zip::job(Format::Zlib, Direction::Compress, 4096, false),
        zip::job(Format::Zlib, Direction::Decompress, 4096, false),
        cipher::job(Algorithm::Aes128, Mode::Cbc, 4096),
        rsa::job(128),
    ]
}

#[test]
fn healthy_device_gives_the_known_answers() {
    let classes = ["zip.compress", "zip.decompress", "sec.cipher", "hpre.rsa"];
    check_healthy("known_answer::proofs", &classes);
}

#[test]
fn corrupting_device_does_not_and_nothing_of_it_counts_as_proof() {
    for profile in ["kunpeng920", "kunpeng930", "kunpeng930-nosva"] {
        let plan = [("WARPDRIVE_MODEL_FAULTS", "zip:corrupt@%1;sec:corrupt@%1;hpre:corrupt@%1")];
        let (_, model) = with_model("known_answer::failures", profile, &plan);
        assert!(count(&model, "fault.corrupt") >= 4, "{profile}: {model:?}");
    }
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn proofs() {
    for job in jobs() {
        assert_eq!(device(job, |ch| prove(job.op, ch)).map_err(Why::name), Ok(()), "{:?}", job.op);
    }
}

#[test]
#[ignore = "run by the test above, under the device model"]
fn failures() {
    for job in jobs() {
        assert!(device(job, |ch| prove(job.op, ch)).is_err(), "{:?}", job.op);
    }
}
