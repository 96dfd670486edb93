//! Sums that every figure needs.

use serde_json::{Map, Value};

/// `a / b`; of nothing, nothing.
pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// The value that this share of all stays under (nearest rank); 0 of none.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.max(1) - 1).or(values.last()).copied().unwrap_or(0.0)
}

/// The mean; none of none.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u64);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// Spearman's rank correlation; what is equal shares its mean rank. None if one of the two doesn't vary.
pub(crate) fn rank_correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let (a, b) = (ranks(pairs.iter().map(|p| p.0)), ranks(pairs.iter().map(|p| p.1)));
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a - middle, b - middle);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..].iter().take_while(|at| values[**at] == values[order[from]]).count();
        for at in &order[from..from + equal] {
            ranks[*at] = from as f64 + (equal as f64 + 1.0) / 2.0;
        }
        from += equal;
    }
    ranks
}

/// Of several objects of one form, the object of their medians; what isn't a number stays if all agree.
pub(crate) fn medians(all: &[&Value]) -> Value {
    let numbers: Vec<f64> = all.iter().filter_map(|value| value.as_f64()).collect();
    match all {
        [] => Value::Null,
        _ if numbers.len() == all.len() => median(numbers).into(),
        [Value::Object(first), ..] => {
            let of = |key: &String| medians(&all.iter().filter_map(|v| v.get(key)).collect::<Vec<_>>());
            Value::Object(first.keys().map(|key| (key.clone(), of(key))).collect::<Map<_, _>>())
        }
        [Value::Array(first), ..] => {
            let of = |n| medians(&all.iter().filter_map(|v| v.get(n)).collect::<Vec<_>>());
            Value::Array((0..first.len()).map(of).collect())
        }
        [first, ..] if all.iter().all(|value| value == first) => (*first).clone(),
        _ if !numbers.is_empty() => median(numbers).into(),
        _ => Value::Null,
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => (values[half - 1] + values[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let all = || (1..=100).map(f64::from);
        assert_eq!(quantile(all(), 0.95), 95.0);
        assert_eq!(quantile(all(), 0.5), 50.0);
        assert_eq!(quantile(all(), 1.0), 100.0);
        assert_eq!(quantile(all(), 0.0), 1.0);
        assert_eq!(quantile([], 0.5), 0.0);
    }

    #[test]
    fn rank_correlation_is_that_of_the_ranks() {
        let of = |pairs: &[(f64, f64)]| rank_correlation(pairs).expect("both vary");
        assert_eq!(of(&[(1.0, 10.0), (2.0, 100.0), (3.0, 1000.0)]), 1.0);
        assert_eq!(of(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
        // Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: 4.5 of the root of 4.5 times 5.
        let tied = of(&[(1.0, 1.0), (2.0, 3.0), (2.0, 2.0), (3.0, 4.0)]);
        assert!((tied - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-12, "{tied}");
        assert_eq!(rank_correlation(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(rank_correlation(&[]), None);
    }

    #[test]
    fn medians_go_through_objects_and_lists() {
        let all = [
            json!({"a": 1, "b": {"c": [1.0, 5.0]}, "name": "x", "n": null, "seed": 1}),
            json!({"a": 9, "b": {"c": [3.0, 7.0]}, "name": "x", "n": 4.0, "seed": 2}),
            json!({"a": 2, "b": {"c": [2.0, 6.0]}, "name": "x", "n": null, "seed": 3}),
        ];
        let found = medians(&all.iter().collect::<Vec<_>>());
        let told = json!({"a": 2.0, "b": {"c": [2.0, 6.0]}, "name": "x", "n": 4.0, "seed": 2.0});
        assert_eq!(found, told);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
