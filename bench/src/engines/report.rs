//! What is printed.

use std::collections::BTreeMap;

use crate::cells::Row;
use crate::contender::Contender;

/// No cell may be slower than this, in times of Debian's zlib.
const FLOOR: f64 = 0.95;
/// … nor than this, in times of the best engine with as small an output.
const BEST: f64 = 0.9;
/// Outputs that differ by less are of the same size.
const SAME_SIZE: f64 = 1.01;

fn field(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

/// One cell: our ratio with its lower bound, the others' ratios, and outputs in percent of Debian's.
pub fn print(row: &Row, contenders: &[Contender]) {
    let mut line = format!("{:48}", row.name);
    for (i, contender) in contenders.iter().enumerate() {
        let size = row.size[i].zip(row.size[1]).map(|(a, b)| 100.0 * a as f64 / b as f64);
        line += &match i {
            0 => format!(
                " {} x{} (low {}) {}%",
                contender.name,
                field(row.ratio[0], 2),
                field(row.low[0], 2),
                field(size, 1)
            ),
            1 => format!(" | {} {} MB/s", contender.name, field(row.speed[1], 1)),
            _ => format!(" | {} x{} {}%", contender.name, field(row.ratio[i], 2), field(size, 1)),
        };
    }
    println!("{line}");
}

/// Averages over the classes, and the cells that are below what is asked.
pub fn summary(rows: &[Row], contenders: &[Contender]) {
    println!(
        "\nGeometric mean over the classes of the ratio to {}; output in percent of its",
        contenders[1].name
    );
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(&row.group).or_default().push(row);
    }
    for (group, rows) in &groups {
        let mut line = format!("{group:40}");
        for (i, contender) in contenders.iter().enumerate().filter(|(i, _)| *i != 1) {
            let ratio = mean(rows.iter().map(|row| row.ratio[i]));
            let size = mean(
                rows.iter().map(|row| row.size[i].zip(row.size[1]).map(|(a, b)| 100.0 * a as f64 / b as f64)),
            );
            line += &format!(" | {} x{} {}%", contender.name, field(ratio, 2), field(size, 1));
        }
        println!("{line}");
    }
    let slow: Vec<&Row> = rows.iter().filter(|row| row.low[0].is_some_and(|low| low < FLOOR)).collect();
    println!("\nCells whose lower bound is below {FLOOR} x {}: {}", contenders[1].name, slow.len());
    for row in slow {
        println!("  {:48} x{} (low {})", row.name, field(row.ratio[0], 2), field(row.low[0], 2));
    }
    println!("\nCells whose lower bound is below {BEST} x the best engine of the same output size:");
    for row in rows {
        let as_small = |i: usize| {
            row.size[i]
                .zip(row.size[0])
                .is_some_and(|(theirs, ours)| theirs as f64 <= ours as f64 * SAME_SIZE)
        };
        let best = (1..contenders.len())
            .filter(|&i| as_small(i))
            .filter_map(|i| Some((row.ours_low[i]?, contenders[i].name)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((low, name)) = best.filter(|(low, _)| *low < BEST) {
            println!("  {:48} x{low:.2} of {name}", row.name);
        }
    }
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let logs: Option<Vec<f64>> = values.map(|value| value.map(f64::ln)).collect();
    let logs = logs?;
    Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
