//! Drawing: a chart with two labelled axes, a legend and some series, as SVG that follows a light or dark page.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 54.0;

/// Everything's looks. It stands in each drawing, so that one can be looked at by itself.
const STYLE: &str = "\
.chart text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#374151}\
.chart text.title{font-size:16px;font-weight:600;fill:#111827}\
.chart .paper{fill:#fff}.chart .grid{stroke:#e5e7eb;stroke-width:1}.chart .frame{stroke:#9ca3af;fill:none}\
.chart .line{fill:none;stroke-width:2;stroke-linejoin:round}.chart .dashed{stroke-dasharray:6 5}.chart .dot{fill-opacity:.5}\
.chart .s0{stroke:#2563eb}.chart .f0{fill:#2563eb}.chart .s1{stroke:#d97706}.chart .f1{fill:#d97706}\
.chart .s2{stroke:#059669}.chart .f2{fill:#059669}.chart .s3{stroke:#6b7280}.chart .f3{fill:#6b7280}\
@media(prefers-color-scheme:dark){.chart text{fill:#cbd5e1}.chart text.title{fill:#f3f4f6}\
.chart .paper{fill:#16191f}.chart .grid{stroke:#2a2f3a}.chart .frame{stroke:#64748b}\
.chart .s0{stroke:#60a5fa}.chart .f0{fill:#60a5fa}.chart .s1{stroke:#fbbf24}.chart .f1{fill:#fbbf24}\
.chart .s2{stroke:#34d399}.chart .f2{fill:#34d399}.chart .s3{stroke:#94a3b8}.chart .f3{fill:#94a3b8}}";

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// Both ends are above 0.
    Log,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// What it is, with its unit.
    pub(super) label: &'static str,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) scale: Scale,
}

impl Axis {
    /// From `from` to a round value at or above `to`.
    pub(super) fn linear(label: &'static str, from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let step = step(to - from);
        Self { label, from, to: from + ((to - from) / step - 1e-9).ceil() * step, scale: Scale::Linear }
    }

    /// Exactly from `from` to `to`.
    pub(super) fn exact(label: &'static str, from: f64, to: f64) -> Self {
        Self { label, from, to: if to > from { to } else { from + 1.0 }, scale: Scale::Linear }
    }

    /// Between round values below `from` and above `to`.
    pub(super) fn log(label: &'static str, from: f64, to: f64) -> Self {
        let from = if from > 0.0 { from } else { 1e-3 };
        let to = to.max(from * 2.0);
        Self { label, from: round(from, false), to: round(to, true), scale: Scale::Log }
    }

    /// Where a value is, from 0 to 1; beyond the ends it is at them.
    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => (value.max(1e-12) / self.from).ln() / (self.to / self.from).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// Values with a line and a number.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to - self.from);
                let first = (self.from / step - 1e-9).ceil();
                let count = (self.to / step - first + 1e-9) as u32;
                (0..=count).map(|n| (first + f64::from(n)) * step).collect()
            }
            Scale::Log => {
                let (low, high) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
                let steps: &[f64] = if high - low <= 4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = (low..=high).flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p)));
                all.filter(|v| (self.from * 0.999..=self.to * 1.001).contains(v)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten: some five of them make `span`.
fn step(span: f64) -> f64 {
    let rough = span / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|t| t * power >= rough * 0.999).unwrap_or(10.0);
    times * power
}

/// The next 1, 2 or 5 times a power of ten.
fn round(value: f64, up: bool) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let all = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let found = if up {
        all.into_iter().find(|v| *v >= value * 0.999)
    } else {
        all.into_iter().rfind(|v| *v <= value * 1.001)
    };
    found.unwrap_or(value)
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// From point to point; a gap where there is none.
    Line(Vec<Option<(f64, f64)>>),
    /// A level from one end to the other.
    Level(f64),
    /// From, to, height.
    Bars(Vec<(f64, f64, f64)>),
    Dots(Vec<(f64, f64)>),
}

/// A series, with its name in the legend and one of four colours.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: u8,
    pub(super) shape: Shape,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

impl Chart {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        (across, HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM))
    }

    /// The drawing.
    pub(super) fn svg(&self) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\"><style>{STYLE}</style>\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\
             <text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>\n",
            title = escape(self.title)
        );
        self.axes(&mut out);
        self.series.iter().for_each(|series| self.draw(&mut out, series));
        self.legend(&mut out);
        out += "</svg>\n";
        out
    }

    fn axes(&self, out: &mut String) {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        for tick in self.x.ticks() {
            let (x, _) = self.at(tick, self.y.from);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                number(tick)
            );
        }
        for tick in self.y.ticks() {
            let (_, y) = self.at(self.x.from, tick);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.5,
                number(tick)
            );
        }
        let (middle, height) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let _ = writeln!(
            out,
            "<path class=\"frame\" d=\"M{left} {top}V{bottom}H{right}\"/>\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(18 {height}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 12.0,
            escape(self.x.label),
            escape(self.y.label)
        );
    }

    fn draw(&self, out: &mut String, series: &Series) {
        let c = series.colour;
        match &series.shape {
            Shape::Line(points) => {
                let mut path = String::new();
                let mut down = false;
                for point in points {
                    if let Some((x, y)) = point {
                        let (x, y) = self.at(*x, *y);
                        let _ = write!(path, "{}{x:.1} {y:.1}", if down { 'L' } else { 'M' });
                    }
                    down = point.is_some();
                }
                let _ = writeln!(out, "<path class=\"line s{c}\" d=\"{path}\"/>");
            }
            Shape::Level(y) => {
                let ((x0, y), (x1, _)) = (self.at(self.x.from, *y), self.at(self.x.to, *y));
                let _ = writeln!(out, "<path class=\"line dashed s{c}\" d=\"M{x0:.1} {y:.1}H{x1:.1}\"/>");
            }
            Shape::Bars(bars) => {
                for (from, to, height) in bars.iter().filter(|bar| bar.2 > 0.0) {
                    let ((x0, y0), (x1, y1)) = (self.at(*from, self.y.from), self.at(*to, *height));
                    let (width, height) = ((x1 - x0 - 2.0).max(1.0), y0 - y1);
                    let _ = writeln!(
                        out,
                        "<rect class=\"f{c}\" x=\"{:.1}\" y=\"{y1:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>",
                        x0 + 1.0
                    );
                }
            }
            Shape::Dots(dots) => {
                for (x, y) in dots {
                    let (x, y) = self.at(*x, *y);
                    let _ =
                        writeln!(out, "<circle class=\"dot f{c}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
                }
            }
        }
    }

    fn legend(&self, out: &mut String) {
        let mut x = LEFT;
        let y = 46.0;
        for series in &self.series {
            let c = series.colour;
            let _ = match series.shape {
                Shape::Line(_) => write!(out, "<path class=\"line s{c}\" d=\"M{x:.1} {y}h20\"/>"),
                Shape::Level(_) => write!(out, "<path class=\"line dashed s{c}\" d=\"M{x:.1} {y}h20\"/>"),
                Shape::Bars(_) | Shape::Dots(_) => {
                    write!(out, "<circle class=\"f{c}\" cx=\"{:.1}\" cy=\"{y}\" r=\"5\"/>", x + 10.0)
                }
            };
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{}\">{}</text>",
                x + 27.0,
                y + 4.5,
                escape(&series.name)
            );
            // Letters of 13 px are some 7 wide.
            x += 27.0 + series.name.chars().count() as f64 * 7.0 + 18.0;
        }
    }
}

/// A tick's number, without needless digits.
fn number(value: f64) -> String {
    let digits =
        if value.abs() >= 1e-9 { (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text that may stand in SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(Axis::linear("", 0.0, 30.0).ticks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        let axis = Axis::linear("", 0.0, 0.93);
        assert_eq!((axis.to, axis.ticks().len()), (1.0, 6));
        let axis = Axis::log("", 0.3, 40.0);
        assert_eq!((axis.from, axis.to), (0.2, 50.0));
        assert_eq!(
            axis.ticks().iter().map(|t| number(*t)).collect::<Vec<_>>().join(" "),
            "0.2 0.5 1 2 5 10 20 50"
        );
        assert_eq!(Axis::log("", 0.02, 9000.0).ticks().len(), 6);
        assert_eq!([0.0, 0.25, 1200.0, 1e-4].map(number), ["0", "0.25", "1200", "0.0001"]);
    }

    #[test]
    fn what_lies_beyond_an_axis_is_drawn_at_its_end() {
        let axis = Axis::exact("", 0.0, 10.0);
        assert_eq!([-5.0, 5.0, 50.0].map(|v| axis.place(v)), [0.0, 0.5, 1.0]);
        assert_eq!(Axis::log("", 1.0, 100.0).place(0.0), 0.0);
        let empty = Axis::linear("", 0.0, 0.0);
        assert!(empty.place(0.0).is_finite(), "nothing to show is no trouble");
    }

    #[test]
    fn a_drawing_has_its_labels_and_no_raw_markup() {
        let chart = Chart {
            title: "a < b",
            x: Axis::exact("time in min", 0.0, 1.0),
            y: Axis::exact("rate in Mbit/s", 0.0, 1.0),
            series: vec![Series {
                name: "x & y".to_owned(),
                colour: 0,
                shape: Shape::Line(vec![Some((0.0, 0.0)), None, Some((1.0, 1.0))]),
            }],
        };
        let svg = chart.svg();
        for word in ["a &lt; b", "time in min", "rate in Mbit/s", "x &amp; y"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.contains("M72.0 306.0M620.0 66.0"), "a gap stays a gap: {svg}");
    }
}
