//! Line charts as SVG: panels above one another, time to the right, a logarithmic scale upwards.

use std::fmt::Write;

/// One line of a panel.
pub struct Line {
    /// For the legend; the same in every panel.
    pub name: &'static str,
    /// Colour, as SVG knows it.
    pub color: &'static str,
    /// Value of each bin of time; 0 is left out.
    pub values: Vec<f64>,
}

/// One chart.
pub struct Panel {
    /// Above it.
    pub title: String,
    /// End of the time axis, seconds.
    pub seconds: f64,
    /// Drawn in this order.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// For the legend.
const HEAD: f64 = 60.0;

/// The whole picture.
pub fn draw(title: &str, unit: &str, panels: &[Panel]) -> String {
    let height = HEAD + HEIGHT * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n"
    );
    for (index, line) in panels.iter().flat_map(|panel| panel.lines.iter()).take(3).enumerate() {
        let x = LEFT + 200.0 * index as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 40h24\" stroke=\"{}\" stroke-width=\"2\"/><text x=\"{}\" y=\"44\">{}</text>",
            line.color,
            x + 30.0,
            line.name
        );
    }
    for (index, panel) in panels.iter().enumerate() {
        draw_panel(&mut svg, HEAD + HEIGHT * index as f64, unit, panel);
    }
    svg + "</svg>\n"
}

fn draw_panel(svg: &mut String, top: f64, unit: &str, panel: &Panel) {
    let values =
        || panel.lines.iter().flat_map(|line| line.values.iter().copied()).filter(|value| *value > 0.0);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(0.0, f64::max).log10().ceil().max(low + 1.0);
    let (from, to) = (top + HEIGHT - BOTTOM, top + TOP);
    let y = |value: f64| from - (value.log10() - low) / (high - low) * (from - to);
    let x = |part: f64| LEFT + part * (WIDTH - LEFT - RIGHT);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", top + TOP - 10.0, panel.title);
    for power in low as i32..=high as i32 {
        let at = y(10f64.powi(power));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x(1.0),
            LEFT - 6.0,
            at + 4.0,
            count(10f64.powi(power))
        );
    }
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        let anchor = if tick == 4 { "end" } else { "middle" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(part),
            from + 16.0,
            time(part * panel.seconds)
        );
    }
    let middle = (from + to) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"14\" y=\"{middle:.1}\" transform=\"rotate(-90 14 {middle:.1})\" text-anchor=\"middle\">{unit}</text>"
    );
    for line in &panel.lines {
        let bins = line.values.len() as f64;
        let mut path = String::new();
        let mut pen = 'M';
        for (bin, value) in line.values.iter().enumerate() {
            if *value <= 0.0 {
                pen = 'M';
                continue;
            }
            let _ = write!(
                path,
                "{pen}{:.1} {:.1}H{:.1}",
                x(bin as f64 / bins),
                y(*value),
                x((bin + 1) as f64 / bins)
            );
            pen = 'L';
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>",
            line.color
        );
    }
}

fn count(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

fn time(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 0.1 { format!("{} ms", seconds * 1e3) } else { format!("{seconds} s") }
}
