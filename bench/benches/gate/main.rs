//! The gate's studies on virtual time: figures to standard output, graphs to docs/. Nothing is measured here: the
//! figures follow from the model of the device, the assumed cost of software, and the code of the gate, to the digit.

// Used in part by each of the programs that share it.
#[allow(dead_code)]
#[path = "../../tests/virtual_time/link.rs"]
mod link;
mod study;
mod svg;
mod world;

use std::path::Path;

use study::{Comparison, FAST, Ratios, SLOW, changing, changing_at, constant, seconds};
use svg::{Line, Panel};
use world::{Part, SECOND, TASKS};

/// Length of a study of a device that stays as it is; the first second is not judged.
const CONSTANT: u64 = 5 * SECOND;
/// How long a changing device stays slow, or fast.
const STEP: u64 = 10 * SECOND;
/// Callers under a steady load, and the time between two requests of one of them in software times.
const LOADED: usize = 8;
const LOAD: u64 = 16;
/// Bins of a graph.
const BINS: usize = 200;

fn main() -> std::io::Result<()> {
    println!("the gate over the better of always-device and always-software (1: as good; policy latency)\n");
    println!("{:16} {:>7}  {:46} {:>10} {:>6}", "", "callers", "device", "throughput", "p99");
    let mut steady = Vec::new();
    for task in TASKS {
        for (factor, what) in [(SLOW, "10 times slower than software"), (FAST, "10 times faster")] {
            for callers in [1, 4] {
                let parts = (CONSTANT / SECOND) as usize;
                let ratios = constant(task, callers, factor, CONSTANT, parts).ratios(1, parts);
                row(task.name, callers, what, ratios);
            }
            // What happens before: the first samples.
            let start = constant(task, 1, factor, 60 * task.software_ns, 30);
            steady.push(panel(&start, &format!("{}, device {what}", task.name)));
        }
    }
    let mut following = Vec::new();
    for task in TASKS {
        let many = if task.software_ns < 100_000 { vec![1] } else { vec![1, 4] };
        for callers in many {
            let comparison = changing(task, callers, STEP, BINS);
            row(task.name, callers, "slow and fast, 10 s each; 40 s", comparison.ratios(0, BINS));
            let step = BINS / 4;
            let steps = (0..4).map(|n| comparison.ratios(n * step, (n + 1) * step));
            let worst = steps.fold(Ratios { throughput: f64::MAX, p99: f64::MAX }, |worst, now| Ratios {
                throughput: worst.throughput.min(now.throughput),
                p99: worst.p99.min(now.p99),
            });
            row(task.name, callers, "  its worst step, by that step's best", worst);
            if callers == 1 {
                following.push(panel(&comparison, task.name));
            }
        }
    }
    for task in TASKS {
        let loaded = changing_at(task, LOADED, LOAD * task.software_ns, STEP, 1).ratios(0, 1);
        row(task.name, LOADED, "slow and fast, 40 s, load half of software's", loaded);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let write = |name: &str, text: String| {
        std::fs::write(docs.join(name), text)?;
        println!("docs/{name}");
        Ok::<_, std::io::Error>(())
    };
    println!();
    let title = "A device that is 10 times slower, then 10 times faster than software";
    write("gate-changing.svg", svg::draw(title, "requests / s", &following))?;
    let title = "The first requests of a process: what is assumed gives way to what is measured";
    write("gate-start.svg", svg::draw(title, "requests / s", &steady))
}

fn row(task: &str, callers: usize, what: &str, ratios: Ratios) {
    println!("{task:16} {callers:>7}  {what:46} {:>10.3} {:>6.3}", ratios.throughput, ratios.p99);
}

fn panel(comparison: &Comparison, title: &str) -> Panel {
    let length = seconds(comparison.study.length);
    let line = |name, color, parts: &[Part]| {
        let rate = |part: &Part| part.requests as f64 * parts.len() as f64 / length;
        Line { name, color, values: parts.iter().map(rate).collect() }
    };
    let lines = vec![
        line("always device", "#c66", &comparison.device),
        line("always software", "#66c", &comparison.software),
        line("the gate", "#000", &comparison.gate),
    ];
    Panel { title: title.to_owned(), seconds: length, lines }
}
