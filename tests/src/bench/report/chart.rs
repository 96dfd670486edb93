//! The chart of `bench offload`.

use super::svg::{Area, Bar, Drawing};
use crate::bench::offload::{RunResult, Summary};

/// Bars by client for savings, copies and latency, and savings over time (each client's last run).
pub(crate) fn offload(summaries: &[Summary], results: &[RunResult]) -> String {
    let mut drawing = Drawing::new(960.0, 560.0);
    let names: Vec<&str> = summaries.iter().map(|summary| summary.client).collect();
    drawing.legend(50.0, 30.0, &names);
    let area = |index: f64| Area { left: 50.0 + index * 305.0, top: 95.0, width: 260.0, height: 150.0 };
    let bars = |of: &dyn Fn(&Summary) -> Bar| summaries.iter().map(of).collect::<Vec<_>>();
    let savings = bars(&|summary| Bar {
        value: summary.savings.max(0.0),
        label: format!("{:.1}%", summary.savings * 100.0),
        mark: Some(summary.bound),
    });
    drawing.bars(area(0.0), "Savings (line: best possible)", 1.0, &savings);
    let copies = bars(&|summary| Bar {
        value: summary.copies,
        label: format!("{:.2}", summary.copies),
        mark: Some(summary.copies_bound),
    });
    drawing.bars(area(1.0), "Copies fetched (line: fewest)", top(&copies), &copies);
    let latency = bars(&|summary| Bar {
        value: summary.latency_s.unwrap_or(0.0),
        label: summary.latency_s.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1} s")),
        mark: None,
    });
    drawing.bars(area(2.0), "Live latency", top(&latency), &latency);
    let curves: Vec<Vec<f64>> = names
        .iter()
        .map(|name| {
            let last = results.iter().rfind(|result| result.client == *name);
            last.map(|result| result.savings_over_time.clone()).unwrap_or_default()
        })
        .collect();
    let below = Area { left: 50.0, top: 320.0, width: 860.0, height: 190.0 };
    drawing.curves(below, "Savings up to each moment", &curves);
    drawing.finish()
}

fn top(bars: &[Bar]) -> f64 {
    bars.iter().flat_map(|bar| [bar.value, bar.mark.unwrap_or(0.0)]).fold(0.1, f64::max) * 1.1
}
