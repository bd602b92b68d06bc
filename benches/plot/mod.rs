//! Draws panels side by side as an SVG, with plotters.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// A chart of lines over one x axis. Both axes are logarithmic unless `is_linear` is set.
pub struct Panel {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub is_linear: bool,
    pub series: Vec<Series>,
}

pub struct Series {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const PANEL_SIZE: (u32, u32) = (380, 320);
const COLORS: [RGBColor; 3] = [
    RGBColor(11, 110, 79),
    RGBColor(200, 85, 61),
    RGBColor(61, 90, 200),
];

/// Draws the panels as an SVG.
pub fn svg(panels: &[Panel]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let (width, height) = PANEL_SIZE;
    let size = (width * panels.len() as u32, height);
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let (x_min, x_max) = bounds(points().map(|point| point.0));
        let (y_min, y_max) = bounds(points().map(|point| point.1));
        if panel.is_linear {
            draw(area, panel, x_min..x_max, 0.0..y_max)?;
        } else {
            let x = (x_min..x_max).log_scale();
            let y = (power_of_ten(y_min, f64::floor)..power_of_ten(y_max, f64::ceil)).log_scale();
            draw(area, panel, x, y)?;
        }
    }
    root.present()?;
    drop(root);
    Ok(svg)
}

fn draw<X, Y>(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    panel: &Panel,
    x: X,
    y: Y,
) -> Result<(), Box<dyn Error>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{} ({})", panel.title, panel.y), ("sans-serif", 13))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(50)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(panel.x)
        .x_labels(5)
        .y_labels(7)
        .x_label_formatter(&f64::to_string)
        .y_label_formatter(&f64::to_string)
        .draw()?;
    for (series, color) in panel.series.iter().zip(COLORS) {
        let line = LineSeries::new(series.points.iter().copied(), color.stroke_width(2));
        chart
            .draw_series(line.point_size(3))?
            .label(series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| {
        (min.min(value), max.max(value))
    })
}

/// The power of ten next to a value. A value may be zero if it was too small to be measured.
fn power_of_ten(value: f64, round: fn(f64) -> f64) -> f64 {
    10_f64.powf(round(value.max(1e-5).log10()))
}
