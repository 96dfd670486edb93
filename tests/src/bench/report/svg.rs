//! A small writer of SVG charts: bars and lines.

use std::fmt::Write;

/// Colours by position; told apart also without colour vision.
pub(crate) const COLOURS: [&str; 6] = ["#6b7280", "#d97706", "#b91c1c", "#2563eb", "#059669", "#7c3aed"];

/// A drawing under construction.
#[derive(Debug)]
pub(crate) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// Where a chart lies in the drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) value: f64,
    /// What is written above it.
    pub(crate) label: String,
    /// A mark across it, such as a bound.
    pub(crate) mark: Option<f64>,
}

impl Drawing {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: &str, size: f64, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{}</text>",
            escape(text)
        );
    }

    /// Bars side by side, coloured by position, over a base line; `top` is the value at the area's upper edge.
    pub(crate) fn bars(&mut self, area: Area, title: &str, top: f64, bars: &[Bar]) {
        self.bars_of(area, title, top, bars, colour);
    }

    /// The same, all of one colour.
    pub(crate) fn bars_in(&mut self, area: Area, title: &str, top: f64, bars: &[Bar], of: usize) {
        self.bars_of(area, title, top, bars, |_| colour(of));
    }

    fn bars_of(
        &mut self,
        area: Area,
        title: &str,
        top: f64,
        bars: &[Bar],
        colour: impl Fn(usize) -> &'static str,
    ) {
        self.text(area.left, area.top - 22.0, "start", 13.0, title);
        let step = area.width / bars.len().max(1) as f64;
        let base = area.top + area.height;
        let y = |value: f64| base - (value / top.max(1e-9)).clamp(0.0, 1.0) * area.height;
        for (index, bar) in bars.iter().enumerate() {
            let x = area.left + step * (index as f64 + 0.15);
            let width = step * 0.7;
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                y(bar.value),
                base - y(bar.value),
                colour(index)
            );
            // Where a line runs just above the bar, the number stands above that.
            let above = bar.mark.map(y).filter(|at| (y(bar.value) - 20.0..y(bar.value)).contains(at));
            self.text(x + width / 2.0, above.unwrap_or(y(bar.value)) - 5.0, "middle", 11.0, &bar.label);
            if let Some(mark) = bar.mark {
                self.line(x - 3.0, y(mark), x + width + 3.0, y(mark), "#111827", 1.5);
            }
        }
        self.line(area.left, base, area.left + area.width, base, "#9ca3af", 1.0);
    }

    /// Curves of values from 0 to 1 over seconds.
    pub(crate) fn curves(&mut self, area: Area, title: &str, curves: &[Vec<f64>]) {
        self.text(area.left, area.top - 12.0, "start", 13.0, title);
        let base = area.top + area.height;
        let longest = curves.iter().map(Vec::len).max().unwrap_or(0).max(2);
        let x = |second: usize| area.left + area.width * second as f64 / (longest - 1) as f64;
        for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let y = base - tenth * area.height;
            self.line(area.left, y, area.left + area.width, y, "#e5e7eb", 1.0);
            self.text(area.left - 6.0, y + 4.0, "end", 10.0, &format!("{:.0}%", tenth * 100.0));
        }
        for second in (0..longest).step_by(15.max(longest / 8)) {
            self.text(x(second), base + 15.0, "middle", 10.0, &format!("{second} s"));
        }
        for (index, curve) in curves.iter().enumerate() {
            let mut points = String::new();
            for (second, value) in curve.iter().enumerate() {
                let _ = write!(points, "{:.1},{:.1} ", x(second), base - value.clamp(0.0, 1.0) * area.height);
            }
            let _ = writeln!(
                self.body,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
                colour(index)
            );
        }
    }

    /// Names beside their colours, in a row.
    pub(crate) fn legend(&mut self, left: f64, top: f64, names: &[&str]) {
        let mut x = left;
        for (index, name) in names.iter().enumerate() {
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
                top - 9.0,
                colour(index)
            );
            self.text(x + 15.0, top, "start", 12.0, name);
            x += 40.0 + name.len() as f64 * 7.0;
        }
    }

    pub(crate) fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" \
             font-family=\"system-ui, sans-serif\" fill=\"#111827\">\n<rect width=\"100%\" height=\"100%\" \
             fill=\"#ffffff\"/>\n{2}</svg>\n",
            self.width, self.height, self.body
        )
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str, width: f64) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" \
             stroke-width=\"{width}\"/>"
        );
    }
}

/// Makes text safe between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_well_formed_whatever_is_written_in_it() {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.text(1.0, 2.0, "start", 10.0, "a < b & \"c\"");
        let area = Area { left: 0.0, top: 0.0, width: 50.0, height: 20.0 };
        drawing.bars(area, "t", 0.0, &[Bar { value: 3.0, label: "3".into(), mark: Some(1.0) }]);
        drawing.curves(area, "t", &[vec![], vec![0.5, 2.0]]);
        let svg = drawing.finish();
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
