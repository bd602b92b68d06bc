//! Lines in an SVG: panels side by side, both axes logarithmic unless a panel is linear.

use std::fmt::Write;

pub struct Panel {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub is_linear: bool,
    pub series: Vec<Series>,
}

impl Panel {
    pub fn new(title: &'static str, x: &'static str, y: &'static str) -> Self {
        Self {
            title,
            x,
            y,
            is_linear: false,
            series: Vec::new(),
        }
    }

    fn scale(&self, value: f64) -> f64 {
        match self.is_linear {
            true => value,
            false => value.max(1e-9).log10(),
        }
    }

    /// Where on an axis from 0 to 1.
    fn axis(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values = values.map(|value| self.scale(value)).collect::<Vec<_>>();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.is_linear {
            true => (0.0, most.max(1.0)),
            false => (least.floor(), most.ceil().max(least.floor() + 1.0)),
        }
    }
}

pub struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Series {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            points: Vec::new(),
        }
    }

    pub fn add(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
    }
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 3] = ["#0b6e4f", "#c8553d", "#3d5ac8"];

pub fn svg(panels: &[Panel]) -> String {
    let (width, height) = (
        panels.len() as f64 * (WIDTH + MARGIN) + MARGIN,
        HEIGHT + 2.0 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        let left = MARGIN + n as f64 * (WIDTH + MARGIN);
        // A String takes whatever is written.
        let _ = draw(&mut svg, panel, left);
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, left: f64) -> std::fmt::Result {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let (x0, x1) = panel.axis(points().map(|(x, _)| *x));
    let (y0, y1) = panel.axis(points().map(|(_, y)| *y));
    let across = |x: f64| left + WIDTH * (panel.scale(x) - x0) / (x1 - x0);
    let up = |y: f64| MARGIN + HEIGHT * (1.0 - (panel.scale(y) - y0) / (y1 - y0));
    let bottom = MARGIN + HEIGHT;
    writeln!(
        svg,
        "<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{} ({})</text>",
        panel.title, panel.y
    )?;
    writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        left + WIDTH / 2.0,
        bottom + 34.0,
        panel.x
    )?;
    for x in ticks(panel.is_linear, x0, x1) {
        let at = across(x);
        writeln!(
            svg,
            "<path d=\"M{at:.1} {MARGIN}V{bottom}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
            bottom + 16.0
        )?;
    }
    for y in ticks(panel.is_linear, y0, y1) {
        let at = up(y);
        writeln!(
            svg,
            "<path d=\"M{left} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{y}</text>",
            left + WIDTH,
            left - 5.0,
            at + 4.0
        )?;
    }
    for (n, (series, colour)) in panel.series.iter().zip(COLOURS).enumerate() {
        let at = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", across(*x), up(*y));
        let line = series.points.iter().map(at).collect::<Vec<_>>().join(" ");
        writeln!(
            svg,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        )?;
        for (x, y) in &series.points {
            writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                across(*x),
                up(*y)
            )?;
        }
        let legend = 33.0 + 12.0 * n as f64;
        writeln!(
            svg,
            "<text x=\"{left}\" y=\"{legend}\" fill=\"{colour}\">{}</text>",
            series.name
        )?;
    }
    Ok(())
}

/// Powers of ten; on a linear axis, four or five round steps.
fn ticks(is_linear: bool, least: f64, most: f64) -> Vec<f64> {
    match is_linear {
        false => (least as i32..=most as i32)
            .map(|power| 10_f64.powi(power))
            .collect(),
        true => {
            let step = 10_f64.powf((most / 4.0).log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * step);
            let step = step
                .into_iter()
                .find(|step| most / step <= 5.0)
                .unwrap_or(most);
            (0..)
                .map(|n| f64::from(n) * step)
                .take_while(|tick| *tick <= most)
                .collect()
        }
    }
}
